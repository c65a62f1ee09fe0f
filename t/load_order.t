#!/usr/bin/perl

# Tests for memcache module: a sibling may be loaded before it or behind it.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(6);
my $m = Test::Memcached->start($t, port(8081));

my @orders = (
	['module, sibling', '%%LOAD_MEMCACHE%% %%LOAD_MEMCACHE_KV%%'],
	['sibling, module', '%%LOAD_MEMCACHE_KV%% %%LOAD_MEMCACHE%%'],
);

for (@orders) {
	my ($name, $load) = @$_;
	my $conf = <<'EOF';

%%TEST_GLOBALS%%

<load>

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOF

	$conf =~ s/<load>/$load/;

	like(check_config($t, $conf), qr/test is successful/, "$name - test");

	$t->run();
	is(code(kv_put('key', $name)), 204, "$name - set");
	is(content(kv_get('key')), "200 $name", "$name - get");
	$t->stop();
}

###############################################################################
