#!/usr/bin/perl

# Tests for memcache module: many requests at once share few connections,
# which memcached counts, and each gets its own answer.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(17)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;

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

        memcache_server 127.0.0.1:8082 max=3;
        memcache_pipeline 1;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8084 max=1;
        memcache_pipeline 1;
        memcache_queue 5;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081, 8082, 8084;
my ($one, $three, $queue) = @m;
my ($to_three, $to_queue) = map { '127.0.0.1:' . port($_) } 8083, 8085;

$t->run();

###############################################################################

# gets, of values that tell whose they are; every tenth is long

my @keys = map { "key$_" } 1 .. 200;
my %value = map { ($keys[$_] => "$keys[$_]." x ($_ % 10 ? 1 : 10000)) }
	0 .. $#keys;

for my $m ($one, $three, $queue) {
	$m->set($_, $value{$_}) for @keys;
}

is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
	[map { "200 $value{$_}" } @keys], 'gets');
is($one->connections(), 1, 'gets - one connection');

# with all of them on the way at once

$one->pause();
my @open = map { kv_get($_, start => 1) } @keys;
ok(wait_for(sub { waiting('pending') + waiting('queued') == @keys }),
	'all wait');
is(waiting('pending'), 200, 'all are pending on the one connection');
$one->resume();
is_deeply([map { content($_) } read_all(@open)],
	[map { "200 $value{$_}" } @keys], 'pipelined');
is($one->connections(), 1, 'pipelined - one connection');

# all kinds at once

my @mixed = map { (
	["mixed$_", 204, ['PUT', "mixed$_", value => "<$_>"]],
	["count$_", "200 $_", ['POST', "count$_", value => '',
		args => "incr=1&initial=$_"]],
	["key$_", "200 $value{qq/key$_/}", ['GET', "key$_"]],
	["none$_", 404, ['GET', "none$_"]],
	["gone$_", 404, ['DELETE', "gone$_"]],
) } 1 .. 40;

is_deeply([map { content($_) =~ s/^(204|404) .*/$1/sr }
	http_many(map { $_->[2] } @mixed)], [map { $_->[1] } @mixed],
	'mixed operations');
is_deeply([map { scalar $one->get("mixed$_") } 1 .. 40], [map { "<$_>" } 1 .. 40],
	'mixed operations - stored');
is($one->connections(), 1, 'mixed operations - one connection');
is(waiting('pending') + waiting('queued'), 0, 'nothing waits');

# more connections when there is more to do, up to max

$three->pause();
@open = map { kv_get($_, start => 1, PeerAddr => $to_three) } @keys;
$three->resume();
is_deeply([map { content($_) } read_all(@open)],
	[map { "200 $value{$_}" } @keys], 'three connections');
is($three->connections(), 3, 'three connections - counted');

# beyond all bounds the answer is "busy", at once

is(code(kv_get('key1', PeerAddr => $to_queue)), 200, 'queue');
$queue->pause();
@open = map { kv_get($_, start => 1, PeerAddr => $to_queue) } @keys;
ok(wait_for(sub {
	my $server = server_status(port(8084));
	return $server->{pending} + $server->{queued}
		+ $server->{errors}{busy} == @keys;
}), 'queue - full');
$queue->resume();
my @replies = read_all(@open);
my @refused = grep { code($replies[$_]) == 503 } 0 .. $#keys;
my @answered = grep { code($replies[$_]) == 200 } 0 .. $#keys;
is(@refused + @answered, @keys, 'queue - answered or refused');
is(scalar @answered, 8 + 5, 'queue - pending and waiting ones are answered');
is_deeply([map { content($replies[$_]) } @answered],
	[map { "200 $value{$keys[$_]}" } @answered], 'queue - answers');

###############################################################################

sub waiting {
	my ($what) = @_;
	return server_status(port(8081))->{$what};
}

###############################################################################
