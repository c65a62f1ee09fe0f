#!/usr/bin/perl

# Tests for memcache module: several servers.  Keys go where nginx's own
# "hash $key" and apr_memcache look for them.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http memcached rewrite upstream_hash/)
	->has_daemon('memcached')->plan(36)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    upstream equal {
        hash $memcached_key;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream weighted {
        hash $memcached_key;
        server 127.0.0.1:8083 weight=3;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 weight=2;
    }

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    memcache_server 127.0.0.1:8081;
    memcache_server 127.0.0.1:8082;
    memcache_server 127.0.0.1:8083;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }

        location ~ ^/stock/(.*) {
            set $memcached_key $1;
            memcached_pass equal;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 weight=3;
        memcache_server 127.0.0.1:8081;
        memcache_server 127.0.0.1:8082 weight=2;
        memcache_hash modulo;
        memcache_prefix w:;

        location /kv/ {
            memcache_kv on;
        }

        location ~ ^/stock/(.*) {
            set $memcached_key w:$1;
            memcached_pass weighted;
        }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081 .. 8083;

$t->run();

###############################################################################

# known values of the hash: apr_memcache and libmemcached agree on them

is_deeply([map { hash($_) } qw/ foo bar cow key0 key1 key2 key3 /],
	[3187, 30463, 6612, 23387, 11356, 13653, 16978], 'hash');

my @keys = (qw/ foo bar cow /, map { "key$_" } 0 .. 96);

is(scalar(grep { code(kv_put($_, "<$_>")) == 204 } @keys), @keys, 'set');
is_deeply([map { where($_) } @keys], [map { hash($_) % 3 } @keys],
	'servers of the keys');
is_deeply([map { content(http_get("/stock/$_")) } @keys],
	[map { "200 <$_>" } @keys], 'memcached_pass finds them');
is_deeply([map { content(kv_get($_)) } @keys], [map { "200 <$_>" } @keys],
	'get');

# what others stored is found

$m[hash("other$_") % 3]->set("other$_", $_) for 1 .. 50;
is_deeply([map { content(kv_get("other$_")) } 1 .. 50],
	[map { "200 $_" } 1 .. 50], 'get what others stored');

# a list over all servers, in the order asked

is(content(kv_get('', args => 'keys=' . join ',', @keys)),
	'200 ' . join('', map { "<$_>" } @keys), 'multi-get');
is(header(kv_get('', args => 'keys=foo,none,bar,cow'), 'X-Memcache-Hits'), 3,
	'multi-get - hits');

# a binary key is hashed as it is, not as it is sent

my @binary = map { "binary $_\n" } 1 .. 30;

is(scalar(grep { code(kv_put($_, 'x')) == 204 } @binary), @binary,
	'set, binary keys');
is_deeply([map { where($_) } @binary], [map { hash($_) % 3 } @binary],
	'servers of binary keys');

# weights: first 3 of 6, then 1, then 2; the prefix is a part of the key

my $other = '127.0.0.1:' . port(8084);
my @slots = (2, 2, 2, 0, 1, 1);

is(scalar(grep { code(kv_put($_, "w<$_>", PeerAddr => $other)) == 204 }
	@keys), @keys, 'weights - set');
is_deeply([map { where("w:$_") } @keys],
	[map { $slots[hash("w:$_") % 6] } @keys],
	'weights - servers of the keys');
is_deeply([map { content(http_get("/stock/$_", PeerAddr => $other)) } @keys],
	[map { "200 w<$_>" } @keys], 'weights - memcached_pass finds them');
is_deeply([map { content(kv_get($_, PeerAddr => $other)) } @keys],
	[map { "200 w<$_>" } @keys], 'weights - get');

like(content(kv_get('', args => 'servers', PeerAddr => $other)),
	qr/weight=3 .*\n.* weight=1 .*\n.* weight=2 /, 'weights - servers');

# operations on one server

is_deeply([map { code(kv_get('', args => "noop=$_")) } 0 .. 3],
	[204, 204, 204, 404], 'noop');

my %stats = map { /^(\S+) (.*)/ } split /\n/,
	http_content(kv_get('', args => 'stats=1'));

is($stats{pid}, $m[1]->pid(), 'stats - of this server');
is($stats{threads}, 2, 'stats - a number');
like($stats{version}, qr/^1\.\d+/, 'stats - a text');
cmp_ok(keys %stats, '>', 30, 'stats - all lines');
%stats = map { /^(\S+) (.*)/ } split /\n/,
	http_content(kv_get('', args => 'stats=0', PeerAddr => $other));
is($stats{pid}, $m[2]->pid(), 'stats - of this server, other list');
is(code(kv_get('', args => 'stats=3')), 404, 'stats - no such server');
is(content(kv_get('foo')), '200 <foo>', 'get behind stats');

# R62: all are asked at once, so those that hang do not add up

$_->pause() for @m;
my $s = kv_get('', args => 'servers', start => 1);
ok(wait_for(sub { 3 == grep { $_->{pending} == 1 }
	@{status()->{clients}[0]{servers}} }), 'R62 servers - all are asked');
$_->resume() for @m;
is(scalar(() = http_end($s) =~ /^127\.0\.0\.1:\d+ 1\.\d+\S* live /mg), 3,
	'R62 servers - all have answered');

is(code(kv_get('', args => 'flush_all=2')), 405, 'flush_all - by get');
is(code(kv_post('', 'flush_all=3')), 404, 'flush_all - no such server');
is(code(kv_post('', 'flush_all=2&delay=2592001')), 400,
	'flush_all - delay too long');
is(code(kv_post('', 'flush_all=2&delay=2592000')), 204,
	'flush_all - delayed');
is(scalar(grep { code(kv_get($_)) == 200 } @keys), @keys,
	'flush_all - not yet');

my @flushed = grep { hash($_) % 3 == 2 } @keys;
my @kept = grep { hash($_) % 3 != 2 } @keys;

is(code(kv_post('', 'flush_all=2')), 204, 'flush_all');
ok(wait_for(sub { !grep { code(kv_get($_)) != 404 } @flushed }),
	'flush_all - gone');
is_deeply([map { content(kv_get($_)) } @kept], [map { "200 <$_>" } @kept],
	'flush_all - other servers');

# what is stored behind it is kept
wait_for(sub { kv_put($_, "<$_>") for @flushed;
	return !grep { code(kv_get($_)) != 200 } @flushed });

# each is deleted where it is

is(scalar(grep { code(kv_delete($_)) == 204 } @keys), @keys, 'delete');
is_deeply([grep { defined where($_) } @keys], [], 'delete - gone');
is(scalar(grep { code(kv_get($_)) == 404 } @keys), @keys, 'misses');

###############################################################################

# The number of the memcached that has the key.
sub where {
	my ($key) = @_;
	my @found = grep { defined $m[$_]->get($key) } 0 .. $#m;
	return @found > 1 ? "on servers @found" : $found[0];
}

sub hash {
	my ($key) = @_;
	my $crc = 0xffffffff;

	for my $byte (unpack 'C*', $key) {
		$crc ^= $byte;
		$crc = $crc >> 1 ^ ($crc & 1 ? 0xedb88320 : 0) for 1 .. 8;
	}

	return (($crc ^ 0xffffffff) >> 16) & 0x7fff;
}

###############################################################################
