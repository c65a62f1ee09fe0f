#!/usr/bin/perl

# Tests for memcache module: a sibling may be loaded before it or behind it,
# and neither into an nginx that it was not built for.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(8);
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

	like(check_config($t, $conf), qr/test is successful/, "C40 $name - test");

	$t->run();
	is(code(kv_put('key', $name)), 204, "C40 $name - set");
	is(content(kv_get('key')), "200 $name", "C40 $name - get");
	$t->stop();
}

# Modules that say they were built for an nginx with other options.

for my $name (qw/ memcache memcache_kv /) {
	my $file = "ngx_http_${name}_module.so";
	open my $f, '<:raw', Test::Nginx::Conf::modules() . "/$file"
		or die "Can't open $file: $!";
	my $module = do { local $/; <$f> };
	$module =~ s/(\d,\d,\d,[01]{20,})([01])\0/$1 . (1 - $2) . "\0"/e;
	$t->write_file($file, $module);

	my $load = "load_module %%TESTDIR%%/$file;";
	$load = "%%LOAD_MEMCACHE%% $load" if $name ne 'memcache';
	like(check_config($t, "$load events { }"),
		qr/\[emerg\] module "\S*$file" is not binary compatible/, "C39 $name");
}

###############################################################################
