#!/usr/bin/perl

# Tests for memcache module: a memcached that hangs, and then answers late.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(29)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_timeout 300ms;
    memcache_connect_timeout 300ms;
    memcache_retry 100ms;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_max_fails 65535;
        memcache_timeout 600ms;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8082 max=1;
        memcache_max_fails 10;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));
my $other = Test::Memcached->start($t, port(8082));
my $to_other = '127.0.0.1:' . port(8083);

$t->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 100;
$m->set($_, "$_." x 20) for @keys;

is(content(kv_get('key1')), '200 ' . 'key1.' x 20, 'before');

# every round: requests that time out, then requests that do not

for my $round (1 .. 4) {
	$m->pause();
	is_deeply([map { code($_) } http_many(map { ['GET', $_] } @keys)],
		[(504) x @keys], "F6 round $round - timed out");

	# the late answers are nobody's: not of those who ask meanwhile
	my $asked = server_status(port(8081))->{operations}{get};
	my @late = map { kv_get($_, start => 1) } reverse @keys;
	ok(wait_for(sub { server_status(port(8081))->{operations}{get}
		== $asked + @keys }), "F23 round $round - asked behind them");
	$m->resume();
	my @got = map { content($_) } read_all(@late);
	is_deeply([grep { $got[-1 - $_] ne '200 ' . "$keys[$_]." x 20
		&& $got[-1 - $_] !~ /^504/ } 0 .. $#keys], [],
		"F23 round $round - their own, or none");

	my $reply;
	wait_for(sub {
		$reply = content(kv_get('key7'));
		return $reply =~ /^200/;
	});
	is($reply, '200 ' . 'key7.' x 20, "F23 round $round - answers again");
	is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
		[map { "200 " . "$_." x 20 } @keys],
		"F23 round $round - all right");
}

is(down($t, 8081), 0, 'F6 not down by timeouts');
is(server_status(port(8081))->{pending}, 0, 'nothing pending');

# a timeout of many operations at once is one failure, and not so many

$other->set('cow', 'moo');
is(content(kv_get('cow', PeerAddr => $to_other)), '200 moo', 'other');
$other->pause();
is(code(kv_get('', args => 'keys=' . join(',', @keys),
	PeerAddr => $to_other)), 504, 'F6 many at once - timed out');
$other->resume();
ok(wait_for(sub { content(kv_get('cow', PeerAddr => $to_other))
	eq '200 moo' }), 'F6 many at once - answers again');
is(down($t, 8082), 0, 'F6 many at once - not down');

# many timeouts in a row mean that the server is down

$other->pause();
ok(wait_for(sub { code(kv_get('cow', PeerAddr => $to_other)) == 503 }),
	'down by timeouts');
$other->resume();
ok(wait_for(sub { content(kv_get('cow', PeerAddr => $to_other))
	eq '200 moo' }), 'live again');

###############################################################################

# How often the server was found down.
sub down {
	my ($t, $port) = @_;
	return scalar(() = messages($t) =~ /"127\.0\.0\.1:@{[port($port)]}" is down/g);
}

###############################################################################
