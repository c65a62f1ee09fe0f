#!/usr/bin/perl

# Tests for memcache module: TLS of real servers: memcached's own, and what
# stands in front of a memcached that has none.

###############################################################################

use warnings;
use strict;

use Test::More;

use File::Copy qw/ copy /;
use IO::Socket::INET;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Nginx::Load;
use Test::Certificates;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('openssl');
my $dir = $t->testdir();
my %versions = Test::Memcached->versions();

# memcached's own TLS is with a password
$t->write_file('auth', "user:secret\n");
chmod 0600, "$dir/auth";

my $ca = Test::Certificates->authority($dir);
$ca->sign($_, for => 'IP:127.0.0.1') for qw/ right renewed /;
Test::Certificates->authority($dir, 'stranger')
	->sign('strange', for => 'IP:127.0.0.1');

# name, what starts it on a port (another port is for it alone)
my @servers;
for my $version (sort keys %versions) {
	my @command = @{$versions{$version}};
	next if `@command -h` !~ /enable-ssl/;
	push @servers, ["memcached $version", sub { memcached(\@command, @_) }];
}
my @memcacheds = 0 .. $#servers;
my ($oldest) = grep { $versions{$_} } '1.6.9', '1.6.18';
for my $version ($oldest, (grep { $_ ne $oldest } (sort keys %versions)[0])) {
	my @command = @{$versions{$version}};
	push @servers, ["stunnel before $version", sub { stunnel(\@command, @_) }]
		if `which stunnel4`;
	push @servers, ["socat before $version", sub { socat(\@command, @_) }]
		if `which socat`;
}

my $blocks = '';
for my $n (0 .. $#servers) {
	my ($listen, $port) = (8020 + $n, 8040 + $n);
	copy("$dir/right.$_", "$dir/$n.$_") for qw/ pem key /;
	$servers[$n][2] = $servers[$n][1]->($t, $n, port($port), port(8060 + $n));
	$t->waitforsocket("127.0.0.1:" . port($port)) or die "No $servers[$n][0]\n";
	$blocks .= <<"EOF";
    server {
        listen       127.0.0.1:$listen;
        memcache_server 127.0.0.1:$port max=4 min=0 smax=0 ttl=1;
        location /kv/ { memcache_kv on; }
    }
EOF
}

$t->write_file_expand('nginx.conf', http_conf(<<"EOF"));
    memcache_ssl on;
    memcache_ssl_trusted_certificate $dir/ca.pem;
    memcache_connect_timeout 10s;
    memcache_timeout 10s;
    memcache_max_value 4m;
    memcache_pipeline 1;
    memcache_auth_file auth;
    memcache_retry 100ms;
    client_max_body_size 4m;

$blocks
    server {
        listen       127.0.0.1:8080;
        location /status { memcache_status; }
    }
EOF

my $debug = `$Test::Nginx::NGINX -V 2>&1` =~ /--with-debug/;
$t->plan(7 * @servers + 7 * @memcacheds)->run();

###############################################################################

my $chars = join '', map { chr(33 + $_ % 90) } 1 .. 2 * 1024 * 1024;

