#!/usr/bin/perl

# Tests for memcache module: keys.  A key that cannot be sent is refused
# before a byte of the operation reaches the server.

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

$t->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_prefix site:;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my @keys = (
	['a space', 'a b'],
	['a tab', "a\tb"],
	['a line feed', "a\nb"],
	['a carriage return', "a\rb"],
	['commands', "x\r\nflush_all\r\nmg x v\r\n"],
	['a delete', "a\x7fb"],
	['control bytes', join '', map { chr } 1 .. 31],
	['high bytes', join '', map { chr } 0x80 .. 0xff],
	['UTF-8', "k\xc3\xbch"],
	['punctuation', '%?#&=+"\\/;,'],
	['slashes', 'a/../b//c/./d'],
	['one byte', "\x01"],
	['250 bytes', 'a' x 250],
	['250 high bytes', "\xff" x 250],
	['186 bytes, binary', "\n" x 186],
	['like base64', 'YWJj'],
);

my @refused = (
	['empty', ''],
	['251 bytes', 'a' x 251],
	['187 bytes, binary', ' ' x 187],
	['8000 bytes', 'a' x 8000],
);

my @operations = (
	['get', sub { kv_get(@_) }],
	['get and touch', sub { kv_post(shift, 'gat=1', @_) }],
	['set', sub { kv_put(shift, "flush_all\r\n", @_) }],
	['add', sub { kv_put(shift, "flush_all\r\n", @_,
		headers => ['If-None-Match: *']) }],
	['cas', sub { kv_put(shift, "flush_all\r\n", @_,
		headers => ['If-Match: "1-00000000"']) }],
	['append', sub { kv_post(shift, 'append', @_, value => 'x') }],
	['incr', sub { kv_post(shift, 'incr=1&initial=1', @_) }],
	['touch', sub { kv_post(shift, 'touch=1', @_) }],
	['delete', sub { kv_delete(@_) }],
);

my $m = Test::Memcached->start($t, port(8081));

$t->plan(4 * @keys + @refused * @operations + 8)->run();

###############################################################################

my $n = 0;

for (@keys) {
	my ($name, $key) = @$_;
	my $value = 'value ' . $n++;

	is(code(kv_put($key, $value)), 204, "$name - set");
	is($m->get($key), $value, "$name - stored");
	is(content(kv_get($key)), "200 $value", "$name - get");
	is(code(kv_delete($key)), 204, "$name - delete");
}

# other requests may have been sent, but nothing was executed
is(code(kv_put('kept', 'kept')), 204, 'set before');

my $received = $m->received();

for (@refused) {
	my ($name, $key) = @$_;

	is(code($_->[1]->($key)), 400, "$name - $_->[0]") for @operations;
}

is($m->received(), $received, 'not a byte was sent');
is(content(kv_get('kept')), '200 kept', 'get behind');

# the prefix counts

my $other = '127.0.0.1:' . port(8082);

is(code(kv_put('p' x 245, 'prefixed', PeerAddr => $other)), 204, 'prefix');
is($m->get('site:' . 'p' x 245), 'prefixed', 'prefix - stored');

$received = $m->received();
is(code(kv_put('p' x 246, 'x', PeerAddr => $other)), 400, 'prefix too long');
is($m->received(), $received, 'prefix too long - not a byte was sent');

is(code(kv_get('kept', PeerAddr => $other)), 404, 'other keys with a prefix');

###############################################################################
