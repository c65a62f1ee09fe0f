#!/usr/bin/perl

# Tests for memcache module: what TLS allocates is freed, however a connection
# ends.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Certificates;
use Test::Memcached::Fake;

###############################################################################

# At least as many connections end in each way.
use constant FEW => 6;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('openssl')
	->has_daemon('gcc');
plan(skip_all => 'no IO::Socket::SSL, Debian has it in libio-socket-ssl-perl')
	if !eval { require IO::Socket::SSL };
plan(skip_all => 'no preload before a sanitizer or valgrind')
	if !memory_tells();

my $dir = $t->testdir();
system("gcc -fPIC -shared -o $dir/ssl.so preload/ssl.c -ldl") == 0
	or die "Can't compile preload/ssl.c\n";
Test::Certificates->authority($dir)->sign('server', for => 'IP:127.0.0.1');

# In a value: reads no more, or ends the connection so.
my %ends = (deaf => DEAF, close => CLOSE, reset => RESET, finish => FINISH,
	notify => NOTIFY);

sub end {
	my ($request) = @_;
	my ($kind) = $request->{key} =~ /^([a-z]+)/;
	return $ends{$kind // ''} // ();
}

my @fakes = map { my $version = $_->[1]; Test::Memcached::Fake->start($t,
	port($_->[0]), sub { (end($_[0]), $_[0]->answer()) }, header => \&end,
	buffer => 4096, tls => { SSL_cert_file => "$dir/server.pem",
	SSL_key_file => "$dir/server.key", SSL_version => $version }) }
	[8101, 'TLSv1_3'], [8102, 'TLSv1_2'];

$t->write_file_expand('nginx.conf', faults_conf({ http => <<"EOF" },
    memcache_ssl on;
    memcache_ssl_trusted_certificate ca.pem;
    memcache_timeout 100ms;
    memcache_connect_timeout 10s;
    memcache_max_fails 65535;
    memcache_retry 1ms;
    memcache_pipeline 1;
    memcache_max_value 4m;
    client_max_body_size 4m;
    client_body_buffer_size 4m;
EOF
	8080 => 'memcache_server 127.0.0.1:8101 min=1 max=12;',
	8081 => 'memcache_server 127.0.0.1:8102 min=1 max=12;',
));

my $file = "$dir/counters";
open my $f, '>', $file or die "Can't write $file: $!\n";
print $f "\0" x 16;
close $f;

{
	local $ENV{SSL_FILE} = $file;
	local $ENV{LD_PRELOAD} = "$dir/ssl.so";
	$t->plan(2 * (keys %ends) + 2)->run();
}

###############################################################################

for my $port (8080, 8081) {
	for my $kind (sort keys %ends) {
		my ($made) = counters();

		# what is being closed leaves room for others
		wait_for(sub {
			my @open = map { kv_put("$kind$_", 'v' x 2_000_000, at($port),
				start => 1) } 1 .. 12;
			read_all(@open);
			(counters())[0] >= $made + FEW;
		});

		my ($new, $left);
		my $passed = wait_for(sub {
			($new, $left) = counters();
			$new >= $made + FEW && $left <= held() });
		ok($passed, "$port $kind: " . ($new - $made) . ' more, '
			. "$left there, " . held() . ' in use');
	}
}

$t->stop();
my ($made, $left) = counters();
cmp_ok($made, '>=', FEW * 2 * keys %ends, "$made were made");
is($left, 0, 'none is left');

###############################################################################

# How many were made, and are there.
sub counters {
	open my $f, '<', $file or die "Can't read $file: $!\n";
	read $f, my $bytes, 16;
	my ($made, $freed) = unpack 'QQ', $bytes;
	return ($made, $made - $freed);
}

# The connections that there are.
sub held {
	my $held = 0;
	for my $client (@{status()->{clients}}) {
		$held += $_->{connections}{open} + $_->{connections}{connecting}
			for @{$client->{servers}};
	}
	return $held;
}

###############################################################################
