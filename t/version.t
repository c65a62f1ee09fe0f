#!/usr/bin/perl

# Tests for memcache module: siblings that were compiled with the header of
# another version (A1), and those that find something else by the module's name.

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

use constant { OK => '0 there', NOT_LOADED => '48 none', TOO_OLD => '49 none',
	TOO_NEW => '50 none' };

my $t = Test::Nginx->new()->has(qw/http/);

open my $f, '<', '../include/ngx_http_memcache.h' or die "Can't open: $!";
my $header = do { local $/; <$f> };
close $f;

mkdir $t->testdir() . '/include';

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'version');

$t->plan(11);

my ($major, $minor) = map { $header =~ /ABI_$_ +(\d+)/ } qw/ MAJOR MINOR /;

###############################################################################

is(found($t, $major, $minor), OK, 'A1 the same');
is(found($t, $major, $minor - 1), OK, 'A1 an earlier minor');
is(found($t, $major, 0), OK, 'A1 the first minor');
is(found($t, $major, $minor + 1), TOO_OLD, 'A1 C40 a later minor');
is(found($t, $major + 1, 0), TOO_OLD, 'A1 C40 a later major');
is(found($t, $major - 1, 99), TOO_NEW, 'A1 an earlier major');

# a table that is smaller than it should be, and another module of this name

is(found($t, $major, $minor, '} ngx_http_memcache_api_t;',
	'void *more[1000]; } ngx_http_memcache_api_t;'), TOO_OLD, 'too small');
is(found($t, $major, $minor, '0x31636d656d78676eULL', '1ULL'), NOT_LOADED,
	'no magic');
is(found($t, $major, $minor, '"ngx_http_memcache_module"',
	'"ngx_http_charset_filter_module"'), NOT_LOADED,
	'another module');

# a module that has our name, and nothing to be read behind its context

compile_sibling($t, 'impostor');
my $impostor = 'load_module ' . $t->testdir() . '/impostor.so;';

is(found($t, $major, $minor, undef, undef, $impostor), NOT_LOADED, 'impostor');
like(check_config($t, template("$impostor\n%%LOAD_MEMCACHE_KV%%",
	'memcache_kv on;')), qr/"memcache_kv" requires ngx_http_memcache_module/,
	'impostor - Rust');

###############################################################################

# What a sibling finds whose header says so, beside our module or another.
sub found {
	my ($t, $major, $minor, $this, $that, $module) = @_;
	my $text = $header;

	$text =~ s/(ABI_MAJOR +)\d+/$1$major/;
	$text =~ s/(ABI_MINOR +)\d+/$1$minor/;
	$text =~ s/\Q$this\E/$that/ if defined $this;
	$t->write_file('include/ngx_http_memcache.h', $text);
	compile_sibling($t, 'version');

	$t->write_file_expand('nginx.conf', conf(template(
		($module // '%%LOAD_MEMCACHE%%')
		. "\nload_module %%TESTDIR%%/version.so;", 'version;')));

	$t->run();
	my $found = http_content(http_get('/'));
	$t->stop();

	return $found;
}

sub template {
	my ($load, $location) = @_;

	return <<"EOF";

%%TEST_GLOBALS%%

$load

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            $location
        }
    }
}

EOF
}

###############################################################################
