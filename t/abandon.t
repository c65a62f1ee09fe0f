#!/usr/bin/perl

# Tests for memcache module: clients of nginx that ask for many large items and
# go away, again and again, do not hold up the others.

###############################################################################

use warnings;
use strict;

use Test::More;

use Socket qw/ SOL_SOCKET SO_LINGER /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Clients that go away, the keys that each asks for, and bytes of a large item.
use constant { CLIENTS => 8, KEYS => 100, LARGE => 60_000 };

# What may be under way on a connection of what nobody is likely to want.
use constant LEAST => 8;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(24);

$t->write_file_expand('nginx.conf', faults_conf({},
	8080 => 'memcache_server 127.0.0.1:8081 max=2; memcache_timeout 60s;',
	8001 => 'memcache_server 127.0.0.1:8003; memcache_timeout 300ms;',
	8002 => 'memcache_server 127.0.0.1:8004 max=1; memcache_timeout 300ms;'));

my ($m, @others) = map { Test::Memcached->start($t, port($_)) } 8081, 8003, 8004;
$t->run();

for my $memcached ($m, @others) {
	for (1 .. KEYS) {
		$memcached->set("large$_", 'v' x LARGE);
		$memcached->set("tiny$_", "tiny$_");
	}
	$memcached->set('small', 'small');
}

my @large = (uri('large')) x CLIENTS;
my @tiny = (uri('tiny')) x CLIENTS;
my $all = CLIENTS * KEYS;

###############################################################################

# what is small costs nothing, whoever wants it: all is sent at once

is(content(kv_get('small')), '200 small', 'before');
is(leave($all, @tiny), $all, "small items $_ - all are asked for") for 1 .. 2;

# so is what is large, until it is known that nobody waits for it

is(leave($all, @large), $all, 'large items - all are asked for at first');
leave($all, @large);

# from then on it is sent by and by, and what is given up before is never sent

for my $round (1 .. 3) {
	my $asked = leave($all, @large, sub { kv_get('small', start => 1) });
	cmp_ok($asked, '<=', 2 * LEAST + 1, "large items $round - few are asked for");
}
cmp_ok(leave(200, map { '/kv/large' . (1 + $_ % KEYS) } 1 .. 200), '<=',
	2 * LEAST, 'single gets - few are asked for');

# writes are in their order, and each is carried out once or not at all

$m->set('n', '0');
my @number;
leave($all + 20, @large, ('POST /kv/n?incr=1') x 20,
	sub { kv_post('n', 'incr=1', start => 1) }, \@number);
like($number[0], qr/^200 (?:[1-9]|1\d|2[01])$/, 'incr - counted');
is(content(kv_get('n')), $number[0], 'incr - nothing comes later');

is($m->connections(), 2, 'no connection was closed');
is(server_status(port(8081))->{connections}{lost}, 0, 'none was lost');

# who wants it gets all of it

for (1 .. 3) {
	my $reply = http_get(uri('large'));
	is(code($reply), 200, "wanted $_");
	is(length http_content($reply), KEYS * LARGE, "wanted $_ - all of it");
}

# the attack, as it goes on

for (['defaults', 8001, 8003], ['max=1', 8002, 8004]) {
	my ($name, $port, $server) = @$_;
	my $attack = attack($t, $port);
	my %seen;
	$seen{code(kv_get('small', at($port)))}++ for 1 .. 200;
	cmp_ok($attack->(), '>', 0, "$name - others go away all the time");
	is_deeply(\%seen, { 200 => 200 }, "$name - small items meanwhile");
	is(server_status(port($server))->{state}, 'live', "$name - server is live");
}

###############################################################################

sub uri {
	my ($name) = @_;
	return '/kv/?keys=' . join ',', map { "$name$_" } 1 .. KEYS;
}

sub begin {
	my ($request, %extra) = @_;
	$request = "GET $request" unless $request =~ /^[A-Z]/;
	return http("$request HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a\x0d\x0a",
		start => 1, %extra);
}

# A client that is gone at once, whatever comes for it.
sub gone {
	my ($s) = @_;
	setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
	close $s;
}

# While memcached hangs, clients send these requests, of so many operations, and
# go away.  Returns how many gets memcached was asked for.  One that is a sub
# stays, and has its answer when memcached goes on, which goes where the last
# argument says.
sub leave {
	my ($operations, @requests) = @_;
	my $answers = ref $requests[-1] eq 'ARRAY' ? pop @requests : [];
	my ($stays) = grep { ref } @requests;
	my $before = $m->stats()->{cmd_get};
	my $cancelled = server_status(port(8081))->{errors}{cancelled};

	$m->pause();
	my @clients = map { begin($_) } grep { !ref } @requests;
	wait_for(sub { waiting(port(8081)) >= $operations }) or die 'not asked';
	my $client = $stays ? $stays->() : undef;
	wait_for(sub { waiting(port(8081)) > $operations }) or die 'not asked'
		if $stays;
	gone($_) for @clients;
	wait_for(sub { server_status(port(8081))->{errors}{cancelled}
		>= $cancelled + $operations }) or die 'not gone';
	$m->resume();

	if ($stays) {
		@$answers = map { content($_) }
			read_all($client);
		die "answered $answers->[0]" if $answers->[0] !~ /^200/;
	}
	wait_for(sub { waiting(port(8081)) == 0 }) or die 'not over';
	return $m->stats()->{cmd_get} - $before;
}

# Clients ask for large items and go away, from another process, until what this
# returns is called, which returns how often they have.
sub attack {
	my ($t, $port) = @_;
	my ($begun, $stop, $report) = map { $t->testdir() . "/$_.$port" }
		qw/ begun stop report /;

	$t->run_daemon(sub {
		my $rounds = 0;

		until (-e $stop) {
			my @clients = map { begin($_, at($port)) } @large;
			select undef, undef, undef, 0.005;
			gone($_) for grep { $_ } @clients;
			touch($begun) if ++$rounds == 20;
		}
		touch($report, $rounds);
	});
	wait_for(sub { -e $begun }) or die 'no attack';

	return sub {
		touch($stop);
		wait_for(sub { -s $report }) or die 'no report';
		open my $f, '<', $report or die "Can't open $report: $!";
		return <$f>;
	};
}

sub touch {
	my ($name, $text) = @_;
	open my $f, '>', "$name.new" or die "Can't create $name: $!";
	print $f $text // '';
	close $f;
	rename "$name.new", $name;
}

###############################################################################
