#!/usr/bin/perl

# Tests for memcache module: a sibling in Rust with a client of its own over
# some of the servers, and servers taken out of use.

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
	->write_file_expand('nginx.conf', http_conf(<<'EOF', qw/ kv test /));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_server 127.0.0.1:8082 max=1 weight=2;
        memcache_server 127.0.0.1:8083 max=1 weight=3;

        location /subset { test_content subset; }
        location /set { test_content set; }
        location /enable { test_content enable; }
        location /disable { test_content disable; }
        location /status { memcache_status; }
    }

    # configured with what is a subset above
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8082 max=1 weight=2;
        memcache_server 127.0.0.1:8083 max=1 weight=3;

        location /kv/ { memcache_kv on; }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081 .. 8083;
my @names = map { '127.0.0.1:' . port($_) } 8081 .. 8083;

$t->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 40;
my (@wrong, %on);

for my $key (@keys) {
	my $r = http_content(http_get("/subset?key=$key&value=$key&weight=2"));
	my ($home) = $r =~ /^(\S+) of \Q$names[1] $names[2]\E 1\.\d+\.\d+$/;
	my @has = grep { defined $m[$_]->get($key) } 0 .. 2;

	push @wrong, "$key: $r" if @has != 1 || $names[$has[0]] ne ($home // '');
	$on{$has[0]}++;
}

is_deeply(\@wrong, [], 'subset - a key is on the server that it says');
is_deeply([sort keys %on], [1, 2], 'subset - on all of its servers');
is_deeply([map { content(kv_get($_, PeerAddr => '127.0.0.1:' . port(8084))) }
	@keys], [map { "200 $_" } @keys],
	'subset - routes as a client with these servers');
is($_->connections(), $_ == $m[0] ? 0 : 2, 'subset - no connections of its own')
	for @m;

like(http_get('/subset?key=one&value=1&weight=3'), qr/\Q$names[2] of $names[2] /,
	'subset of one');
is($m[2]->get('one'), 1, 'subset of one - stored');
like(http_get('/subset?key=all&value=1&weight=1'), qr/ of @{[join ' ', @names]} /,
	'subset of all');
is(code(http_get('/subset?key=none&value=1&weight=4')), 500, 'subset of none');
like($t->read_file('error.log'), qr/memcache: no server was chosen/,
	'subset of none - logged');

# out of use, in this worker

my ($home) = http_content(http_get('/subset?key=off&value=1&weight=1')) =~ /(\S+)/;
is(code(http_get('/disable?key=off')), 204, 'disable');
is(server_status($home)->{state}, 'disabled', 'disable - state');
is(code(http_get('/set?key=off&value=2')), 503, 'disable - refused');
is(code(http_get('/enable?key=off')), 204, 'enable');
is(server_status($home)->{state}, 'live', 'enable - state');
is(code(http_get('/set?key=off&value=3')), 204, 'enable - accepted');

###############################################################################
