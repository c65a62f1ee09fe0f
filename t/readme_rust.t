#!/usr/bin/perl

# Tests for memcache module: the first sibling that README.md shows, as
# api/tests/readme.sh has built it in a folder of its own.

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

my $module = $ENV{TEST_NGINX_MEMCACHE_README} // '';

plan(skip_all => 'the sibling of README.md was not built for this nginx')
	if !-e $module;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(7);

my $config = <<"EOF";

%%TEST_GLOBALS%%

load_module $module;
%%LOAD_MEMCACHE%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=1;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / { visits on; }
    }

    # nobody is there
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;

        location / { visits on; }
    }
}

EOF

$t->write_file_expand('nginx.conf', conf($config));

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

is(content(http_get('/a')), "200 1\n", 'first visit');
is(content(http_get('/a')), "200 2\n", 'second visit');
is(content(http_get('/b')), "200 1\n", 'another page');
is(($m->get('visits:/a'))[0], 2, 'counted in memcached');
like(($m->get('visits:/a'))[2], qr/^3(600|59\d)$/, 'for an hour');
is(code(http_get('/a', PeerAddr => '127.0.0.1:' . port(8082))), 503,
	'without memcached');

$t->stop();

like(check_config($t, $config =~ s/^%%LOAD_MEMCACHE%%$//mr
	=~ s/^ *memcache_.*$//gmr), qr/\[emerg\] "visits" requires ngx_http_memcache/,
	'without the module');

###############################################################################
