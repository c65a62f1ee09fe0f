#!/usr/bin/perl

# Tests for memcache module: replies that come in pieces, late, cut off, many
# at once, or not alone; what fake.t has not.  Names that begin with an F and a
# number are rows of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(49)
	->write_file_expand('nginx.conf', faults_conf({ http => <<'EOF' },
    memcache_timeout 5s;
    memcache_connect_timeout 5s;
    memcache_max_fails 65535;
    memcache_retry 100ms;
EOF
	8080 => 'memcache_server 127.0.0.1:8081 max=1;',
	8001 => 'memcache_server 127.0.0.1:8002 max=1; memcache_max_value 4m;
		memcache_max_fails 3;',
	8003 => 'memcache_server 127.0.0.1:8081 max=1; memcache_timeout 300ms;',
	8004 => 'memcache_server 127.0.0.1:8005 max=1; memcache_timeout 60s;'));

# what is done with the answer to "KIND:NUMBER", and no other key
my %kind = (
	split => sub { pieces(@_) },
	bytes => sub { pieces($_[0], 1 .. length $_[0]) },
	drip => sub { map { ($_, \0.1) } split //, $_[0] },
	half => sub { ($_[0], FINISH) },
	halfway => sub { (substr($_[0], 0, $_[1]), FINISH) },
	key => sub { $_[0] =~ s/ k\S+/ kother/r },
	errors => sub { ("CLIENT_ERROR bad data chunk\r\n") x 2 },
	fatal => sub { "ERROR\r\n" . "CLIENT_ERROR bad command line format\r\n" },
	crlf => sub { $_[0] =~ s/\r\n/\r\r\n/r },
	garbage => sub { "\0\xff\e[2J secret of somebody\r\n" },
	again => sub { ($_[0]) x 2 },
	refuse => sub { "SERVER_ERROR out of memory storing object\r\n" },
);

# the same for the answer to a store
my %store = map { ($_ => 1) } qw/ split again refuse /;

my $fake = Test::Memcached::Fake->start($t, port(8081), sub {
	my ($request) = @_;
	my ($name, $number) = split /:/, $request->{key};
	my $answer = $request->answer();

	return $answer if !$kind{$name // ''}
		|| $request->{verb} eq 'ms' && !$store{$name};
	return $kind{$name}->($answer, $number);
});

# keeps its answers until it was asked so often, and sends them in one piece
my $batch = 1000;
Test::Memcached::Fake->start($t, port(8005), sub {
	my ($request) = @_;
	my $kept = $request->{kept};

	return $request->answer() if $request->{verb} ne 'mg'
		|| $request->{key} =~ /^plain/;
	$kept->{answers} .= $request->answer();
	return ++$kept->{count} % $batch ? () : delete $kept->{answers};
});

my $m = Test::Memcached->start($t, port(8002), '-I', '4m');

$t->run();

my $worker = first_worker($t);

###############################################################################

is(code(kv_put('plain', value('plain', 1))), 204, 'set');

# killed while it sends a megabyte: all of it, or an error

my $large = value('large', 1, 3_000_000);

for my $round (1 .. 3) {
	$m->set('large', $large);
	is(code(kv_get('large', at(8001))), 200, "F7 killed $round - get");
	my $before = baseline($worker);
	my @gets = map { kv_get('large', at(8001), start => 1) } 1 .. 4;

	select undef, undef, undef, 0.003 * $round;
	$m->kill_it();
	is_deeply([unhonest([('large') x 4],
		read_all(@gets))], [],
		"F7 killed $round - whole, or an error");
	is(grown($before), '', "F7 killed $round - baseline");
	$m = Test::Memcached->start($t, port(8002), '-I', '4m');
	ok(wait_for(sub { code(kv_get('large', at(8001))) eq '404' }),
		"F7 killed $round - live again");
}

# half closed: behind a reply nobody is harmed, in one it is an error

my $before = baseline($worker);

kv_put("half:$_", value("half:$_", 1)) for 1 .. 5;
is_deeply([map { content(kv_get("half:$_")) } 1 .. 5],
	[map { '200 ' . value("half:$_", 1) } 1 .. 5], 'F9 half closed');
ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 0 }),
	'F9 half closed - out of the pool');
kv_put('halfway:20', value('halfway:20', 1));
is(code(kv_get('halfway:20')), 502, 'F9 half closed in a reply');
is(content(kv_get('plain')), '200 ' . value('plain', 1),
	'F9 half closed - next');
is(grown($before), '', 'F9 half closed - baseline');

