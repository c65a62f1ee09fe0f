#!/usr/bin/perl

# Tests for memcache module: memcache_long_keys.  What is stored under a key
# that is too long can be found by other clients: its name is computed here.

###############################################################################

use warnings;
use strict;

use Digest::SHA qw/ sha256_hex /;
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

    large_client_header_buffers 4 32k;

    memcache_server 127.0.0.1:8081;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    memcache_long_keys hash;

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

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_long_keys refuse;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_protocol text;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

# With a prefix of 5 bytes as well.
my @long = ('a' x 251, 'a' x 250 . 'b', 'a' x 249 . 'ab', 'a' x 8192,
	"a b" x 100, ' ' x 187, "k\xc3\xbch" x 100, "a\r\nflush_all\r\n" x 30,
	'x' x 185 . ' ' . 'x' x 100, 'x' x 184 . ' ' . 'x' x 100);

$t->plan(6 * @long + 12);

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

for my $key (@long) {
	my $name = length($key) . ' bytes, ' . sprintf '"%.3s"', $key =~ s/\s/_/gr;

	for (['', 8080], ['site:', 8082], ['', 8084]) {
		my ($prefix, $port) = @$_;
		my @at = (PeerAddr => '127.0.0.1:' . port($port));

		kv_put($key, "<$port>", @at);
		is($m->get(stored($prefix, $key)), "<$port>", "$name - $port stored");
		is(http_content(kv_get($key, @at)), "<$port>", "$name - $port read");
	}
}

# others differ in their last byte

is(code(kv_get('a' x 250 . 'c')), 404, 'another long key');

# what fits stays as it is

kv_put('b' x 250, 'fits');
is($m->get('b' x 250), 'fits', '250 bytes');
kv_put('b b' x 62, 'fits');
is(http_content(kv_get('b b' x 62)), 'fits', '186 bytes, encoded');
is($m->get(stored('', 'b b' x 62)), undef, '186 bytes, encoded - no digest');

# a digest is a key as others: the same one twice

kv_delete($long[0]);
is($m->get(stored('', $long[0])), undef, 'delete');
is(code(kv_get($long[0])), 404, 'deleted');
kv_put('n' x 300, '5');
like(kv_post('n' x 300, 'incr=2'), qr/\x0d\x0a7$/, 'count');

# limits

my $received = $m->received();
my $refuse = '127.0.0.1:' . port(8083);

is(code(kv_put('a' x 8193, 'x')), 400, 'too long for a digest');
is(code(kv_put('a' x 251, 'x', PeerAddr => $refuse)), 400, 'refuse');
is($m->received(), $received, 'not a byte was sent');
like(kv_put('a' x 8193, 'x'), qr/the\ key\ of\ 8193\ bytes\ is\ too\ long:\ 8192
	\ are\ the\ most,\ also\ with\ memcache_long_keys/x, 'too long for a digest - said');
is(code(kv_get('')), 400, 'an empty key');

###############################################################################

# The name under which a client finds what is stored under a long key.
sub stored {
	my ($prefix, $key) = @_;
	my ($start) = $key =~ /^([^\x00-\x20\x7f]*)/;

	return $prefix . substr($start, 0, 250 - 65 - length $prefix)
		. '#' . sha256_hex($key);
}

###############################################################################
