#!/usr/bin/perl

# Tests for memcache module: connections that cannot be had, or that end while
# nobody uses them.  Names that begin with an F and a number are rows of the
# fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::INET;
use Time::HiRes qw/ time /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(49);

# other services, and what they say: at once, or to "version"
my @services = (
	['redis', '', "-ERR unknown command 'version', with args: \r\n"],
	['SSH', "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", ''],
	['MySQL', "J\0\0\0\n8.0.36\0" . "\xff\n\r" x 8, ''],
	['SMTP', "220 mail ESMTP\r\n", "500 5.5.2 unrecognized\r\n"],
);

$t->write_file_expand('nginx.conf', faults_conf({ http => <<'EOF' },
    memcache_timeout 5s;
    memcache_connect_timeout 5s;
    memcache_retry 100ms;
EOF
	8080 => 'memcache_server 127.0.0.1:8081; memcache_retry 1h;',
	8001 => 'memcache_server 127.0.0.1:8002 max=4; memcache_pipeline 1;',
	8003 => 'memcache_server 127.0.0.1:8004;',
	8005 => 'memcache_server 127.0.0.1:8006 max=1;
		memcache_connect_timeout 200ms; memcache_timeout 300ms;',
	8007 => 'memcache_server 127.0.0.1:8008 max=2;',
	8012 => 'memcache_server 127.0.0.1:8013 max=2;
		memcache_max_fails 65535;',
	8009 => 'memcache_server unix:%%TESTDIR%%/m.sock;',
	8010 => 'memcache_server 127.0.0.1:8011;
		memcache_connect_timeout 200ms;',
	map { (8040 + $_ => "memcache_server 127.0.0.1:806$_;") }
		0 .. $#services));

my $limited = Test::Memcached->start($t, port(8002), qw/ -c 20 -t 1 /);
my $idle = Test::Memcached->start($t, port(8004), '-o', 'idle_timeout=1');
my $local = local_memcached($t);

# answers the greeting from its third connection on
my $silent = Test::Memcached::Fake->start($t, port(8006), sub {
	my ($request) = @_;
	return $request->{connection} < 3 ? () : $request->answer();
});

# hangs up after one operation, until it is asked for "calm"
my @flapping = map { Test::Memcached::Fake->start($t, port($_), sub {
	my ($request) = @_;
	$request->{fake}{calm} = 1 if $request->{key} eq 'calm';
	return ($request->answer(), $request->{verb} !~ /^(?:version|mn)$/
		&& !$request->{fake}{calm} ? CLOSE : ());
}) } 8008, 8013;

$t->run_daemon('memcached', qw/ -l 127.0.0.1 -B binary -p /, port(8011),
	$> == 0 ? qw/ -u root / : ());

for my $i (0 .. $#services) {
	my (undef, $greeting, $answer) = @{$services[$i]};
	Test::Memcached::Fake->start($t, port(8060 + $i), undef,
		raw => sub { $answer }, greeting => sub { $greeting });
}

$t->run();

my $worker = first_worker($t);

###############################################################################

# nobody listens: one attempt, one line, and no other before its time

my $mark = log_mark($t);
my $address = '127.0.0.1:' . port(8081);

is_deeply([map { code($_) } get_all(8080, 1 .. 50)], [(503) x 50], 'F1 refused');

my $before = baseline($worker);

is_deeply([map { code(kv_get($_)) } 1 .. 20], [(503) x 20],
	'F1 refused - later');
is(log_lines($t, $mark, qr/connect\(\) failed \(111: .*"$address"/), 1,
	'F1 refused - a line for the connect');
is(log_lines($t, $mark, qr/"$address" is down/), 1,
	'F1 refused - a line for the server');
is(server_status($address)->{connections}{failed}, 1, 'F1 refused - one try');
is(server_status($address)->{pending}, 0, 'F1 refused - nothing pending');
is(grown($before), '', 'F1 refused - baseline');

# the server has as many connections as it may: one of ours is enough

my @crowd = crowd($limited, 1);

is(code(kv_put('a', value('a', 1), at(8001))), 204, 'F5 limit - set');
is(connects(port(8002)), 0, 'F5 limit - reached');
is_deeply([unhonest([('a') x 50], get_all(8001, ('a') x 50))], [],
	'F5 limit - honest');
is(content(kv_get('a', at(8001))), '200 ' . value('a', 1), 'F5 limit - get');
is(server_status(port(8002))->{state}, 'live', 'F5 limit - live');

# not even that one: our connection is gone, and its place taken

$before = baseline($worker);
$mark = log_mark($t);
$limited->kill_it();
ok(wait_for(sub { server_status(port(8002))->{connections}{open} == 0 }),
	'F5 full - gone');
$limited = Test::Memcached->start($t, port(8002), qw/ -c 20 -t 1 /);
@crowd = crowd($limited, 0);
ok(wait_for(sub { code(kv_get('a', at(8001))) =~ /^50[34]$/ }), 'F5 full');
ok(wait_for(sub { log_lines($t, $mark, qr/has too many connections/) }),
	'F5 full - logged');
@crowd = ();
ok(wait_for(sub { code(kv_get('a', at(8001))) eq '404' }), 'F5 full - room');
$before->{$worker}{fds} += 3;
is(grown($before), '', 'F5 full - baseline');

# connections that end while nobody uses them: silent

$mark = log_mark($t);

for (1 .. 2) {
	is(code(kv_put('a', value('a', $_), at(8003))), 204, "F10 idle $_ - set");
	ok(wait_for(sub { server_status(port(8004))->{connections}{open} == 0 }),
		"F10 idle $_ - noticed");
	is(content(kv_get('a', at(8003))), '200 ' . value('a', $_),
		"F10 idle $_ - get");
}

$idle->kill_it();
ok(wait_for(sub { server_status(port(8004))->{connections}{open} == 0 }),
	'F10 restart - noticed');
$idle = Test::Memcached->start($t, port(8004));
is(code(kv_get('a', at(8003))), 404, 'F10 restart - get');
is(log_lines($t, $mark, qr/\[(?:error|crit|warn)\].*:@{[port(8004)]}"/), 0,
	'F10 silent');

# accepts and does not answer the greeting: its place is free again

$before = baseline($worker);
like(code(kv_get('a', at(8005))), qr/^50[34]$/, 'F37 silent');
ok(wait_for(sub { code(kv_get('a', at(8005))) eq '404' }),
	'F37 silent - its place is used again');
is($silent->stats()->{open}, 1, 'F37 silent - closed');
$before->{$worker}{fds}++;
is(grown($before), '', 'F37 silent - baseline');

# answers once and hangs up: no storm of connects, and used when it stays

$before = baseline($worker);
$mark = log_mark($t);

my $start = time();
my @codes = (gets_for(5, 8007), gets_for(3, 8012));
my $seconds = 1 + time() - $start;

is_deeply([grep { !/^(?:404|50[234])$/ } @codes], [], 'F39 flapping - honest');
# after three connects in vain it is down: probes in 100 ms, 200 ms, 400 ms...
cmp_ok($flapping[0]->stats()->{accepted}, '<=',
	5 + log(1 + 10 * $seconds) / log 2,
	'F39 flapping - rarer and rarer connects');
# never given up: the pauses are 400 ms at most
cmp_ok($flapping[1]->stats()->{accepted}, '<=', 6 + 2.5 * $seconds,
	'F39 flapping - no storm of connects');
cmp_ok(log_lines($t, $mark, qr/connection to .* lost/), '<=', 2 + $seconds,
	'F39 flapping - a line a second');
ok(wait_for(sub { code(kv_get('calm', at(8007))) eq '404' }),
	'F39 flapping - tried again');
ok(wait_for(sub { !grep { code($_) ne '404' } get_all(8007, 1 .. 10) }),
	'F39 flapping - used when it stays');
$before->{$worker}{fds} += 4;
is(grown($before), '', 'F39 flapping - baseline');

# nobody behind the socket, no socket, and back again

is(code(kv_put('a', value('a', 1), at(8009))), 204, 'F61 socket - set');
$local->kill_it();
ok(wait_for(sub { code(kv_get('a', at(8009))) eq '503' }), 'F61 nobody behind');
unlink $t->testdir() . '/m.sock';
ok(wait_for(sub { messages($t)
	=~ /connect\(\) to \S*m\.sock failed \(2: No such file/ }), 'F61 removed');
$local = local_memcached($t);
ok(wait_for(sub { code(kv_get('a', at(8009))) eq '404' }), 'F61 back');

# other services

for my $i (0 .. $#services) {
	like(code(kv_get('a', at(8040 + $i))), qr/^50[34]$/,
		"F62 $services[$i][0]");
}

like(code(kv_get('a', at(8010))), qr/^50[34]$/, 'F62 binary memcached');
# which waits for the rest of a header
like(messages($t), qr/no connection to "[^"]*:@{[port(8011)]}": .*the greeting is not/,
	'F62 binary memcached - logged');

is_deeply([grep { my $address = '127.0.0.1:' . port(8060 + $_);
	log_lines($t, 0, qr/"$address" is not a memcached server/) == 0 }
	0 .. $#services], [], 'F62 logged');
unlike(messages($t), qr/is not a memcached.*[^\n\x20-\x7e]/, 'F62 escaped');

###############################################################################

sub local_memcached {
	my ($t) = @_;
	return Test::Memcached->start($t, 0,
		socket => $t->testdir() . '/m.sock');
}

# Gets for so many seconds, ten at a time, and their statuses.
sub gets_for {
	my ($seconds, $port) = @_;
	my ($end, @codes) = (time() + $seconds);

	while (time() < $end) {
		push @codes, map { code($_) } get_all($port, 1 .. 10);
		select undef, undef, undef, 0.02;
	}

	return @codes;
}

# Connections of others, so that the server takes only so many more.
sub crowd {
	my ($m, $left) = @_;
	my @crowd;

	while (my $s = connects($m->{plain_port})) {
		push @crowd, $s;
	}

	my $all = $m->stats()->{curr_connections};
	splice @crowd, 0, $left;
	wait_for(sub { $m->stats()->{curr_connections} == $all - $left });
	return @crowd;
}

# A connection that the server takes, or 0.
sub connects {
	my ($port) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or return 0;
	$s->print("mn\r\n");
	return ($s->getline() // '') eq "MN\r\n" ? $s : 0;
}

###############################################################################
