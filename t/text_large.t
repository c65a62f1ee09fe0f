#!/usr/bin/perl

# Tests for memcache module: items above memcache_max_value on a server that
# speaks the text protocol.  It compares no version in an append, so appends at
# the same time make one, each of which alone would fit.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(12);

$t->write_file_expand('nginx.conf', http_conf(<<'EOC'));

    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_max_value 10k;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        memcache_server 127.0.0.1:8081 max=1;
        memcache_protocol text;
        location /kv/ { memcache_kv on; }
        location = /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }

EOC

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

kv_put('other', 'moo');

# each of them fits, all of them do not

my $large = 'x' x 6000;
kv_put('key', '<');
$m->pause();
my @started = map { kv_post('key', 'append', value => $large, start => 1) } 1 .. 4;
$m->resume();
my @codes = map { code($_) } read_all(@started);
is(scalar(grep { /^(?:204|413)$/ } @codes), 4, 'appends - done or too large');
$m->set('key', $large x 4);

# what the reader sees, and nobody else

my @got = map { code($_) } read_all(map { kv_get($_ % 2 ? 'key' : 'other',
	start => 1) } 1 .. 20);
is(join(' ', @got), join(' ', ('502 200') x 10), 'get - 502, others are answered');
is(code(kv_get('', args => 'keys=key,other')), 502, 'get of several - 502');
my $server = server_status(port(8081));
is("$server->{state} $server->{connections}{lost}", 'live 0',
	'no connection is lost');
cmp_ok($server->{errors}{too_large}, '>=', 10, 'counted');
like(messages($t), qr/is larger than memcache_max_value/, 'the log says why');

# it is there: extended it is not, and it can be replaced and deleted

is(code(kv_post('key', 'append', value => 'x')), 413, 'append - 413');
is(code(kv_put('key', 'x', headers => ['If-None-Match: *'])), 412, 'add - 412');
is(code(kv_put('key', 'new')) . content(kv_get('key')), '204200 new',
	'set - it is readable');

$m->set('key', $large x 4);
is(code(kv_delete('key')) . code(kv_get('key')), '204404', 'delete');

$m->set('key', $large x 4);
is(code(kv_delete('key', headers => ['If-Match: *'])) . code(kv_get('key')),
	'204404', 'delete, if there is one');

$m->set('key', $large x 4);
is(code(kv_post('key', 'touch=100')), 204, 'touch');

###############################################################################