# ten bytes a second: the deadline is that of all of it, and nothing spins

kv_put('drip:1', value('drip:1', 1));
my $cpu = cpu_seconds($worker);
is(code(kv_get('drip:1', at(8003))), 504, 'F12 drips');
ok(wait_for(sub { content(kv_get('plain', at(8003)))
	eq '200 ' . value('plain', 1) }), 'F12 drips - next');
cmp_ok(cpu_seconds($worker) - $cpu, '<', 0.2, 'F12 drips - no spinning');

# every split of replies of all kinds

my @wrong;
my $lost = server_status(port(8081))->{connections}{lost};
for my $n (0 .. 30) {
	my ($key, $value) = ("split:$n", "v$n");

	push @wrong, "NF $n" if code(kv_delete($key)) ne '404';
	push @wrong, "EN $n" if code(kv_get($key)) ne '404';
	push @wrong, "HD $n" if code(kv_put($key, $value)) ne '204';
	push @wrong, "VA $n" if content(kv_get($key)) ne "200 $value";
	push @wrong, "HD t $n" if code(kv_post($key, 'touch=9')) ne '204';
}
is_deeply(\@wrong, [], 'F13 every split');

kv_put('bytes:1', value('bytes:1', 1, 300));
is(content(kv_get('bytes:1')), '200 ' . value('bytes:1', 1, 300),
	'F13 every byte');
is(server_status(port(8081))->{errors}{protocol}, 0, 'F13 nothing wrong seen');
is(server_status(port(8081))->{connections}{lost}, $lost,
	'F13 no connection lost');

# a thousand replies in one piece, two times; others are served meanwhile

my @keys = map { "key$_" } 1 .. 100;
kv_put($_, value($_, 1), at(8004)) for @keys, 'plain';

for my $round (1 .. 2) {
	my @pages = map { kv_get('', args => 'keys=' . join(',', @keys),
		at(8004), start => 1) } 1 .. 10;
	ok(wait_for(sub { server_status(port(8005))->{pending} == 0 }),
		"F14 batch $round - done");
	my @got = map { http_content($_) }
		read_all(@pages);
	is_deeply([grep { $_ ne join '', map { value($_, 1) } @keys } @got], [],
		"F14 batch $round - all right");
}
is(server_status(port(8005))->{connections}{opened}, 1, 'F14 one connection');
is(content(kv_get('plain', at(8004))), '200 ' . value('plain', 1), 'F14 next');

# a reply that is somebody else's, or more than one, or hardly one

for (['F24 right opaque, wrong key', 'key'], ['F26 two CRs', 'crlf'],
	['F30 two error lines', 'errors'], ['F30 two others', 'fatal'])
{
	my ($name, $kind) = @$_;

	kv_put("$kind:$_", value("$kind:$_", 1)) for 1 .. 5;
	is(code(kv_get("$kind:1")), 502, $name);
	my @keys = map { ("$kind:$_", 'plain') } 1 .. 5;
	is_deeply([unhonest(\@keys, get_all(8080, @keys))], [],
		"$name - among others");
	is(content(kv_get('plain')), '200 ' . value('plain', 1), "$name - next");
}

# an error that ends the connection is told to nobody else

for my $kind (qw/ errors fatal /) {
	my @told = map { content((get_all(8080, "$kind:$_", 'plain'))[1]) }
		1 .. 3;
	is_deeply(\@told, [('200 ' . value('plain', 1)) x 3],
		"F30 $kind - told once");
}

# one store is answered twice, and that is not the answer to the next one

my @stores = map { ("again:$_", "refuse:$_") } 1 .. 5;
my @stored = map { code($_) } read_all(
	map { kv_put($_, 'x', start => 1) } @stores);
is_deeply([grep { $stores[$_] =~ /^refuse/ && $stored[$_] ne '502' }
	0 .. $#stores], [], 'F20 duplicated answer to a store');

# what is logged: one line, and none of what was received

# a second after the last line, which may come a second after what it sums up,
# there may be another
sleep 2;
my $mark = log_mark($t);
kv_put("garbage:1", 'x');
is(code(kv_get('garbage:1')), 502, 'F15 garbage');
is(log_lines($t, $mark, qr/unexpected reply from "127\.0\.0\.1:\d+", closing connection, operations affected: 1, server: localhost$/),
	1, 'F15 garbage - one line');
unlike(messages($t), qr/secret|[^\n\x20-\x7e]/, 'F15 garbage - not quoted');

###############################################################################
