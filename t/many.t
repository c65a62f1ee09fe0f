#!/usr/bin/perl

# Tests for memcache module: gets of many keys as one call of a sibling in C.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_start /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { OK => 0, MISS => 1, TIMEOUT => 18, BUSY => 19,
	SERVER_DOWN => 20, INVALID_KEY => 25, STALE => 35, INVALID => 36,
	TOO_MANY => 39 };

use constant { GET => 1, GAT => 2, SET => 3 };

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'clients');

$t->plan(25)->write_file_expand('nginx.conf', http_conf(<<'EOF', 'clients.so'));

    memcache_timeout 30s;
    memcache_connect_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_server 127.0.0.1:8082 max=1;
        memcache_server 127.0.0.1:8083 max=1;

        location / {
            clients;
        }

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_queue 5;

        location / {
            clients;
        }
    }

EOF

my ($first, $second) = map { Test::Memcached->start($t, port($_)) } 8081, 8082;
my @both = (servers => '0,1');

$t->run();

###############################################################################

my ($on_first, $on_second);

for my $key ('a' .. 'z') {
	my $index = ask('where', key => $key, @both)->{index};
	my $server = $index ? $second : $first;

	$server->set($key, $key x 3, 7);
	$index ? ($on_second //= $key) : ($on_first //= $key);
}

my $r = ask('many', keys => 'z,none,a,z', @both);
is($r->{list}, '0:zzz:7,1::0,0:aaa:7,0:zzz:7,', 'in the order of the keys');
is("$r->{n} $r->{hits} $r->{runs}", '4 3 1', 'all at once');
is($r->{retained}, 4, 'each may be retained');
is($r->{copy}, STALE, 'a copy of a result may not');
is(ask('many', keys => join(',', 'a' .. 'p'), @both)->{hits}, 16,
	'from all servers');
is($first->connections() + $second->connections(), 2, 'over one connection each');

# keys are the others' business

my $long = 'k' x 251;
$r = ask('many', keys => "a,,$long,b", @both);
is($r->{list}, join(',', '0:aaa:7', INVALID_KEY . '::0', INVALID_KEY . '::0',
	'0:bbb:7', ''), 'keys that are none');
is(ask('many', keys => "$long", @both)->{list}, INVALID_KEY . '::0,',
	'nothing but them');

# one of three servers is down

my %seen = map { /^(\d+):/ ? ($1 => 1) : () } map { split /,/,
	ask('many', keys => join(',', 'a' .. 'h'))->{list} } 1 .. 2;
ok($seen{+SERVER_DOWN}, 'down');
is(join(' ', sort { $a <=> $b } grep { $_ != MISS } keys %seen),
	OK . ' ' . SERVER_DOWN, 'down - for its keys');

# gets and touches

$r = ask('many', keys => 'a,none,z', op => GAT, ttl => 1000, @both);
is($r->{list}, '0:aaa:7,1::0,0:zzz:7,', 'gat');
is(ask('many', keys => 'a', op => SET)->{refused}, INVALID, 'set');
is(ask('many', keys => 'a', op => 0)->{refused}, INVALID, 'no operation');

# so many and no more

is(ask('numbered', n => 0)->{refused}, INVALID, 'no keys');
is(ask('numbered', n => 1025)->{refused}, TOO_MANY, '1025 keys');
$r = ask('numbered', n => 1024, @both);
is("$r->{n} $r->{retained}", '1024 1024', '1024 keys');

# of a queue's length, when nothing is connected

$r = ask('many', keys => 'a,b,c,d,e,f,g', at => 8084);
is(scalar(() = $r->{list} =~ /@{[BUSY]}::/g), 2, 'busy');

# as long as it may take

$second->pause();
$r = ask('many', keys => "$on_first,$on_second", timeout => 300, @both);
is($r->{list}, "0:" . $on_first x 3 . ":7," . TIMEOUT . '::0,',
	'timed out - the one that has');
$second->resume();

$r = ask('many', keys => $on_second, @both);
is($r->{list}, '0:' . $on_second x 3 . ':7,', 'resumed');

# cancelled, and with the request

$r = ask('cancel', keys => 'a,b,c', @both);
is("$r->{cancelled} $r->{again}", OK . ' ' . STALE, 'cancelled as one');

$second->pause();
my $s = http_start(request_for('many', keys => "$on_first,$on_second", @both));
ok(wait_for(sub { server_status(port(8082))->{pending} > 0 }), 'under way');
$s->close();
ok(wait_for(sub { server_status(port(8082))->{errors}{cancelled} >= 1 }),
	'the request has gone');
$second->resume();
ok(wait_for(sub { server_status(port(8082))->{pending} == 0 }), 'swallowed');
is(ask('many', keys => "a,z", @both)->{list}, '0:aaa:7,0:zzz:7,', 'in step');

is(scalar worker_pids($t), 1, 'worker');

###############################################################################

# What the sibling says, as a hash.
sub ask {
	my ($do, %args) = @_;
	my $port = port(delete $args{at} // 8080);
	my $text = http_content(http(request_for($do, %args),
		PeerAddr => "127.0.0.1:$port")) // '';
	my ($list, $rest) = $text =~ /^(\S*,)? ?(.*)/;

	return { defined $list ? (list => $list) : (), $rest =~ /(\w+)=(\S*)/g };
}

sub request_for {
	my ($do, %args) = @_;

	return join "\x0d\x0a", "GET /?do=$do" . join('',
		map { "&$_=$args{$_}" } sort keys %args) . ' HTTP/1.0',
		'Host: localhost', '', '';
}

###############################################################################
