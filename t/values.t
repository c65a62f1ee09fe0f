#!/usr/bin/perl

# Tests for memcache module: values, from none to the largest and above.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(34)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    client_max_body_size 8m;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /buffered/ {
            memcache_kv on;
            client_body_buffer_size 4m;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_max_value 3m;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081), '-I', '2m', '-m', '128');

$t->run();

###############################################################################

# 1023k is the default of memcache_max_value

my %size = ('0 bytes' => 0, '1 byte' => 1, '100 KiB' => 102400,
	'the maximum less one' => 1047551, 'the maximum' => 1047552);

for my $name (sort keys %size) {
	my $value = pattern($size{$name});

	is(code(kv_put('v', $value)), 204, "$name - set");
	ok($m->get('v') eq $value, "$name - stored");
	ok(http_content(kv_get('v')) eq $value, "$name - get");
	is(header(kv_head('v'), 'Content-Length'), $size{$name},
		"$name - head");
}

# what looks like the protocol is a value

my $hostile = "\r\nHD\r\nEN\r\nVA 3 f0 c1 O1\r\nabc\r\nMN\r\nERROR\r\n";

is(code(kv_put('h', $hostile)), 204, 'protocol - set');
is(content(kv_get('h')), "200 $hostile", 'protocol - get');

# bodies in memory, in a file, in chunks

my $value = pattern(300000);

is(code(kv_put('v', $value, location => '/buffered/')), 204, 'buffered body');
ok($m->get('v') eq $value, 'buffered body - stored');

like(http(<<"EOF"), qr/ 204 /, 'chunked body');
PUT /kv/chunked HTTP/1.1
Host: localhost
Connection: close
Transfer-Encoding: chunked

3\x0d
abc\x0d
4\x0d
defg\x0d
0\x0d
\x0d
EOF
is($m->get('chunked'), 'abcdefg', 'chunked body - stored');

# a value that is too large is refused before a byte is sent

$m->set('v', 'old');
my $received = $m->received();

is(code(kv_put('v', pattern(1047553))), 413, 'above the maximum');
is(code(kv_put('v', pattern(2000000), location => '/buffered/')), 413,
	'above the maximum, buffered');
is($m->received(), $received, 'above the maximum - not a byte was sent');
is(content(kv_get('v')), '200 old', 'above the maximum - not stored');

# one that others stored is not received

$m->set('v', pattern(1047553));
is(code(kv_get('v')), 502, 'larger than the maximum');
is(content(kv_get('h')), "200 $hostile", 'get behind it');

# memcached refuses what is too large for it, and tells so

my $other = '127.0.0.1:' . port(8082);

is(code(kv_put('v', pattern(2500000), PeerAddr => $other)), 413,
	'R19 too large for memcached');
is(content(kv_get('h', PeerAddr => $other)), "200 $hostile",
	'get behind the refusal');

###############################################################################

# Bytes of which no two stretches are alike.
sub pattern {
	my ($length) = @_;
	return substr join("\r\n", 1 .. $length / 5 + 1), 0, $length;
}

###############################################################################
