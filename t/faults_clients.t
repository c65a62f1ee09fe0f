#!/usr/bin/perl

# Tests for memcache module: clients of nginx that go away over HTTP/2 and with
# subrequests, servers that hold others up, a worker that is held up itself.
# Names that begin with an F and a number are rows of the fault matrix.

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
use Test::Nginx::H2;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 ssi auth_request mirror/)
	->has_daemon('memcached')->plan(41);

$t->write_file_expand('nginx.conf', faults_conf({ http => <<'EOF' },
    memcache_timeout 60s;
    memcache_connect_timeout 60s;
    ssi on;

    server {
        listen       127.0.0.1:8010 http2;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;

        location /kv/ {
            memcache_kv on;
        }
    }
EOF
	8080 => 'memcache_server 127.0.0.1:8081 max=1;
		location /ssi { default_type text/html; }
		location /auth { auth_request /kv/key1;
			auth_request_set $x $upstream_status; }
		location /mirror { mirror /kv/key1; mirror /kv/key2; }
		location /all { auth_request /kv/key1; mirror /kv/key2;
			default_type text/html; alias %%TESTDIR%%/ssi; }',
	8001 => 'memcache_server 127.0.0.1:8002; memcache_server 127.0.0.1:8003;
		memcache_server 127.0.0.1:8004;',
	8005 => 'memcache_server 127.0.0.1:8006 max=1; memcache_timeout 1s;'));

my @keys = map { "key$_" } 1 .. 20;

$t->write_file('ssi', join '', map { "<!--#include virtual=\"/kv/$_\" -->" }
	@keys);
$t->write_file($_, $_) for qw/ auth mirror /;

my $m = Test::Memcached->start($t, port(8081));
my @three = map { Test::Memcached->start($t, port($_)) } 8002 .. 8004;

# answers "late" after half a second, and ends connections that "reset" comes on
my $fake = Test::Memcached::Fake->start($t, port(8006), sub {
	my ($request) = @_;
	my ($verb, $key) = @$request{qw/ verb key /};

	return $key =~ /^reset/ ? ('H', RESET)
		: $verb eq 'mg' && $key =~ /^late/
			? (\0.5, $request->answer()) : $request->answer();
});

$t->run();

my $worker = first_worker($t);

###############################################################################

my $page = join '', map { value($_, 1) } @keys;

$m->set($_, value($_, 1)) for @keys;

# HTTP/2: streams that are reset while their operations are under way, and
# others on the same connection

my $h2 = Test::Nginx::H2->new(port(8010));
is(($h2->replies($h2->request('GET', '/kv/key1')))[0],
	'200 ' . value('key1', 1), 'F43 HTTP/2 - get');

my $before = baseline($worker);

for my $round (1 .. 2) {
	$m->pause();
	my @stay = map { $h2->request('GET', "/kv/$_") } @keys;
	my @leave = map { $h2->request('GET', "/kv/$_") } @keys;
	my @unsent = map { $h2->request('PUT', "/kv/$_", more => 1) } @keys;
	ok(wait_for(sub { waiting(port(8081)) == 40 }),
		"F43 HTTP/2 $round - all in flight");

	$h2->reset($_) for @leave, @unsent;
	ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled}
		== 20 * $round }), "F43 HTTP/2 $round - cancelled");

	$m->resume();
	is_deeply([$h2->replies(@stay)],
		[map { '200 ' . value($_, 1) } @keys],
		"F43 HTTP/2 $round - the others are answered");
	is_deeply([$h2->replies(map { $h2->request('GET', "/kv/$_") } @keys)],
		[map { '200 ' . value($_, 1) } @keys],
		"F43 HTTP/2 $round - next");
	is(waiting(port(8081)), 0, "F43 HTTP/2 $round - nothing is left");
}

# the connection ends with streams under way

$m->pause();
my @gone = map { $h2->request('GET', "/kv/$_") } @keys;
ok(wait_for(sub { waiting(port(8081)) == 20 }), 'F43 HTTP/2 gone - in flight');
close $h2->{socket};
ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled} == 60 }),
	'F43 HTTP/2 gone - cancelled');
$m->resume();
is(content(kv_get('key7')), '200 ' . value('key7', 1), 'F43 HTTP/2 gone - next');
is($m->connections(), 1, 'F43 HTTP/2 - one connection');

# subrequests: in a page, before it, and beside it

my %pages = (ssi => $page, auth => 'auth', mirror => 'mirror', all => $page);

for my $uri (sort keys %pages) {
	is(http_content(http_get("/$uri")), $pages{$uri}, "F44 /$uri");

	$m->pause();
	my $cancelled = server_status(port(8081))->{errors}{cancelled};
	my @leave = map { http_get("/$uri", start => 1) } 1 .. 20;
	ok(wait_for(sub { waiting(port(8081)) >= 20 }), "F44 /$uri - in flight");

	for my $s (@leave) {
		setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
		close $s;
	}

	# a mirror goes on without its client: it is no part of the answer
	wait_for(sub { server_status(port(8081))->{errors}{cancelled}
		>= $cancelled + 20 }) if $uri ne 'mirror';
	$m->resume();
	ok(wait_for(sub { waiting(port(8081)) == 0 }),
		"F44 /$uri - nothing is left");
	is(http_content(http_get("/$uri")), $pages{$uri}, "F44 /$uri - next");
}
is(grown($before), '', 'F44 baseline');

# a reset: a store may have happened, and is not done twice

my $requests = $fake->stats()->{requests};
is(code(kv_put('reset:1', 'x', at(8005))), 502, 'F8 reset - set');
is($fake->stats()->{requests} - $requests, 3,
	'F8 reset - version, noop and set');
is(code(kv_get('plain', at(8005))), 404, 'F8 reset - next');

# one of three hangs: what waits for it does not hold up the others

my %home;
for my $key ('a' .. 'z') {
	kv_put($key, value($key, 1), at(8001));
	($home{$key}) = grep { defined $three[$_]->get($key) } 0 .. 2;
}
my @stuck = grep { $home{$_} == 1 } sort keys %home;
my @others = grep { $home{$_} != 1 } sort keys %home;

$three[1]->pause();
my @wait = map { kv_get($_, at(8001), start => 1) } @stuck;
ok(wait_for(sub { waiting(port(8003)) == @stuck }), 'F41 one hangs');
is_deeply([map { content($_) } get_all(8001, (@others) x 5)],
	[map { '200 ' . value($_, 1) } (@others) x 5], 'F41 the others answer');
is(waiting(port(8003)), scalar @stuck, 'F41 it still hangs');
$three[1]->resume();
is_deeply([map { content($_) } read_all(@wait)],
	[map { '200 ' . value($_, 1) } @stuck], 'F41 it answers');

# the worker is stopped for longer than the deadline: the reply is there

my @late = map { "late:$_" } 1 .. 5;
kv_put($_, value($_, 1), at(8005)) for @late;
my @open = map { kv_get($_, at(8005), start => 1) } @late;
ok(wait_for(sub { waiting(port(8006)) == @late }), 'F58 in flight');
kill 'STOP', $worker;
sleep 4;
kill 'CONT', $worker;
is_deeply([map { content($_) } read_all(@open)],
	[map { '200 ' . value($_, 1) } @late], 'F58 read before timing out');

###############################################################################
