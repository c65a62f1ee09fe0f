#!/usr/bin/perl

# Tests for memcache module: server blocks to which no memcache_server
# applies, and what a loaded module does there: nothing.

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

my $t = Test::Nginx->new()->has(qw/http memcached rewrite/)
	->has_daemon('memcached')->plan(11)
	->write_file_expand('nginx.conf', http_conf(<<'EOF', qw/ kv test /));

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_timeout 5s;

        location / {
        }

        location /return {
            return 200 "it works";
        }

        location /stock/ {
            set $memcached_key $uri;
            memcached_pass 127.0.0.1:8081;
        }

        # a sibling that does not ask for a client when it is configured
        location = /get {
            test_content get;
        }

        location = /set {
            test_content set;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8081;
        memcache_connect_timeout 5s;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->write_file('file.txt', 'a file');
$t->run();

###############################################################################

is(code(http_get('/get?key=cow')), 503, 'sibling - get');
is(code(http_get('/set?key=cow&value=moo')), 503, 'sibling - set');
like($t->read_file('error.log'),
	qr/no "memcache_server" is defined here, client: /, 'sibling - logged');
is($m->connections(), 0, 'not connected');

is(content(http_get('/file.txt')), '200 a file', 'static file');
is(content(http_get('/return')), '200 it works', 'return');
is(code(http_get('/none')), 404, 'not found');
$m->set('/stock/cow', 'moo');
is(content(http_get('/stock/cow')), '200 moo', 'memcached_pass');

is(code(kv_put('cow', 'moo', PeerAddr => '127.0.0.1:' . port(8082))), 204,
	'another server block has a list');
is($m->get('cow'), 'moo', 'another server block - stored');
is(code(http_get('/get?key=cow')), 503, 'sibling - still none');

###############################################################################
