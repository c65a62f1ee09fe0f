#!/usr/bin/perl

# Tests for memcache module: what the error log, the status and its page say of
# what is wrong at the other end, each with the real thing where there is one.
# The table of it is docs/messages.md.

###############################################################################

use warnings;
use strict;

use Test::More;

use File::Temp qw/ tempdir /;
use IO::Socket::INET;

BEGIN {
	use FindBin; chdir($FindBin::Bin);

	# a network of our own has routes that lead nowhere
	if ($> == 0 && !$ENV{TEST_NGINX_NAMESPACE}++
		&& system('unshare --net ip link show >/dev/null 2>&1') == 0)
	{
		exec 'unshare', '--net', $^X, (map { "-I$_" } @INC),
			"$FindBin::Bin/$FindBin::Script" or die "unshare: $!\n";
	}
}

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Memcached::Proxy;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http unix/)->has_daemon('memcached');
my $routes = has('ip link set lo up') && has('ip link add near type veth peer name far') && routes();
my $tls = has('memcached -h | grep -q enable-ssl') && has('openssl version');

# the sockets are in a folder that the workers may enter
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir;

# what is kept open until the end
my @held;

# What is wrong there; the server; what makes it so, or why that is not to be
# had here; the class of the last error; what else the log says.
my @rows = (
	['nobody listens', '127.0.0.1:8101', sub { }, 'refused',
		qr/connect\(\) failed \(111: Connection refused\) while/],
	['UDP only', '127.0.0.1:8102', sub {
		$t->run_daemon(memcached('-p', 0, '-U', shift)) }, 'refused',
		qr/connect\(\) failed \(111: Connection refused\) while/],
	['no such socket', "unix:$dir/none", sub { }, 'no_socket',
		qr/connect\(\) to unix:\S+ failed \(2: No such file/],
	['a socket without permission', "unix:$dir/denied", sub {
		$t->run_daemon(memcached('-s', "$dir/denied", '-a', '0')) },
		'denied', qr/connect\(\) to unix:\S+ failed \(13: Permission/],
	['memcached -Z', '127.0.0.1:8103', $tls ? sub {
		$t->run_daemon(memcached('-p', shift, '-U', 0, '-Z', '-o',
			"ssl_chain_cert=$dir/cert.pem,ssl_key=$dir/key.pem")) }
		: 'no TLS', 'hung_up',
		qr/no connection to "127\S+": closed by the server at the greeting/],
	['memcached -B binary', '127.0.0.1:8104', sub {
		$t->run_daemon(memcached('-p', shift, '-U', 0, '-B', 'binary')) },
		'unanswered', qr/no connection to "127\S+": connected, but the/],
	['memcached -Y', '127.0.0.1:8105', sub {
		$t->run_daemon(memcached('-p', shift, '-U', 0, '-Y',
			"$dir/password")) }, 'unauthenticated',
		qr/server "127\S+" cannot be used: the server requires authentic/],
	['a proxy of the text protocol', '127.0.0.1:8106',
		has('nutcracker -V') ? \&proxy : 'no nutcracker', 'hung_up',
		qr/no connection to "127\S+": closed by the server at the greeting/],
	['stopped', '127.0.0.1:8107', sub { hold(shift)->pause() },
		'unanswered', qr/no connection to "127\S+": connected, but the/],
	['a slow link', '127.0.0.1:8116', sub { says(shift,
		raw => sub { (\0.5, "VERSION 1.6.18\r\nMN\r\n") }) },
		'unanswered', qr/the greeting is not answered after 300ms$/m],
	['a full backlog', '127.0.0.1:8108', sub {
		my ($port) = @_;
		hold($port, '-b', 1)->pause();
		while (@held < 100) {
			push @held, IO::Socket::INET->new(Timeout => 1,
				PeerAddr => "127.0.0.1:$port") || last;
		}}, 'connect_timeout',
		qr/no connection to "127\S+": connecting timed out/],
	['out of connections', '127.0.0.1:8109', sub {
		my $m = hold(my $port = shift, '-c', 20, '-t', 1);
		push @held, IO::Socket::INET->new(
			PeerAddr => "127.0.0.1:$port") for 1 .. 30;
		wait_for(sub { $m->stats()->{rejected_connections} }) }, 'full',
		qr/server "127\S+" has too many connections/],
	['HTTP', '127.0.0.1:8110', sub { }, 'handshake',
		qr/"127\S+" is not a memcached server: it answered "HTTP\/1\.1 400/],
	['redis', '127.0.0.1:8111', has('redis-server -v') ? sub {
		$t->run_daemon('redis-server', '--port', shift, '--bind',
			'127.0.0.1', '--save', '', '--dir', $dir, '--logfile',
			'redis.log') } : 'no redis',
		'handshake', qr/is not a memcached server: it answered "-ERR unknown/],
	['SSH', '127.0.0.1:8112', sub { says(shift,
		greeting => sub { "SSH-2.0-OpenSSH_9.2p1\r\n" }) },
		'handshake', qr/not a memcached server: it answered "SSH-2\.0-Op/],
	['an alert of TLS', '127.0.0.1:8113', sub { says(shift,
		raw => sub { "\x15\x03\x03\x00\x02\x02\x46" }) }, 'tls',
		qr/"127\S+" is a TLS port: it answered "\\x15\\x03\\x03\\x00/],
	['too old', '127.0.0.1:8114', sub { says(shift, version => '1.6.9') },
		'too_old', qr/is memcached 1\.6\.9, which is too old: 1\.6\.10/],
	['a clone', '127.0.0.1:8115', sub { says(shift, raw => sub {
		"VERSION 1.6.18\r\n-ERR\x1b[2J\r\n" }) }, 'dialect',
		qr/does not speak memcached's protocol: it answered "-ERR\\x1b/],
	['a firewall that drops', '10.9.0.3:11211', $routes, 'connect_timeout',
		qr/no connection to "10\S+": connecting timed out/],
	['no route', '10.9.1.1:11211', $routes, 'unreachable',
		qr/connect\(\) to \S+ failed \(113: No route to host/],
	['a firewall that refuses', '10.9.1.2:11211', $routes, 'denied',
		qr/connect\(\) to \S+ failed \(13: Permission denied/],
	['a route that swallows', '10.9.1.3:11211', $routes, 'connect',
		qr/connect\(\) to \S+ failed \(22: Invalid argument/],
);

# a server block for each, after those of the configuration
my $listen = 8200;
my $blocks = join '', map { block($_->[5] = $listen++, $_->[1],
	$_->[3] eq 'too_old' || $_->[0] =~ /^a proxy/ ? 'meta' : 'auto') } @rows;
my $config = http_conf(<<'EOF');

    memcache_timeout 5s;
    memcache_connect_timeout 300ms;
    memcache_max_fails 1;
    memcache_retry 1h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8110;
        server_name  localhost;
    }

    BLOCKS

EOF
$config =~ s/BLOCKS/$blocks/;

# servers that have worked
$config =~ s/(.*)\}/$1 . block($_->[0], "127.0.0.1:$_->[1];
        memcache_retry 100ms;
        memcache_timeout 300ms") . '}'/es for [8190, 8117], [8191, 8118];

# root may use every socket
$config =~ s{user root;}{user nobody nogroup;};

$t->plan(5 * @rows + 5);

# a name that leads nowhere

like(check_config($t, $config =~ s/^user .*//mr
	=~ s/memcache_server 127\S+;/memcache_server nowhere.invalid;/r),
	qr/\[emerg\] host not found in memcache server "nowhere\.invalid" in /,
	'R27 a name that leads nowhere');

$t->write_file_expand('nginx.conf', $config);

for my $row (@rows) {
	my ($port) = $row->[1] =~ s/^127.*:\K(\d+)$/port($1)/e ? $1 : ();
	$row->[2]->((split /:/, $row->[1])[1]) if ref $row->[2];
}
my $hangs = Test::Memcached->start($t, port(8117));
my $restarted = Test::Memcached->start($t, port(8118));

$t->run();

###############################################################################

for my $row (@rows) {
	my ($name, $address, $start, $class, $line, $listen) = @$row;

	SKIP: {
		skip "$name: $start", 5 if !ref $start;

		my ($server, $log);
		ok(wait_for(sub {
			http_get('/kv/a', PeerAddr => '127.0.0.1:' . port($listen));
			$server = server_status($address);
			return $server->{state} eq 'down';
		}), "R27 $name - down");

		my ($text, $hint) = @{$server->{last_error}}{qw/ text hint /};
		is($server->{last_error}{class}, $class, "R27 $name - status");

		like(about($address), $line, "R27 $name - log");

		my $reason = $hint eq '' ? $text : "$text ($hint)";
		$reason =~ s/memcached \K1\.6\.9 //;
		like(about($address), qr/server "\Q$address\E" is down: \Q$reason\E$/m,
			"R27 $name - log, down");

		my $page = http_content(http_get('/status'));
		$page =~ s/&#(\d+);/chr $1/ge;
		my ($details) = $page
			=~ m!>\Q$address\E</h3>(.*?)</section>!s;
		like($details, qr/last: \Q$text\E\s*(?:<small>\Q$hint\E<)?/,
			"R27 $name - page");
	}
}

# What has worked is not told that it may speak another protocol.

http_get('/kv/a', PeerAddr => '127.0.0.1:' . port($_)) for 8190, 8191;
$hangs->pause();
$restarted->kill_it();
wait_for(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8118)) });
says(port(8118), greeting => sub { CLOSE });

for ([8190, 8117, 'stalled', qr/is not answered any more after 300ms/],
	[8191, 8118, 'cut_off', qr/by the server at the greeting, which it ans/])
{
	my ($listen, $port, $class, $text) = @$_;
	my $error;

	ok(wait_for(sub {
		http_get('/kv/a', PeerAddr => '127.0.0.1:' . port($listen));
		$error = server_status(port($port))->{last_error};
		return ($error->{class} // '') eq $class && $error->{text} =~ $text;
	}), "$class") or diag(explain($error));
}

my $page = http_content(http_get('/status'));
unlike($page, qr/SSH-|-ERR|<html>.*400/, 'D3 nothing that a server has sent');
unlike(messages($t), qr/[\x00-\x08\x0b-\x1f\x7f-\xff]/, 'D11 all is escaped');

# one that is stopped does not hear that it should end, and what the rows
# start knows the test
@held = @rows = ();
undef $t;

###############################################################################

sub block {
	my ($listen, $server, $protocol) = (@_, 'auto');

	return <<"EOF";
    server {
        listen       127.0.0.1:$listen;
        server_name  localhost;

        memcache_server $server;
        memcache_protocol $protocol;

        location /kv/ {
            memcache_kv on;
        }
    }
EOF
}

sub about {
	my ($address) = @_;
	return join "\n", grep { /\Q$address\E/ } split /\n/, messages($t);
}

sub has {
	my ($command) = @_;
	return system("($command) >/dev/null 2>&1") == 0;
}

# Ways that lead nowhere, where nobody says so, and where the kernel does.
sub routes {
	for (
		'ip addr add 10.9.0.1/24 dev near', 'ip link set near up',
		'ip link set far up',
		'ip neigh replace 10.9.0.3 lladdr 02:00:00:00:00:03 dev near',
		'ip route add unreachable 10.9.1.1',
		'ip route add prohibit 10.9.1.2', 'ip route add blackhole 10.9.1.3',
	) {
		has($_) or die "Failed: $_\n";
	}

	return sub { };
}

# A memcached that Test::Memcached could not talk to.
sub memcached {
	my (@options) = @_;

	if ("@options" =~ /-Z/) {
		has("openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
			. "-subj /CN=localhost -keyout $dir/key.pem -out $dir/cert.pem")
			or die "Can't make a certificate\n";
	}
	if ("@options" =~ /-Y/) {
		open my $f, '>', "$dir/password" or die "Can't write: $!\n";
		print $f "user:password\n";
	}

	return 'memcached', $> == 0 ? ('-u', 'root') : (), '-t', 1, @options;
}

sub hold {
	my ($port, @options) = @_;
	push @held, Test::Memcached->start($t, $port, @options);
	return $held[-1];
}

sub says {
	my ($port, %options) = @_;
	Test::Memcached::Fake->start($t, $port,
		sub { $_[0]->answer() }, %options);
}

sub proxy {
	my ($port) = @_;

	Test::Memcached->start($t, port(8091));
	start_twemproxy($t, $port, [port(8091)]);
}

###############################################################################
