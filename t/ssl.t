#!/usr/bin/perl

# Tests for memcache module: TLS to memcached, row F60 of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Select;
use IO::Socket::INET;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Certificates;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('openssl');
plan(skip_all => 'no memcached with TLS')
	if `@{[Test::Memcached::command()]} -h` !~ /enable-ssl/;

my $dir = $t->testdir();
my $ca = Test::Certificates->authority($dir);
my $stranger = Test::Certificates->authority($dir, 'stranger');
$ca->sign('right', for => 'DNS:localhost,IP:127.0.0.1');
$ca->sign('other', for => 'DNS:other.example');
$ca->sign('expired', for => 'IP:127.0.0.1', days => -1);
$ca->sign('client');
$ca->lock('client', 'locked', 'a password');
$t->write_file('passwords', "another one\na password\n");
$stranger->sign('strange', for => 'IP:127.0.0.1');

my $trusted = "memcache_ssl_trusted_certificate $dir/ca.pem;";
my @mutual = ('ssl_verify_mode=2', "ssl_ca_cert=$dir/ca.pem");

# name; certificate of memcached, with more options; the address that it has in
# the configuration; lines of the server block; class of the error
my @rows = (
	['by address', ['right'], '127.0.0.1', $trusted],
	['by name', ['right'], 'localhost', $trusted],
	['by another name', ['other'], '127.0.0.1',
		"$trusted memcache_ssl_name other.example;"],
	['the authorities of the system', ['right'], '127.0.0.1', ''],
	['not verified', ['strange'], '127.0.0.1', 'memcache_ssl_verify off;'],
	['TLS 1.2', ['right', 'ssl_min_version=2'], '127.0.0.1',
		"$trusted memcache_ssl_protocols TLSv1.2;"],
	['with a certificate of our own', ['right', @mutual], '127.0.0.1',
		"$trusted memcache_ssl_certificate client.pem; "
		. 'memcache_ssl_certificate_key client.key;'],
	['whose key has a password', ['right', @mutual], '127.0.0.1',
		"$trusted memcache_ssl_certificate client.pem; "
		. 'memcache_ssl_certificate_key locked.key; '
		. 'memcache_ssl_password_file passwords;'],

	['expired', ['expired'], '127.0.0.1', $trusted, 'expired',
		qr/certificate verify error: \(10:certificate has expired\)/],
	['another name', ['other'], '127.0.0.1', $trusted, 'wrong_name',
		qr/the certificate does not match "127\.0\.0\.1"/],
	['a name where an address is asked', ['right'], '127.0.0.1',
		"$trusted memcache_ssl_name 127.0.0.2;", 'wrong_name',
		qr/the certificate does not match "127\.0\.0\.2"/],
	['an unknown authority', ['strange'], '127.0.0.1', $trusted, 'untrusted',
		qr/certificate verify error: \(\d+:/],
	['no protocol in common', ['right', 'ssl_min_version=3'], '127.0.0.1',
		"$trusted memcache_ssl_protocols TLSv1.2;", 'tls_failed',
		qr/the TLS handshake failed/],
	['no protocol in common by a command', ['right', 'ssl_min_version=3'],
		'127.0.0.1', "$trusted memcache_ssl_conf_command MaxProtocol "
		. 'TLSv1.2;', 'tls_failed', qr/the TLS handshake failed/],
	# with TLS 1.3, memcached finds out when our handshake is over
	map({ ["a certificate of our own: $_->[0], TLS 1.$_->[1]", ['right', @mutual],
		'127.0.0.1', "$trusted memcache_ssl_protocols TLSv1.$_->[1];"
		. ($_->[0] eq 'none' ? '' : "memcache_ssl_certificate $_->[0].pem; "
			. "memcache_ssl_certificate_key $_->[0].key;"),
		'tls_failed', qr/the TLS handshake failed/] }
		['none', 3], ['expired', 3], ['strange', 3], ['none', 2], ['strange', 2]),
	['no TLS', [], '127.0.0.1', $trusted,
		# by what memcached takes the bytes of TLS for
		'not_tls|tls_failed|tls_timeout',
		qr/the server does not speak TLS|the TLS handshake (?:failed|is not)/],
);

my $blocks = '';
my $debug = `$Test::Nginx::NGINX -V 2>&1` =~ /--with-debug/;
for my $n (0 .. $#rows) {
	my (undef, $options, $address, $lines) = @{$rows[$n]};
	my ($listen, $port) = (8020 + $n, 8040 + $n);

	$blocks .= <<"EOF";
    server {
        listen       127.0.0.1:$listen;
        server_name  localhost;
        memcache_server $address:%%PORT_$port%% max=2;
        memcache_ssl on;
        $lines
        location /kv/ { memcache_kv on; }
    }
EOF
	start($t, port($port), @$options);
}

# Those of which several connections are made, that is one for each request at
# a time.

for my $n (16, 17) {
	my $reuse = $n == 16 ? 'on' : 'off';
	$blocks .= <<"EOF";
    server {
        listen       127.0.0.1:80$n;
        server_name  localhost;
        memcache_server 127.0.0.1:%%PORT_80@{[62 + $n - 16]}%% max=4;
        memcache_pipeline 1;
        memcache_ssl on;
        memcache_ssl_session_reuse $reuse;
        $trusted
        location /kv/ { memcache_kv on; }
    }
EOF
	start($t, port(8062 + $n - 16), 'right');
}

# What says something before it is asked, as if that had been asked for.
my $early = port(8060);
my $silent = port(8061);
$blocks .= <<"EOF";
    server {
        listen       127.0.0.1:8018;
        memcache_server 127.0.0.1:8060 max=1;
        memcache_ssl on;
        memcache_ssl_verify off;
        location /kv/ { memcache_kv on; }
    }
    server {
        listen       127.0.0.1:8019;
        memcache_server 127.0.0.1:8061 max=1;
        memcache_connect_timeout 200ms;
        memcache_ssl on;
        memcache_ssl_verify off;
        location /kv/ { memcache_kv on; }
    }
EOF
$t->run_daemon(\&fake, $early, "VERSION 1.6.18\r\nMN\r\n");
$t->run_daemon(\&fake, $silent, '');
$t->waitforsocket("127.0.0.1:$_") for $early, $silent;

$t->write_file_expand('nginx.conf', http_conf(<<"EOF"));
    memcache_connect_timeout 3s;
    memcache_timeout 5s;
    memcache_max_value 4m;
    client_max_body_size 4m;

$blocks
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        location /status { memcache_status; }
    }
