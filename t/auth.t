#!/usr/bin/perl

# Tests for memcache module: servers that require authentication, memcached with
# -Y.  Row F38 of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Select;
use IO::Socket::INET;
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_content /;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Certificates;
use Test::Memcached;
use Test::Memcached::Proxy;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# What is looked for in logs, in the status, and in memory.
use constant { SECRET => 'qE7zWu2pXv9', WRONG => 'vN3kTr8mYc5', NEXT => 'bH6jLs4dGf1' };

my @versions = (Test::Memcached->usable(1), Test::Memcached->usable());
my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker');
my $dir = $t->testdir();
my $has_tls = `@{[Test::Memcached::command()]} -h` =~ /enable-ssl/
	&& system("openssl version >$dir/openssl 2>&1") == 0;

secret($t, 'right', SECRET);
secret($t, 'wrong', WRONG);
secret($t, 'changes', SECRET);
secret($t, 'changes-server', SECRET);

# For each version a memcached that requires it and one that does not; and server
# blocks: its port, that of memcached, lines, class of the error, protocol.

my (@rows, %at);
for my $n (0 .. $#versions) {
	my ($with, $without) = (8060 + $n, 8070 + $n);
	my $name = "memcached $versions[$n]";
	my $is_old = $n == 0 && @{[Test::Memcached->usable(1)]};

	push @rows, (
		["$name, right", $with, 'memcache_auth_file right;'],
		["$name, right, in text", $with,
			'memcache_auth_file right; memcache_protocol text;'],
		$is_old ? () : ["$name, right, in meta", $with,
			'memcache_auth_file right; memcache_protocol meta;'],
		["$name, wrong", $with, 'memcache_auth_file wrong;',
			'bad_credentials'],
		["$name, none", $with, 'memcache_auth_file "";', 'unauthenticated'],
		["$name without -Y", $without, 'memcache_auth_file right;'],
	);
	$at{$with} = [auth => "$dir/right", version => $versions[$n]];
	$at{$without} = [version => $versions[$n]];
}

my $blocks = join '', map { block(8020 + $_, @{$rows[$_]}[1, 2]) } 0 .. $#rows;
$blocks .= block(8018, 8079, <<"EOF") if $has_tls;
        memcache_auth_file right; memcache_ssl on;
        memcache_ssl_trusted_certificate $dir/ca.pem;
EOF

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $blocks));
    memcache_retry 100ms;
    memcache_max_fails 1;
    memcache_timeout 5s;
    memcache_connect_timeout 5s;
    memcache_auth_file right;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        location /status { memcache_status; }
        location /metrics { memcache_status prometheus; }

        # its password changes
        memcache_server 127.0.0.1:8081 max=1;
        memcache_auth_file changes;
        location /kv/ { memcache_kv on; }
    }

    server {
        listen       127.0.0.1:8082;
        memcache_server 127.0.0.1:8083 max=1;
        location /kv/ { memcache_kv on; }
    }

    # a proxy, in front of a memcached that requires it
    server {
        listen       127.0.0.1:8087;
        memcache_server 127.0.0.1:8085 max=1;
        location /kv/ { memcache_kv on; }
    }

    # without a file of its own
    server {
        listen       127.0.0.1:8084;
        memcache_server 127.0.0.1:8060 max=2;
        location /kv/ { memcache_kv on; }
    }
EOF

start_twemproxy($t, port(8085), [port(8086)]);
my $behind = Test::Memcached->start($t, port(8086), auth => "$dir/right");

my %m = map { $_ => Test::Memcached->start($t, port($_), @{$at{$_}}) }
	sort keys %at;
my $changes = Test::Memcached->start($t, port(8081),
	auth => "$dir/changes-server");
start_tls($t) if $has_tls;
$t->run_daemon(\&slow, port(8083), "$dir/asked");
$t->waitforsocket('127.0.0.1:' . port(8083));

$t->plan(2 * @rows + @versions + 30);
$t->run();

###############################################################################

for my $n (0 .. $#rows) {
	my ($name, undef, undef, $class) = @{$rows[$n]};
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $n));

	if (!$class) {
		is(code(kv_put('cow', $name, @at)), 204, "F38 $name - set");
		is(content(kv_get('cow', @at)), "200 $name", "F38 $name - get");
		next;
	}

	isnt(code(kv_get('cow', @at)), 200, "F38 $name - nothing is got");
	ok(wait_for(sub { class($n) eq $class }), "F38 $name - $class")
		or diag(class($n));
}

# A server that does not ask for the password keeps nothing of it.

