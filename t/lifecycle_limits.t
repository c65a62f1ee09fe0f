#!/usr/bin/perl

# Tests for memcache module: a worker that has to go before it is done, or that
# has no connections or descriptors left, and many workers.  Names that begin
# with an F and a number are rows of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw/ time /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Nginx::Lifecycle;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(36);
my $m = Test::Memcached->start($t, port(8081));

my $patience = 'memcache_timeout 60s; memcache_connect_timeout 60s;';

###############################################################################

# the time for a graceful exit is over: operations end, and the worker goes

start($t, { main => 'worker_shutdown_timeout 200ms;', http => $patience },
	'min=1 max=2');

for my $how ('HUP', 'QUIT') {
	my $master = master($t);
	my @old = children($master);

	$m->pause();
	my @gets = map { kv_get("key$_", start => 1) } 1 .. 20;
	my @puts = map { kv_put("key$_", 'x' x 5000, start => 1) } 1 .. 5;
	ok(wait_for(sub { waiting(port(8081)) == 25 }), "F48 $how - in flight");

	kill $how, $master;
	ok(gone(@old), "F48 $how - gone");
	waitpid $master, 0 if $how eq 'QUIT';

	my @codes = map { code($_) }
		read_all(@gets, @puts);
	is_deeply([grep { !/^(?:50[234]|no answer)$/ } @codes], [],
		"F48 $how - no made-up answer");
	$m->resume();
	ok(wait_for(sub { $m->open_connections() <= 1 }),
		"F48 $how - connections closed");
}
unlike(messages($t), qr/exited on signal|exited with code [^0]/,
	'F48 without a fault');
is(expect_alerts($t, qr/open socket|aborting/), '',
	'F48 no other alerts than that nginx cuts its clients off');

# clients have taken nearly all connections of the worker

start($t, { events => 'worker_connections 32;', http => $patience },
	'smax=1 max=8 ttl=1s', 'memcache_pipeline 1;');
my $worker = first_worker($t);
my $before = baseline($worker);

kv_put('key', value('key', 1));
for my $round (1 .. 3) {
	my @slow = slow_clients(32);
	my @codes = map { code($_) } get_all(8080, ('key') x 20);
	is_deeply([grep { !/^(?:200|50[234]|no answer)$/ } @codes], [],
		"F53 no connections $round - honest");
	@slow = ();
	ok(wait_for(sub { !grep { content($_) ne '200 ' . value('key', 1) }
		get_all(8080, ('key') x 10) }), "F53 no connections $round - next");
}

# room for three connections: clients, or those that they need
ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 1 }),
	'F53 few connections - one is left');
$m->pause();
# each time nginx has made room that the next ones take
my @slow = map { slow_clients(32) } 1 .. 4;
close $_ for splice @slow, 0, 3;
my $mark = log_mark($t);
my @gets = map { kv_get('key', start => 1) } 1 .. 4;
ok(wait_for(sub {
	return 1 if log_lines($t, $mark, qr/worker_connections are not enough/);
	# a slow machine has had time to make more room
	push @slow, slow_clients(32);
	push @gets, kv_get('key', start => 1) if @gets < 12;
	return 0;
}), 'F53 few connections');
$m->resume();
# nginx itself ends clients that it has read nothing from, to make room
my @codes = map { code($_) } read_all(@gets);
is_deeply([grep { !/^(?:200|no answer)$/ } @codes], [],
	'F53 few connections - those that are there do the work');
cmp_ok(scalar(grep { $_ eq '200' } @codes), '>', 0,
	'F53 few connections - answered');
@slow = ();
$before->{$worker}{fds} += 8;
is(grown($before), '', 'F53 baseline');
$t->stop();
is(expect_alerts($t, qr/worker_connections are not enough/), '',
	'F53 the only alerts');

# no descriptors

SKIP: {
	skip 'valgrind has descriptors of its own', 7 if $ENV{VALGRIND_NGINX};

	start($t, { main => 'worker_rlimit_nofile 40;', http => $patience },
		'max=8', 'memcache_pipeline 1;');
	$worker = first_worker($t);
	is(code(kv_put('key', value('key', 2))), 204, 'F54 set');

	my $cpu = cpu_seconds($worker);
	@slow = slow_clients(40);
	my @open = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8080)) }
		1 .. 10;
	ok(wait_for(sub { messages($t) =~ /24: Too many open files/ }),
		'F54 no descriptors');
	@gets = map { kv_get('key', start => 1) } 1 .. 5;
	sleep 1;
	cmp_ok(cpu_seconds($worker) - $cpu, '<', 2, 'F54 no descriptors - no spin');
	@slow = @open = ();
	@codes = map { code($_) } read_all(@gets);
	is_deeply([grep { !/^(?:200|50[234])$/ } @codes], [],
		'F54 no descriptors - honest');
	ok(wait_for(sub { content(kv_get('key')) eq '200 ' . value('key', 2) }),
		'F54 no descriptors - next');
	is(server_status(port(8081))->{state}, 'live', 'F54 not the server\'s fault');
	$t->stop();
	is(expect_alerts($t, qr/24: Too many open files/), '', 'F54 the only alerts');
}

# eight workers, and a memcached that starts again

start($t, { main => 'worker_processes 8;', http => 'memcache_retry 200ms;' },
	'min=1 max=4');
ok(wait_for(sub { $m->open_connections() == 8 }), 'F40 eight workers');
$m->kill_it();
my @all = map { code($_) } map { get_all(8080, 1 .. 30) } 1 .. 3;
is_deeply([grep { !/^50[234]$/ } @all], [], 'F40 down - honest');
$m = Test::Memcached->start($t, port(8081));
ok(wait_for(sub { !grep { code($_) ne '404' } get_all(8080, 1 .. 30) }),
	'F40 up again');
cmp_ok($m->connections(), '<=', 8 * 4, 'F40 no herd');
$t->stop();

# room for 200 connections, and operations for all of them: so many connects at
# once, and so many in every second since

start($t, { http => $patience }, 'max=200', 'memcache_pipeline 1;');
$m->pause();
my $began = time();
my @open = map { kv_get($_, start => 1) } 1 .. 200;
ok(wait_for(sub { waiting(port(8081)) == @open }), 'F40 rate - all wait');
my $connections = server_status(port(8081))->{connections};
cmp_ok($connections->{opened} + $connections->{connecting}, '<=',
	16 + 32 * (1 + time() - $began), 'F40 rate - no more connects than that');
$m->resume();
is_deeply([grep { code($_) ne '404' } read_all(@open)],
	[], 'F40 rate - all answered');
$t->stop();

###############################################################################

sub start {
	my ($t, $options, $server, $more) = @_;

	$t->write_file_expand('nginx.conf', faults_conf($options,
		8080 => "memcache_server 127.0.0.1:8081 $server;"
		. ($more // '')));
	unlink $t->testdir() . '/error.log';
	$t->run();
}

# So many clients that have sent half a request; fewer if nginx takes no more.
sub slow_clients {
	my ($n) = @_;
	my @clients = map { my $s = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1:' . port(8080));
		$s->print("GET /kv/slow HTTP/1.0\r\n") if $s; $s // () } 1 .. $n;

	# those that nginx does not want are readable: it has closed them
	my $wanted = IO::Select->new(@clients);
	while (my @closed = $wanted->can_read(0.2)) {
		$wanted->remove(@closed);
	}

	return $wanted->handles();
}

###############################################################################