EOF

# OpenSSL asks for it when the configuration is read
$ENV{SSL_CERT_FILE} = "$dir/ca.pem";
$t->plan(2 * 8 + 3 * 12 + 13)->run();

###############################################################################

for my $n (0 .. $#rows) {
	my ($name, undef, $address, undef, $class, $said) = @{$rows[$n]};
	my $to = '127.0.0.1:' . port(8020 + $n);

	if (!$class) {
		is(code(kv_put("key$n", "value of $name", PeerAddr => $to)), 204, "$name: stored");
		is(content(kv_get("key$n", PeerAddr => $to)), "200 value of $name", "$name: read");
		next;
	}

	isnt(code(kv_get("key$n", PeerAddr => $to)), 200, "F60 $name: refused");
	my $status = server_status('127.0.0.1:' . port(8040 + $n));
	like($status->{last_error}{class}, qr/^(?:$class)\z/, "$name: the class");
	like($t->read_file('error.log'), $said, "$name: the log");
}

# Values of sizes around those of buffers and of TLS's records: nothing is left
# in a buffer of which the socket knows nothing.

my $to = '127.0.0.1:' . port(8020);
my $chars = join '', map { chr(33 + $_ % 90) } 1 .. 700_000;
my @wrong = grep {
	my $value = substr $chars, 0, $_;
	code(kv_put('size', $value, PeerAddr => $to)) != 204
		|| content(kv_get('size', PeerAddr => $to)) ne "200 $value";
} map({ $_ - 60 .. $_ + 2 } 4096, 16384), 32768, 65536, 65537, 131072, 700_000;
is("@wrong", '', 'sizes');

# many replies in a record

kv_put("k$_", substr($chars, $_, 700), PeerAddr => $to) for 1 .. 100;
is(content(kv_get('', args => 'keys=' . join(',', map { "k$_" } 1 .. 100),
	PeerAddr => $to)), '200 ' . join('', map { substr $chars, $_, 700 }
	1 .. 100), 'many');

# a key that is sent encoded, and what is not there

is(code(kv_put('a b', 'value', PeerAddr => $to)), 204, 'binary key: stored');
is(content(kv_get('a b', PeerAddr => $to)), '200 value', 'binary key: read');
is(code(kv_get('none', PeerAddr => $to)), 404, 'a miss');

# sessions

for my $n (17, 16) {
	my $to = '127.0.0.1:' . port(8000 + $n);
	my $opened = sub { server_status('127.0.0.1:' . port(8062 + $n - 16))
		->{connections}{opened} };

	my $reused = sub { scalar(() = $t->read_file('error.log')
		=~ /SSL reused session/g) };
	my $before = $reused->();

	kv_put('key', 'value', PeerAddr => $to);
	for (1 .. 50) {
		last if $opened->() > 2;
		my @open = map { http("GET /kv/key HTTP/1.0\r\n\r\n", start => 1,
			PeerAddr => $to) } 1 .. 8;
		http_end($_) for @open;
	}
	cmp_ok($opened->(), '>', 2, 'sessions: several connections');

	SKIP: {
		skip 'no debug log', 1 unless $debug;
		my $times = $reused->() - $before;
		ok($n == 16 ? $times > 0 : $times == 0, "sessions: $n, $times");
	}
}

# what comes before TLS is not read
isnt(code(kv_get('k', PeerAddr => '127.0.0.1:' . port(8018))), 200, 'early: refused');
like(server_status("127.0.0.1:$early")->{last_error}{class},
	qr/^(?:not_tls|tls_failed)\z/, 'early: the class');
isnt(code(kv_get('k', PeerAddr => '127.0.0.1:' . port(8019))), 200, 'silent: refused');
is(server_status("127.0.0.1:$silent")->{last_error}{class},
	'tls_timeout', 'silent: the class');

###############################################################################

sub start {
	my ($t, $port, $name, @more) = @_;
	my $file = $t->testdir() . '/' . ($name // '');
	my @tls = $name ? ('-Z', '-o', join ',', "ssl_chain_cert=$file.pem",
		"ssl_key=$file.key", @more) : ();
	my @root = $> == 0 ? ('-u', 'root') : ();

	$t->run_daemon(Test::Memcached::command(), '-l', '127.0.0.1', '-p', $port,
		'-U', '0', @root, @tls);
	$t->waitforsocket("127.0.0.1:$port") or die "no memcached on $port\n";
}

# Says this to everybody, and nothing else.
sub fake {
	my ($port, $says) = @_;
	my $listener = IO::Socket::INET->new(Listen => 5, ReuseAddr => 1,
		LocalAddr => "127.0.0.1:$port") or die "Can't listen: $!\n";
	my @held;

	while (my $client = $listener->accept()) {
		$client->syswrite($says) if length $says;
		push @held, $client;
	}
}

###############################################################################
