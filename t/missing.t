#!/usr/bin/perl

# Tests for memcache module: a sibling without it, and it without siblings.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->plan(7);

my $template = <<'EOF';

%%TEST_GLOBALS%%

<load>

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        <server>

        location /ok {
            return 200 "it works";
        }

        location /kv/ {
            <location>
        }
    }
}

EOF

###############################################################################

like(check_config($t, fill('%%LOAD_MEMCACHE_KV%%', '', 'memcache_kv on;')),
	qr/\[emerg\] "memcache_kv" requires ngx_http_memcache_module in .*:\d+/,
	'sibling without the module');
like(check_config($t, fill('%%LOAD_MEMCACHE%%', '', 'memcache_kv on;')),
	qr/\[emerg\] unknown directive "memcache_kv"/,
	'module without the sibling');

# a sibling that is not used asks for nothing

like(check_config($t, fill('%%LOAD_MEMCACHE_KV%%', '', 'memcache_kv off;')),
	qr/test is successful/, 'sibling off - test');
$t->run();
is(content(http_get('/ok')), '200 it works', 'sibling off');
is(code(kv_get('cow')), 404, 'sibling off - location');
$t->stop();

# nor does a module that nobody uses

like(check_config($t, fill('%%LOAD_MEMCACHE%%', 'memcache_server 127.0.0.1;',
	'')), qr/test is successful/, 'module unused - test');
$t->run();
is(content(http_get('/ok')), '200 it works', 'module unused');

###############################################################################

sub fill {
	my ($load, $server, $location) = @_;
	return $template =~ s/<load>/$load/r =~ s/<server>/$server/r
		=~ s/<location>/$location/r;
}

###############################################################################
