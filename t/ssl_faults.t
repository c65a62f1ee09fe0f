#!/usr/bin/perl

# Tests for memcache module: TLS to servers that misbehave.

###############################################################################

use warnings;
use strict;

use IPC::Open2;
use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Certificates;
use Test::Memcached::Fake;
use Test::Relay;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('openssl');
plan(skip_all => 'no IO::Socket::SSL, Debian has it in libio-socket-ssl-perl')
	if !eval { require IO::Socket::SSL };

my $dir = $t->testdir();
Test::Certificates->authority($dir)->sign('server', for => 'IP:127.0.0.1');
my %tls = (SSL_cert_file => "$dir/server.pem", SSL_key_file => "$dir/server.key");

# by the key's first word
my %script = (
	notify => sub { (half($_[0]), NOTIFY) },
	cut => sub { (half($_[0]), FINISH) },
	reset => sub { (half($_[0]), RESET) },
	closed => sub { (half($_[0]), CLOSE) },
	renegotiate => sub { my @all = halves($_[0]);
		($all[0], RENEGOTIATE, $all[1]) },
	bytes => sub { split //, $_[0]->answer() },
	fit => sub { fit($_[0]) },
);

my $script = sub {
	my ($request) = @_;
	my ($kind) = $request->{key} =~ /^([a-z]+)/;
	return $request->answer()
		if $request->{verb} ne 'mg' || !$script{$kind // ''};
	return $script{$kind}->($request);
};

Test::Memcached::Fake->start($t, port(8101), $script,
	tls => { %tls, SSL_version => 'TLSv1_3' });
Test::Memcached::Fake->start($t, port(8102), $script,
	tls => { %tls, SSL_version => 'TLSv1_2' });

# OpenSSL may be the first to read it
my $plain = 'not_tls|tls_failed';

# What the server says first, to be followed by nothing.  name; bytes; class;
# what OpenSSL says of it at level info
my @first = (
	['handshake_failure', "\x15\3\3\0\2\2\x28", 'tls_failed', 'alert handshake failure'],
	['protocol_version', "\x15\3\3\0\2\2\x46", 'tls_failed', 'alert protocol version'],
	['internal_error', "\x15\3\3\0\2\2\x50", 'tls_failed', 'alert internal error'],
	['unrecognized_name', "\x15\3\3\0\2\2\x70", 'tls_failed', 'unrecognized name'],
	['a warning alone', "\x15\3\3\0\2\1\0", 'tls_failed|tls_timeout', ''],
	['an unknown alert', "\x15\3\3\0\2\2\xfe", 'tls_failed', 'SSL_do_handshake'],
	['half an alert', "\x15\3\3", 'tls_timeout', ''],
	['a record that is too large', "\x16\3\3\xff\xff" . 'x' x 70000,
		'tls_failed', 'packet length too long|wrong version|excessive'],
	['a record of data', "\x17\3\3\0\4HD\r\n", 'tls_failed', 'unexpected'],
	['a reply', "HD\r\n", $plain, ''],
	['memcached', "ERROR\r\n", $plain, ''],
	['HTTP', "HTTP/1.1 400 Bad Request\r\n\r\n", $plain, ''],
	['full', "ERROR Too many open connections\r\n", 'full|tls_failed', ''],
	['a zero', "\0", $plain, ''],
);

# What is between nginx and a good server.  name; what it makes of the server's
# bytes; class
my @between = (
	(map { my $n = $_; ["stalls after $n", sub { stall($n, @_) },
		'tls_timeout'] } 1, 5, 6, 100, 130, 1000),
	# text that the server has not said, where a reply is awaited
	['text before all', sub { ($_[1] ? '' : "HD\r\n") . $_[0] }, 'not_tls'],
	['text behind the first bytes', sub { $_[1] ? $_[0]
		: "$_[0]VERSION 1.6.18\r\nMN\r\n" }, 'tls_failed|hung_up'],
	['text in a record of data', sub { $_[1] ? $_[0]
		: "$_[0]\x17\3\3\0\5MN\r\n." }, 'tls_failed|hung_up'],
	['text before all bytes but the first', sub { $_[1]
		? "MN\r\n$_[0]" : $_[0] }, 'hung_up|cut_off'],
);

my ($port, @servers) = (8110);
for my $row (@first) {
	my $bytes = $row->[1];
	Test::Memcached::Fake->start($t, port($port), sub { }, tls => 0,
		raw => sub { $bytes });
	push @servers, $port++;
}
for my $row (@between) {
	Test::Relay->start($t, port($port), port(8101), answer => $row->[1]);
	push @servers, $port++;
}

# New keys in the middle of a reply (TLS 1.3); openssl can do that.
$t->run_daemon(\&updates, $dir, port(8103));
$t->waitforsocket('127.0.0.1:' . port(8103));

my $n = 8040;
$t->write_file_expand('nginx.conf', faults_conf({ http => <<"EOF" },
    memcache_ssl on;
    memcache_ssl_trusted_certificate ca.pem;
    memcache_max_value 4m;
    client_max_body_size 4m;
EOF
	(map { ($_ - 21 => "memcache_server 127.0.0.1:$_ max=1; "
		. 'memcache_connect_timeout 30s; memcache_timeout 30s; '
		. 'memcache_max_fails 1000;') }
		8101 .. 8103),
	# the rows have their own time, for a stall ends by it alone
	map { ($n++ => "memcache_server 127.0.0.1:$_ max=1; "
		. 'memcache_connect_timeout 500ms; memcache_timeout 5s;') }
		@servers));
$n = 8040;

$t->plan(2 * 13 + 1 + 3 * @first + 2 * @between)->run();

###############################################################################

for my $port (8080, 8081) {
	my $version = $port == 8080 ? '1.3' : '1.2';
	my @to = at($port);

	kv_put('plain', 'value', @to);

	for my $kind (qw/ notify cut reset closed /) {
		kv_put($kind, 'v' x 3000, @to);
		is(code(kv_get($kind, @to)), 502, "$version $kind: refused");
		is(content(kv_get('plain', @to)), '200 value', "$version $kind: goes on");
	}

	kv_put('bytes', 'b' x 300, @to);
	is(content(kv_get('bytes', @to)), '200 ' . 'b' x 300,
		"$version records of a byte");

	# the last record of a reply is full, or holds one byte, or lacks one
	my @wrong = grep {
		my ($key, $reply) = ($_, kv_get($_, @to));
		content($reply) !~ /^200 (?:$key,)+\.*\z/;
	} map { my $size = $_ * 16384; map { 'fit' . ($size + $_) } -1, 0, 1, 2 }
		1, 2, 3, 4, 8;
	is("@wrong", '', "$version replies that end where records do");

	my @keys = map { 'fit' . 4096 * $_ } 1 .. 40;
	my @got = get_all($port, @keys);
	is_deeply([grep { content($got[$_]) !~ /^200 (?:$keys[$_],)+\.*\z/ }
		0 .. $#keys], [], "$version many at once");

	# nginx takes part in no other handshake: a value is its own, or none
	my @names = map { "renegotiate$_" } 1 .. 4;
	kv_put($_, "$_," x 5000, @to) for @names;
	my @odd = grep { $_->[1] !~ /^(?:no answer |50[234] |200 (?:$_->[0],){5000}\z)/ }
		map { [$_, content(kv_get($_, @to))] } @names;
	is(join('; ', map { "$_->[0]: " . substr $_->[1], 0, 100 } @odd), '',
		"$version a new handshake: its own value or none");
	is(content(kv_get('plain', @to)), '200 value', "$version goes on");
}

is(join(' ', map { content(kv_get("k$_", at(8082))) } 1 .. 3),
	join(' ', map { "200 value of k$_" } 1 .. 3), 'new keys');

my @ports = @servers;
for (@first) {
	my ($name, undef, $class, $reason) = @$_;
	my ($server, $to) = (port(shift @ports), $n++);
	isnt(code(kv_get('plain', at($to))), 200, "$name: refused");
	like(class($server), qr/^(?:$class)\z/, "$name: the class");
	like(messages($t), qr/$reason.*$server/, "$name: the log");
}
for (@between) {
	my ($name, undef, $class) = @$_;
	my ($server, $to) = (port(shift @ports), $n++);
	isnt(code(kv_get('plain', at($to))), 200, "$name: refused");
	like(class($server), qr/^(?:$class)\z/, "$name: the class");
}

###############################################################################

# The reply, and its halves.
sub halves {
	my ($request) = @_;
	my $answer = $request->answer();
	my $half = length($answer) / 2;
	return (substr($answer, 0, $half), substr $answer, $half);
}

sub half { (halves(@_))[0] }

# A reply with as many bytes as the key says.
sub fit {
	my ($request) = @_;
	my ($size) = $request->{key} =~ /(\d+)/;
	my $length = $size - length "VA 12345\r\n\r\n";
	my $line = $request->line("VA $length");
	$length -= length($line) - length "VA 12345\r\n";
	$line = $request->line("VA $length");

	my $value = "$request->{key}," x ($length / length "$request->{key},");
	return "$line$value" . '.' x ($length - length $value) . "\r\n";
}

# The class of the last error of a server.
sub class { (server_status($_[0]) || {})->{last_error}{class} // "none" }

# A memcached that has everything, and changes its keys in each value.
sub updates {
	my ($dir, $port) = @_;
	open STDERR, '>', "$dir/s_server.log" or die "Can't write: $!\n";
	my $pid = open2(my $out, my $in, 'openssl', 's_server', '-tls1_3',
		'-accept', "127.0.0.1:$port", '-cert', "$dir/server.pem",
		'-key', "$dir/server.key");
	$SIG{TERM} = sub { kill 'TERM', $pid; exit };

	while (defined(my $line = <$out>)) {
		my ($verb, $key, @flags) = split ' ', $line;
		my %known = (f => 'f0', c => 'c1', k => 'k' . ($key // ''));
		my $asked = join '', map { /^O/ ? " $_" : $known{$_}
			? " $known{$_}" : '' } @flags;
		my ($opaque) = $asked =~ /( O\S+)/ ? $1 : '';

		if (($verb // '') eq 'mg' && $key !~ /^k\d/) {
			syswrite $in, "EN\r\n";
		} elsif (($verb // '') eq 'mg') {
			my $value = "value of $key";
			# each of them is a command, or text, by itself
			for my $text ('VA ' . length($value) . "$asked\r\nva",
				"K\n", substr("$value\r\n", 2))
			{
				syswrite $in, $text;
				select undef, undef, undef, 0.3;
			}
		} elsif (($verb // '') =~ /^(?:version|mn|ms)\z/) {
			syswrite $in, { version => "VERSION 1.6.18\r\n",
				mn => "MN\r\n", ms => "HD$opaque\r\n" }->{$verb};
		}
	}
}

sub stall {
	my ($most, $bytes, $passed) = @_;
	return $passed >= $most ? '' : substr $bytes, 0, $most - $passed;
}

###############################################################################