for my $n (0 .. $#versions) {
	my $m = $m{8070 + $n};
	my @items = map { $m->classic_get($_) } keys_of($m);
	is("@items", $rows[-1][0] =~ s/^memcached \S+/memcached $versions[$n]/r,
		"F38 memcached $versions[$n] without -Y has nothing else");
}

is(content(kv_get('cow', PeerAddr => '127.0.0.1:' . port(8084))) =~ /^200 /, 1,
	'F38 a server block inherits it');

# twemproxy passes `version` and the answer on, so it gets user and password.  It
# takes them for a store, and closes the connection.

isnt(code(kv_get('cow', PeerAddr => '127.0.0.1:' . port(8087))), 200,
	'F38 proxy - nothing is got');
ok(wait_for(sub { (server_status(port(8085))->{last_error}{class} // '')
	eq 'authentication' }), 'F38 proxy - class of the error')
	or diag(messages($t));
is($behind->stats()->{auth_cmds}, 1, 'F38 proxy - no password but the test\'s');

###############################################################################

# Nothing is sent before or behind it until it is answered.

kv_get('cow', PeerAddr => '127.0.0.1:' . port(8082));
ok(wait_for(sub { -s $t->testdir() . '/asked' }), 'F38 barrier - all asked');
my @asked = split /^--\n/m, $t->read_file('asked') =~ s/\r//gr;
is($asked[0], "version\n", 'F38 barrier - a question alone');
like($asked[1], qr/^set \S+ 0 -1 \d+\nme \Q${\SECRET}\E\n\z/,
	'F38 barrier - user and password alone');
like($asked[2], qr/^version\n(?:mn\n)?\z/, 'F38 barrier - the greeting is behind it');

###############################################################################

SKIP: {
skip 'no memcached with TLS', 2 if !$has_tls;

my @at = (PeerAddr => '127.0.0.1:' . port(8018));
is(code(kv_put('a', 1, @at)), 204, 'F38 with TLS - set');
is(content(kv_get('a', @at)), '200 1', 'F38 with TLS - get');
}

# Where it is, in memory: only where a core dump has nothing.  The latest of
# several connections of a known server have sent nothing behind it but a little.

my $secrets = join '|', SECRET, WRONG, NEXT;

for my $port (8020 + 7, $has_tls ? 8018 : ()) {
	http_many(map { ['GET', $_, PeerAddr => '127.0.0.1:' . port($port)] }
		1 .. 50);
}

memory($t, 'before a reload');

###############################################################################

# The password changes while there are connections.

is(code(kv_put('a', 1)), 204, 'F38 change - before');
secret($t, 'changes-server', NEXT);
kill 'HUP', $changes->pid();
ok(wait_for(sub { accepts($changes, NEXT) }), 'F38 change - memcached has it');
is(content(kv_get('a')), '200 1', 'F38 change - open connections go on');
is($changes->connections() - tries(), 1, 'F38 change - by the same connection');

ok(reload($t), 'F38 change - reload');
isnt(code(kv_get('a')), 200, 'F38 change - the old one is refused');
is(server_status(port(8081))->{last_error}{class}, 'bad_credentials',
	'F38 change - class of the error');
is(server_status(port(8081))->{state}, 'down', 'F38 change - down');

secret($t, 'changes', NEXT);
select undef, undef, undef, 0.3;
isnt(code(kv_get('a')), 200, 'F38 change - the file is read at a reload only');
ok(reload($t), 'F38 change - another reload');
is(content(kv_get('a')), '200 1', 'F38 change - the new one is accepted');

###############################################################################

# It is in no log, no status, no dump of the configuration.

unlike($t->read_file('error.log'), qr/$secrets/, 'F38 not in the log');
unlike(http_get($_), qr/$secrets/, "F38 not in $_")
	for '/status', '/status?format=json', '/metrics';
unlike(`$Test::Nginx::NGINX -p $dir -c nginx.conf -g '' -T 2>&1`,
	qr/$secrets/, 'F38 not in what "nginx -T" prints');

memory($t, 'at the end');

###############################################################################

sub secret {
	my ($t, $name, $password) = @_;
	$t->write_file($name, "me:$password\n");
	chmod 0600, $t->testdir() . "/$name";
}

sub block {
	my ($port, $server, $lines) = @_;
	return <<"EOF";
    server {
        listen       127.0.0.1:$port;
        server_name  localhost;
        memcache_server 127.0.0.1:%%PORT_$server%% max=4;
        memcache_pipeline 1;
        $lines
        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }
EOF
}

# The class of the last error in the block of a row: each has its own client.
sub class {
	my ($n) = @_;
	my ($server, $lines) = @{$rows[$n]}[1, 2];
	my @errors = map { $_->{last_error}{class} // '' }
		grep { $_->{address} =~ /:@{[port($server)]}$/ }
		map { @{$_->{servers}} } @{status()->{clients}};
	return (grep { $_ eq $rows[$n][3] } @errors)[0] // "@errors";
}

sub keys_of {
	my ($m) = @_;

	# only its last line ends with \r\n, and OK in front, of memcached 1.6.45
	$m->send("lru_crawler metadump all\r\n");
	my $lines = $m->line();
	my @keys = ($lines eq 'OK' ? $m->line() : $lines) =~ /^key=(\S+)/mg;

	return grep { !/ / } map { s/%([0-9A-Fa-f]{2})/chr hex $1/ger } @keys;
}

# Whether memcached accepts this password.
my $tries;
sub accepts {
	my ($m, $password) = @_;
	my $c = $m->another() or return;
	$tries++;
	$c->print("set x 0 0 " . length("me $password") . "\r\nme $password\r\n");
	return $c->getline() =~ /^STORED/;
}

sub tries { $tries // 0 }

sub reload {
	my ($t) = @_;
	my ($master, @old) = (master($t), workers(master($t)));
	kill 'HUP', $master;
	return gone(@old) && settled($master, 1);
}

sub memory {
	my ($t, $when) = @_;

	SKIP: {
	skip 'memory is not only nginx\'s', 2 if $ENV{VALGRIND_NGINX}
		|| ($ENV{TEST_NGINX_SIBLING_CFLAGS} // '') =~ /sanitize/;

	my $master = master($t);
	my @places = map { [places($_, $secrets)] } $master, workers($master);
	is(scalar(grep { $_->[0] } @places), 2, "F38 memory - it is there, $when");
	is(join(' ', grep { $_ } map { $_->[1] } @places), '',
		"F38 memory - and nowhere else, $when");
	}
}

# Whether a process has the text in memory that core dumps do not have; and the
# other places of it.
sub places {
	my ($pid, $text) = @_;
	my ($start, $end, $what, $hidden, @elsewhere) = (0, 0);
	no warnings 'portable';

	open my $maps, '<', "/proc/$pid/smaps" or die "Can't open smaps: $!\n";
	open my $memory, '<:raw', "/proc/$pid/mem" or die "Can't open mem: $!\n";

	while (<$maps>) {
		($start, $end, $what) = (hex $1, hex $2, $3)
			if /^([0-9a-f]+)-([0-9a-f]+) (.*)/;
		next if !/^VmFlags:.* rd / || $what =~ /\[v(?:var|syscall|dso)/;
		my $is_hidden = / dd /;
		sysseek $memory, $start, 0 or next;
		sysread $memory, my $bytes, $end - $start or next;
		next if $bytes !~ /$text/;
		$is_hidden ? $hidden++ : push @elsewhere, $what;
	}

	return ($hidden, "@elsewhere");
}

# A memcached with TLS and a password.
sub start_tls {
	my ($t) = @_;
	Test::Certificates->authority($dir)->sign('server', for => 'IP:127.0.0.1');
	$t->run_daemon(Test::Memcached::command(), '-l', '127.0.0.1', '-p',
		port(8079), '-U', '0', $> == 0 ? ('-u', 'root') : (), '-Z', '-o',
		"ssl_chain_cert=$dir/server.pem,ssl_key=$dir/server.key",
		'-Y', "$dir/right");
	$t->waitforsocket('127.0.0.1:' . port(8079))
		or die "no memcached with TLS\n";
}

# Requires authentication, answers byte by byte, and notes what it is sent until
# each answer is complete.
sub slow {
	my ($port, $file) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
		Listen => 5, Reuse => 1) or die "Can't listen: $!\n";

	while (my $c = $listen->accept()) {
		setsockopt($c, IPPROTO_TCP, TCP_NODELAY, 1);
		my $all = '';

		for my $answer ("CLIENT_ERROR unauthenticated\r\n", "STORED\r\n", '')
		{
			$c->sysread($all, 4096, length $all) or last;
			for my $byte (split //, $answer) {
				$c->sysread($all, 4096, length $all)
					if IO::Select->new($c)->can_read(0.02);
				$c->syswrite($byte);
			}
			$all .= "--\n";
		}

		next if (() = $all =~ /^--$/mg) < 3;
		open my $f, '>', $file or die "Can't write $file: $!\n";
		print $f $all;
	}
}

###############################################################################
