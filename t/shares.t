#!/usr/bin/perl

# Tests for memcache module: modules that say who they are have shares of a
# server's queue; those that do not are one module.

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

use constant QUEUE => 100;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'shares');

$t->write_file_expand('nginx.conf', http_conf(<<'EOF', qw/ kv shares.so /));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    memcache_queue 100;
    memcache_pipeline 4;
    memcache_coalesce off;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=2;
        memcache_server 127.0.0.1:8082 max=2;

        location /shares { shares; }
        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081, 8082;

$t->run()->plan(24);

###############################################################################

# all of a key go to one server, which does not answer: the flood takes its
# pipelines, and its queue

is(code(kv_put('/kv/begin', 'x')), 204, 'it works');
$_->pause() for @m;

my $busy = shares('fill', 'flood', 500);
ok($busy > 0 && $busy < 500, 'a flood is refused');
is(shares('fill', 'flood', 10), 10, 'as long as it waits');
is(shares('fill', 'ask', 10), 0, 'another module is not');
is(shares('fill', 'none', 1), 0, 'nor are those that do not say who they are');
is(shares('fill', 'flood', 10), 10, 'the flood still is');

my %module = modules();
cmp_ok($module{ngx_http_log_module}{queued}, '>=', 1, 'some of them wait');
cmp_ok($module{ngx_http_core_module}{queued}, '>=', QUEUE / 2,
	'more of the flood do');
is($module{ngx_http_log_module}{errors}, 0, 'no errors');
is($module{ngx_http_core_module}{errors}, $busy + 20, 'errors of the flood');

$_->resume() for @m;

ok(wait_for(sub {
	my %module = modules();
	return !grep { $_->{queued} } values %module;
}), 'all are answered');

%module = modules();
is($module{ngx_http_log_module}{operations}, 10, 'operations');
is($module{ngx_http_log_module}{errors}, 0, 'no errors at last');
is($module{'-'}{operations}, 1, 'operations without a module');
is($module{ngx_http_memcache_kv_module}{operations}, 1, 'kv is a module');

# a subset has modules as well, and it is the same module

is(shares('fill', 'subset', 5), 0, 'a subset');
ok(wait_for(sub {
	my %module = modules();
	return $module{ngx_http_log_module}{operations} == 15;
}), 'the same module');

is(http_content(http_get('/shares?do=wrong')),
	'null=36 none=36 place=36 client=35 same=1', 'misuse');

# who does not say who it is shares with all that do not

$t->stop();
$t->run();
is(shares('fill', 'ask', 0), 0, 'another module is known');
$_->pause() for @m;

ok(shares('fill', 'none', 500) > 0, 'a flood without a name');
is(shares('fill', 'none', 10), 10, 'others without a name wait with it');
is(shares('fill', 'ask', 5), 0, 'a module has its share');

like(http_get('/status?format=prometheus'),
	qr/^memcache_module_errors_total\{.*module="-"\} \d+/m, 'prometheus');
like(http_get('/status?format=html'), qr/ngx_http_log_module/, 'page');

$_->resume() for @m;

###############################################################################

sub shares {
	my ($do, $who, $n) = @_;
	my $text = http_content(http_get("/shares?do=$do&who=$who&n=$n"));

	return $text =~ /busy=(\d+)/ ? $1 : "not said: $text";
}

# The modules that the status has, by their names.
sub modules {
	my ($client) = @{ status()->{clients} };

	return map { $_->{name} => $_ } @{ $client->{modules} };
}

###############################################################################