for my $n (0 .. $#servers) {
	my ($name) = @{$servers[$n]};
	my @to = at(8020 + $n);

	for my $size (100, 1024 * 1024, 2 * 1024 * 1024 - 100) {
		my $value = substr $chars, $size % 89, $size;
		my $stored = code(kv_put("size$size", $value, @to));
		ok($stored == 204 && content(kv_get("size$size", @to))
			eq "200 $value", "$name: $size bytes");
	}

	# several connections at once
	kv_put("k$_", value("k$_", 1), @to) for 1 .. 20;
	my @keys = map { "k$_" } (1 .. 20) x 3;
	is_deeply([unhonest(\@keys, get_all(8020 + $n, @keys))], [],
		"$name: many");

	SKIP: {
		skip 'no debug log', 1 if !$debug;
		my $reused = () = $t->read_file('error.log')
			=~ /SSL reused session/g;
		cmp_ok($reused, '>', $servers[$n - 1][3] // 0, "$name: sessions");
		$servers[$n][3] = $reused;
	}
}

# the certificate is replaced

for my $n (@memcacheds) {
	my ($name) = @{$servers[$n]};
	my @to = at(8020 + $n);
	my $port = '127.0.0.1:' . port(8040 + $n);

	is(renew($n, 'renewed'), 'OK', "$name: renewed");
	is(content(kv_get('k1', @to)), '200 ' . value('k1', 1), "$name: goes on");
	renew($n, 'strange');
	# those that there are stay; what is idle is closed after its ttl
	ok(wait_for(sub { !server_status($port)->{connections}{open} }),
		"$name: no connection");
	# a session of the old certificate needs no new check, if memcached takes it
	like(content(kv_get('k1', @to)), qr/^(?:200 \Q@{[ value('k1', 1) ]}\E$|503 )/,
		"$name: with its session, or not at all");
	$t->reload();
	ok(wait_for(sub { code(kv_get('k1', @to)) == 503 }),
		"$name: replaced by a strange one");
	ok(wait_for(sub { kv_get('k1', @to); (server_status($port)->{last_error}
		{class} // '') eq 'untrusted' }), "$name: named");
	renew($n, 'right');
	ok(wait_for(sub { content(kv_get('k1', @to)) eq '200 ' . value('k1', 1) }),
		"$name: the right one again");
}

# it is started again, with requests under way

for my $n (0 .. $#servers) {
	my ($name, $start, $pid) = @{$servers[$n]};
	my @keys = map { "k$_" } (1 .. 20) x 2;
	my @open = map { kv_get($_, at(8020 + $n), start => 1) } @keys;

	kill 'KILL', $pid;
	my @during = (read_all(@open), get_all(8020 + $n, @keys));
	$start->($t, $n, port(8040 + $n), port(8060 + $n), 'again');
	is_deeply([unhonest([@keys, @keys], map { code($_) == 404 ? 'HTTP/1.0 503'
		: $_ } @during)], [], "$name: killed");
	ok(wait_for(sub { code(kv_put('k1', 'new', at(8020 + $n))) == 204 }),
		"$name: started again");
}

###############################################################################

sub memcached {
	my ($command, $t, $n, $port, $plain) = @_;
	return run_it($t, @$command, '-U', '0', '-I', '4m', $> == 0 ? qw/ -u root / : (),
		'-p', $port, '-Z', '-l', "127.0.0.1:$port,notls:127.0.0.1:$plain",
		'-o', "ssl_chain_cert=$dir/$n.pem,ssl_key=$dir/$n.key,"
		. 'ssl_session_cache', '-Y', "$dir/auth");
}

sub plain {
	my ($command, $t, $port) = @_;
	run_it($t, @$command, '-l', '127.0.0.1', '-p', $port, '-U', '0', '-I', '4m',
		$> == 0 ? qw/ -u root / : ());
	$t->waitforsocket("127.0.0.1:$port") or die "No memcached\n";
}

sub stunnel {
	my ($command, $t, $n, $port, $plain, $again) = @_;
	plain($command, $t, $plain) if !$again;

	$t->write_file("stunnel$n.conf", <<"EOF");
foreground = yes
pid =
output = $dir/stunnel$n.log
socket = a:SO_REUSEADDR=1
[memcached]
accept = 127.0.0.1:$port
connect = 127.0.0.1:$plain
cert = $dir/$n.pem
key = $dir/$n.key
EOF
	return run_it($t, 'stunnel4', "$dir/stunnel$n.conf");
}

sub socat {
	my ($command, $t, $n, $port, $plain, $again) = @_;
	plain($command, $t, $plain) if !$again;

	return run_it($t, 'socat', "OPENSSL-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork,"
		. "backlog=64,cert=$dir/$n.pem,key=$dir/$n.key,verify=0",
		"TCP:127.0.0.1:$plain");
}

# Starts a program, and returns its process.
sub run_it {
	my ($t, $program, @arguments) = @_;
	$t->run_daemon($program, @arguments);
	return $t->{_daemons}[-1] // $t->{daemons}[-1];
}

# Replaces the certificate of a memcached, and tells it.
sub renew {
	my ($n, $name) = @_;
	copy("$dir/$name.$_", "$dir/$n.$_") for qw/ pem key /;

	my $s = IO::Socket::INET->new('127.0.0.1:' . port(8060 + $n))
		or die "Can't connect: $!\n";
	$s->print("set auth 0 0 11\r\nuser secret\r\n");
	$s->getline();
	$s->print("refresh_certs\r\n");
	return ($s->getline() // '') =~ s/\s+\z//r;
}

###############################################################################
