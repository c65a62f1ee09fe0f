#!/usr/bin/perl

# Tests for memcache module: a single process, without a master.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(11)
	->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
master_process off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 min=1 max=1;
    memcache_timeout 60s;
    memcache_connect_timeout 60s;

%%KV_SERVER%%
}

EOF

my $conf = $t->read_file('nginx.conf');

$t->write_file('nginx.conf', $conf =~ s/^http \{\K/ memcache_zone mc:1m;/mr);
like(`$Test::Nginx::NGINX -p @{[$t->testdir()]} -c nginx.conf -t 2>&1`,
	qr/\[warn\] .*zone "mc" is not used with "master_process off" in .*:\d+/,
	'a zone');
$t->write_file('nginx.conf', $conf);
unlink $t->testdir() . '/nginx.pid';

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 50;

is(status()->{pid}, $t->read_file('nginx.pid') + 0, 'C41 a single process');
is_deeply([map { code($_) } http_many(map { ['PUT', $_, value => "<$_>"] }
	@keys)], [(204) x @keys], 'set');
is_deeply([map { scalar $m->get($_) } @keys], [map { "<$_>" } @keys], 'stored');
is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
	[map { "200 <$_>" } @keys], 'get');
is(content(kv_post('n', 'incr=1&initial=1')), '200 1', 'incr');
is(code(kv_delete('n')), 204, 'delete');
is($m->connections(), 1, 'one connection');

$m->pause();
my @leave = map { kv_get($_, start => 1) } @keys;
ok(wait_for(sub { server_status(port(8081))->{pending} == @keys }),
	'all in flight');
close $_ for @leave;
$m->resume();
is(content(kv_get('key2')), '200 <key2>', 'get behind aborted ones');

$t->stop();
unlike(messages($t), qr/open socket|aborting/, 'exit');

###############################################################################
