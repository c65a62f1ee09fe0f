#!/usr/bin/perl

# Tests for memcache module: the sibling in C that README.md shows.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

my $source = shown('page/ngx_http_page_module.c');
$t->write_file('page.c', $source);

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_module($t, 'page', $t->testdir() . '/page.c');

my $conf = <<'EOF';

%%TEST_GLOBALS%%

<load>

load_module %%TESTDIR%%/page.so;

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            page;
        }

        location /down {
            page;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;

        location / {
            page;
        }
    }
}

EOF

$t->plan(11);

###############################################################################

cmp_ok(scalar(() = $source =~ /\n/g), '<', 100, 'short');
like(shown('page/config'), qr/^$_=/m, "config - $_")
	for content_of('../examples/session/config') =~ /^(\w+_(?:type|srcs))=/mg;

my $m = Test::Memcached->start($t, port(8081));
my $loaded = $conf =~ s/<load>/%%LOAD_MEMCACHE%%/r;

$t->write_file_expand('nginx.conf', conf($loaded));
$t->run();

$m->set('/cow', 'moo');
$m->set('/large', 'x' x 1000000);
$m->set('/empty', '');
is(content(http_get('/cow')), '200 moo', 'found');
is(length content(http_get('/large')), 1000004, 'large');
is(content(http_get('/empty')), '200 ', 'empty');
is(code(http_get('/none')), 404, 'missing');
is(code(http_get('/' . 'k' x 250)), 400, 'no key');
like($t->read_file('error.log'), qr/\[info\] .* page: the URI is too long for a key, client/,
	'no key - log');
is(code(http("GET / HTTP/1.0\x0d\x0a\x0d\x0a",
	PeerAddr => '127.0.0.1:' . port(8082))), 503, 'down');

$t->stop();

like(check_config($t, $conf =~ s/<load>|^ *memcache_.*$//gmr),
	qr/\[emerg\] .*"page" directive needs ngx_http_memcache_module/,
	'without the module');

###############################################################################

# A file that README.md shows.
sub shown {
	my ($file) = @_;
	my ($text) = content_of('../README.md')
		=~ /^<!-- file: \Q$file\E -->\n```\w+\n(.*?)^```$/ms;

	return $text // die "README.md has no $file\n";
}

sub content_of {
	my ($file) = @_;

	open my $f, '<', $file or die "Can't open $file: $!";
	local $/;
	return <$f>;
}

###############################################################################
