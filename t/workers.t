#!/usr/bin/perl

# Tests for memcache module: two workers, each with a client of its own.

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

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('memcached')
	->plan(11)->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # its manager and loader are processes too, but no workers
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    memcache_server 127.0.0.1:8081 min=1 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

%%KV_SERVER%%
}

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

ok(wait_for(sub { $m->open_connections() == 2 }), 'a client per worker');

my @workers = worker_pids($t);
is(scalar @workers, 2, 'workers');

# what one stores, the other finds

my @keys = map { "key$_" } 1 .. 200;

is_deeply([map { code($_) } http_many(map { ['PUT', $_, value => "<$_>"] }
	@keys)], [(204) x @keys], 'set');
is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
	[map { "200 <$_>" } @keys], 'get');
is_deeply([map { content($_) } http_many(map { ['POST', 'n', value => '',
	args => 'incr=1&initial=1'] } 1 .. 100), kv_get('n')]->[-1], '200 100',
	'each count counted once');
is($m->connections(), 2, 'two connections');

my %seen;
wait_for(sub {
	$seen{$_} = 1 for map { http_content($_) =~ /"pid":(\d+)/ }
		http_many(("GET /status?format=json HTTP/1.0\x0d\x0a\x0d\x0a") x 50);
	return keys %seen == 2;
});
is_deeply([sort { $a <=> $b } keys %seen], \@workers, 'both answer');

# one that goes is replaced; the other does not notice

kill 'TERM', $workers[0];
ok(wait_for(sub { my @now = worker_pids($t);
	@now == 2 && $now[-1] > $workers[1] }), 'a new worker');
ok(wait_for(sub { $m->open_connections() == 2 }), 'a new connection for it');
is($m->connections(), 3, 'no other connection');
is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
	[map { "200 <$_>" } @keys], 'get from both');

###############################################################################
