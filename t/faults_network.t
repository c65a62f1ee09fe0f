#!/usr/bin/perl

# Tests for memcache module: faults of a real network.  The test runs in a
# network namespace of its own, with nginx; memcached is in another, at the
# other end of a cable.  Names that begin with an F and a number are rows of
# the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes qw/ time /;

BEGIN {
	use FindBin; chdir($FindBin::Bin);

	my $why = $> != 0 ? 'needs root'
		: system('unshare --net true 2>/dev/null') != 0
			? 'no network namespaces here'
		: system('ip link show >/dev/null 2>&1') != 0 ? 'needs iproute2'
		: '';

	plan(skip_all => $why) if $why;

	if (!$ENV{TEST_NGINX_NAMESPACE}++) {
		exec 'unshare', '--net', $^X, (map { "-I$_" } @INC),
			"$FindBin::Bin/$FindBin::Script" or die "unshare: $!\n";
	}

	# before any socket is made
	system('ip link set lo up') == 0 or die "No loopback\n";
}

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(37);

my $peer = peer($t);
my @routes = qw/ unreachable prohibit blackhole /;

run("ip route add $routes[$_] 10.9.1.$_") for 0 .. $#routes;

# this way there is nobody, and nobody who says so
run('ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 dev near nud permanent');

$t->write_file_expand('nginx.conf', faults_conf({ http => <<'EOF' },
    memcache_timeout 5s;
    memcache_connect_timeout 300ms;
    memcache_retry 100ms;

    server {
        listen       unix:%%TESTDIR%%/http.sock;
        server_name  localhost;

        memcache_server 10.9.0.2:%%PORT_8081%% max=8;
        memcache_pipeline 1;
        memcache_connect_timeout 2s;

        location /kv/ {
            memcache_kv on;
        }
    }
EOF
	8080 => 'memcache_server 10.9.0.2:%%PORT_8081%%;',
	8001 => 'memcache_server 10.9.0.3:%%PORT_8081%%;',
	8002 => 'memcache_server 127.0.0.1:8003;',
	8004 => 'memcache_server 10.9.0.2:%%PORT_8081%% max=1;
		memcache_timeout 500ms;',
	8005 => 'memcache_server 10.9.0.4:%%PORT_8081%%;',
	map { (8010 + $_ => "memcache_server 10.9.1.$_:11211; memcache_retry 1h;") }
		0 .. $#routes));

my $m = Test::Memcached->start($t, port(8081), address => '10.9.0.2',
	under => [qw/ nsenter -n -t /, $peer], '-l', '10.9.0.3', '-l', '10.9.0.4');
my $full = Test::Memcached->start($t, port(8003), '-b', 4);

$t->run();

my $worker = first_worker($t);

###############################################################################

$m->set('a', value('a', 1));
is(content(kv_get('a')), '200 ' . value('a', 1), 'through the cable');

# nobody answers the connect; others are served meanwhile

my $mark = log_mark($t);
my $before = baseline($worker);
my $start = time();
my $s = kv_get('a', at(8001), start => 1);
is(content(kv_get('a')), '200 ' . value('a', 1), 'F2 blackhole - others');
like(code(Test::Nginx::http_end($s)), qr/^50[34]$/, 'F2 blackhole');
cmp_ok(time() - $start, '>=', 0.3, 'F2 blackhole - not before its time');
ok(wait_for(sub { server_status('10.9.0.3:')->{state} eq 'down' }),
	'F2 blackhole - down');
is(code(kv_get('a', at(8001))), 503, 'F2 blackhole - at once when down');
like(messages($t), qr/"10\.9\.0\.3:\d+": connecting timed out/,
	'F2 blackhole - logged');
is(server_status('10.9.0.2:')->{state}, 'live', 'F2 blackhole - the other');
ok(wait_for(sub { server_status('10.9.0.3:')->{connections}{connecting} == 0 }),
	'F2 blackhole - given up');

run('ip neigh del 10.9.0.3 dev near');
ok(wait_for(sub { content(kv_get('a', at(8001))) eq '200 ' . value('a', 1) }),
	'F2 blackhole - and back');
$before->{$worker}{fds}++;
is(grown($before), '', 'F2 baseline');

# the kernel knows that there is no way

my @errors = ('113: No route to host', '13: Permission denied',
	'22: Invalid argument');

for my $i (0 .. $#routes) {
	my $name = "F4 $routes[$i]";
	my $mark = log_mark($t);

	is_deeply([map { code($_) } get_all(8010 + $i, 1 .. 20)],
		[(503) x 20], $name);

	is(log_lines($t, $mark, qr/connect\(\) .*\($errors[$i]\)/), 1,
		"$name - logged, and not tried again");
	is(code(kv_get('a', at(8010 + $i))), 503, "$name - next");
}

# the cable is cut, silently: the deadline ends it, for that connection alone

is(content(kv_get('a', at(8004))), '200 ' . value('a', 1), 'F11 before');
$mark = log_mark($t);
run("nsenter -n -t $peer ip link set far down");
is(code(kv_get('a', at(8004))), 504, 'F11 cut');
ok(wait_for(sub { log_lines($t, $mark, qr/a reply is overdue/) == 1 }),
	'F11 cut - the connection is given up, in one line');
is((grep { $_->{timeout_ms} == 500 } @{status()->{clients}})[0]
	->{servers}[0]{state}, 'live', 'F11 cut - the server is not');
run("nsenter -n -t $peer ip link set far up");
ok(wait_for(sub { content(kv_get('a', at(8004)))
	eq '200 ' . value('a', 1) }), 'F11 cut - and back');

# there are connections, but nobody accepts them

$full->set('a', value('a', 1));
$full->pause();
my @backlog = backlog(port(8003));
is(scalar(@backlog) > 0, 1, 'F3 full backlog');
like(code(kv_get('a', at(8002))), qr/^50[34]$/, 'F3 full backlog - get');
like(messages($t), qr/:@{[port(8003)]}": connecting timed out/,
	'F3 full backlog - logged');
@backlog = ();
$full->resume();
ok(wait_for(sub { content(kv_get('a', at(8002)))
	eq '200 ' . value('a', 1) }), 'F3 full backlog - and back');

# two local ports: two connections are as good as it gets

ports('40000 40001');
$mark = log_mark($t);
$m->pause();
my $cpu = cpu_seconds($worker);
my @open = map { kv_get('a', socket => IO::Socket::UNIX->new(
	Peer => $t->testdir() . '/http.sock'), start => 1) } 1 .. 40;
ok(wait_for(sub { log_lines($t, $mark, qr/99: Cannot assign requested/) }),
	'F54 no more ports');
sleep 1;
cmp_ok(cpu_seconds($worker) - $cpu, '<', 0.5, 'F54 no more ports - no spin');
cmp_ok(log_lines($t, $mark, qr/99: Cannot assign requested/), '<', 50,
	'F54 no more ports - no busy retry');
$m->resume();
is_deeply([map { content($_) } read_all(@open)],
	[('200 ' . value('a', 1)) x 40], 'F54 no more ports - all answered');

# not even one
my @taken = map { IO::Socket::INET->new(PeerAddr => '10.9.0.4:' . port(8081)) }
	1 .. 2;
$mark = log_mark($t);
$s = kv_get('a', at(8005), start => 1);
ok(wait_for(sub { log_lines($t, $mark, qr/99: Cannot assign requested/) > 3 }),
	'F54 not one port');
is(server_status('10.9.0.4:')->{state}, 'live', 'F54 not the server\'s fault');
ports('32768 60999');
is(content(Test::Nginx::http_end($s)), '200 ' . value('a', 1),
	'F54 not one port - answered when there is one');
is(content(kv_get('a')), '200 ' . value('a', 1), 'F54 next');

###############################################################################

# The process of another namespace, at the other end of a cable.
sub peer {
	my ($t) = @_;

	my $d = $t->testdir();

	# a file that is there has its line
	$t->run_daemon('unshare', '--net', 'sh', '-c',
		"echo \$\$ >$d/peer.new; mv $d/peer.new $d/peer; exec sleep 600");
	$t->waitforfile("$d/peer") or die "No other namespace\n";
	my $pid = $t->read_file('peer') + 0;

	run('ip link add near type veth peer name far');
	run("ip link set far netns $pid");
	run('ip addr add 10.9.0.1/24 dev near');
	run('ip link set near up');
	run("nsenter -n -t $pid ip addr add 10.9.0.$_/24 dev far") for 2 .. 4;
	run("nsenter -n -t $pid ip link set far up");

	return $pid;
}

sub run {
	my ($command) = @_;
	system($command) == 0 or die "Failed: $command\n";
}

sub ports {
	my ($range) = @_;
	open my $f, '>', '/proc/sys/net/ipv4/ip_local_port_range'
		or die "Can't set the range of ports: $!\n";
	print $f $range;
}

# Connections that nobody accepts, until there is no room for another.
sub backlog {
	my ($port) = @_;
	my @backlog;

	while (@backlog < 100) {
		push @backlog, IO::Socket::INET->new(Timeout => 1,
			PeerAddr => "127.0.0.1:$port") || last;
	}

	return @backlog;
}

###############################################################################
