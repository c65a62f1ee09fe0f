#!/usr/bin/perl

# Tests for memcache module: memcache_control takes a server out of use for all
# workers, and brings it back.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use JSON::PP qw//;

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Nginx::Load;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant WORKERS => 3;

my $t = Test::Nginx->new()->has(qw/http rewrite/)
	->has_daemon('memcached')->plan(160);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 3;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:4m;
    memcache_timeout 10s;
    memcache_connect_timeout 10s;
    memcache_retry 200ms;

    memcache_cluster one {
        memcache_server 127.0.0.1:8081 min=1 max=1;
        memcache_pipeline 1;
        # more
    }

    memcache_cluster next {
        memcache_server 127.0.0.1:8081 min=1 max=1;
        memcache_server 127.0.0.1:8082 min=1 max=1;
        memcache_failover next;
    }

    memcache_cluster names {
        memcache_server [::1]:8089 min=0;
        memcache_server unix:%%TESTDIR%%/m.sock min=0;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/   { memcache_use one; memcache_kv on; }
        location /next/ { memcache_use next; memcache_kv on; }
        location /status { memcache_status; }

        location /control/ {
            memcache_control;
            allow 127.0.0.1;
            deny all;
        }
        location /named {
            memcache_control;
            auth_basic control;
            auth_basic_user_file passwords;
        }
        location /denied/ {
            memcache_control;
            deny all;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  twin;
        memcache_server 127.0.0.1:8082;
        location /kv/ { memcache_kv on; }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  twin;
        memcache_server 127.0.0.1:8082;
        memcache_queue 7;
        location /kv/ { memcache_kv on; }
    }
}

EOF

$t->write_file('passwords', "bob:{PLAIN}secret\n");
$t->write_file_expand('nginx.conf', conf($conf));
my ($m, $other) = map { Test::Memcached->start($t, port($_)) } 8081, 8082;
$t->run();

my ($one, $two) = map { '127.0.0.1:' . port($_) } 8081, 8082;
my $down = qr/^50[23] /;

###############################################################################

# what is shown

my $shown = list();
is_deeply([map { $_->{cluster} } @{$shown->{clusters}}], [qw/one next names/],
	'clusters');
is_deeply($shown->{clusters}[0]{servers}, [{ address => $one, state => 'up',
	since => undef, from => undef }], 'a server');
is_deeply($shown->{ambiguous}, ['twin'], 'names of several clusters');
my $reply = http_get('/control/');
is(header($reply, 'Content-Type'), 'application/json', 'type');
is(header($reply, 'X-Content-Type-Options'), 'nosniff', 'not sniffed');
is(header($reply, 'Cache-Control'), 'no-store', 'not stored');
$reply = http_head('/control/');
is(code($reply) . (http_content($reply) // ''), '200', 'HEAD');

# down, for all workers

is(code(kv_put('cow', 'moo')), 204, 'in use');
is(code(set("one/$one", 'down')), 200, 'down');
is(state_of('one', $one), 'down', 'as it is shown');
like(everywhere('/kv/cow'), $down, 'in all workers');
ok(wait_for(sub { $m->open_connections() == WORKERS }),
	'only the connections of another cluster are left');
is(code(kv_get('cow', location => '/next/')), 200, 'which is in use');
is(code(set("one/$one", 'down')), 200, 'down already');

my $server = of_cluster('one');
is($server->{state}, 'disabled', 'status');
is($server->{operator}{state}, 'down', 'status - what');
is($server->{operator}{from}, '127.0.0.1', 'status - from');
cmp_ok(abs($server->{operator}{since} / 1000 - time()), '<', 60, 'status - since');
like(http_get('/status'), qr/down by operator from 127\.0\.0\.1, /, 'page');
like(http_get('/status?format=prometheus'),
	qr/^memcache_server_taken_out\{[^}]*="one"[^}]*\} 1$/m, 'metrics');

# a reload, and a worker that dies

$t->reload();
like(everywhere('/kv/cow'), $down, 'after a reload');
my $before = first_worker($t);
kill 'KILL', $before;
ok(wait_for(sub { !grep { $_ == $before } worker_pids($t) }), 'a worker dies');
like(everywhere('/kv/cow'), $down, 'after the death of a worker');
is(state_of('one', $one), 'down', 'still shown');

# other settings, other servers: it belongs to the names

reconfigure($t, $conf =~ s/# more/memcache_queue 9;/r);
like(everywhere('/kv/cow'), $down, 'with other settings');
reconfigure($t, $conf
	=~ s/(cluster one \{\s+)memcache_server 127.0.0.1:8081/$1memcache_server 127.0.0.1:8082/r);
like(everywhere('/kv/cow'), qr/^404 /, 'another server is in use');
reconfigure($t, $conf);

is(code(set("one/$one", 'up')), 200, 'up');
is(everywhere('/kv/cow', '200 moo'), '200 moo', 'in use again');
is(of_cluster('one')->{operator}, undef, 'status');
ok(wait_for(sub { $m->open_connections() == 2 * WORKERS }),
	'connections as before');

# under load, with a stand-in

my $load = Test::Nginx::Load->start($t);
for (1 .. 5) {
	for my $state (qw/drain up down up/) {
		is(code(set("next/$one", $state)), 200, "load - $state");
		is(code(kv_put("calf$_", $state, location => '/next/')), 204,
			'load - an operation');
	}
}
my $seen = $load->stop();
is_deeply([grep { !/^20[04]$/ } keys %$seen], [], 'the other cluster sees nothing');

# what waits: drain sends it, down ends it

for my $state ('drain', 'down') {
	is(code(kv_put('cow', 'moo')), 204, "$state - in use");
	$m->pause();
	# more than the pipelines of all workers take
	my @gets = map { kv_get("cow$_", start => 1) } 1 .. 90;
	ok(wait_for(sub { my $s = of_cluster('one'); $s->{queued} > 0
		&& $s->{queued} + $s->{pending} >= 90 }), "$state - operations wait");
	is(code(set("one/$one", $state)), 200, "$state - is possible");
	like(everywhere('/kv/cow'), $down, "$state - takes nothing new");
	ok(wait_for(sub { of_cluster('one')->{queued} == 0 }), "$state - none waits")
		if $state eq 'down';
	$m->resume();
	my %codes;
	$codes{code($_)}++ for read_all(@gets);
	if ($state eq 'drain') {
		is_deeply(\%codes, { 404 => 90 }, 'drain - all are answered');
	} else {
		cmp_ok($codes{404} // 0, '>', 0, 'down - what was sent is answered');
		is_deeply([grep { !/^(404|50[23])$/ } keys %codes], [],
			'down - the others fail');
	}
	ok(wait_for(sub { of_cluster('one')->{connections}{open} == 0 }),
		"$state - no connection is left");
	is(code(set("one/$one", 'up')), 200, "$state - up");
	is(everywhere('/kv/cow', '200 moo'), '200 moo', "$state - in use again");
}

# names

my $socket = 'unix:' . $t->testdir() . '/m.sock';
my $v6 = '[::1]:8089';
for my $name ($v6, escape($v6), $socket, escape($socket)) {
	is(code(set("names/$name", 'down')), 200, "$name - down");
	is(code(set("names/$name", 'up')), 200, "$name - up");
}

# bad requests

my @bad = (
	[404, "one/127.0.0.1:1?state=up", 'another server'],
	[404, "two/$one?state=up", 'another cluster'],
	[404, "one?state=up", 'no server'],
	[404, "?state=up", 'neither'],
	[404, "one/$one/?state=up", 'a slash too many'],
	[409, "twin/$two?state=up", 'a name of several clusters'],
	[400, "one/$one", 'no state'],
	[400, "one/$one?state=", 'an empty state'],
	[400, "one/$one?state=Down", 'another state'],
	[400, "one/$one?state=down&state=up", 'two'],
	[400, "one/$one?x=1&state=down", 'another argument'],
	[404, 'one/%3Cscript%3E%0a?state=down', 'a strange name'],
);

for (@bad) {
	my ($code, $target, $what) = @$_;
	$reply = http("PUT /control/$target HTTP/1.0\r\nHost: localhost\r\n\r\n");
	is(code($reply), $code, $what);
	unlike(http_content($reply) // '', qr/<script/, "$what - harmless");
	next unless $what eq 'another server';
	like($reply, qr/there is no server "127.0.0.1:1" in cluster "one"/,
		'another server - is named');
}

for my $method (qw/POST DELETE PATCH OPTIONS/) {
	$reply = http("$method /control/one/$one?state=down HTTP/1.0\r\n"
		. "Host: localhost\r\n\r\n");
	is(code($reply), 405, $method);
	is(header($reply, 'Allow'), 'GET, HEAD, PUT', "$method - allowed are");
}
is(code(http_get("/control/one/$one?state=down")), 404, 'GET of a server');
is(code(http_get('/control/?state=down')), 200, 'GET with a state');
$reply = http("PUT /control/one/$one?state=up HTTP/1.0\r\nHost: localhost\r\n"
	. "Content-Length: 5\r\n\r\nstate");
is(code($reply), 200, 'a body is dropped');
is(state_of('one', $one), 'up', 'nothing has changed');

# requests that a page of another site makes a browser send

my $own = 'localhost:' . port(8080);
my @sites = (
	[403, 'Origin: http://evil.example'], [403, 'Origin: null'],
	[403, "Origin: http://localhost"], [403, "Origin: http://$own.evil"],
	[403, 'Origin:'], [403, "Origin: http://$own", 'Origin: http://evil'],
	[403, 'Sec-Fetch-Site: cross-site'], [403, 'Sec-Fetch-Site: same-site'],
	[403, "Origin: http://$own", 'Sec-Fetch-Site: cross-site'],
	[200, "Origin: http://$own"], [200, "Origin: https://\U$own\E"],
	[200, 'Sec-Fetch-Site: none'], [200, 'Sec-Fetch-Site: same-origin'],
);

for (@sites) {
	my ($code, @lines) = @$_;
	is(code(set("one/$one", 'up', "Host: $own", @lines)), $code, "@lines");
}
is(code(http("PUT /control/one/$one?state=up HTTP/1.0\r\n"
	. "Origin: http://localhost\r\n\r\n")), 403, 'without a host');

# who may

my $bob = "Authorization: Basic Ym9iOnNlY3JldA==\r\n\r\n";
is(code(http("PUT /denied/one/$one?state=down HTTP/1.0\r\n\r\n")), 403, 'denied');
is(code(http("PUT /named/one/$one?state=down HTTP/1.0\r\n\r\n")), 401, 'no user');
is(code(http("PUT /named/one/$one?state=drain HTTP/1.0\r\n$bob")), 200, 'a user');
is(code(http("PUT /named/one/$one?state=up HTTP/1.0\r\n$bob")), 200, 'and back');
is(code(http("PUT /namedone/$one?state=down HTTP/1.0\r\n$bob")), 404, 'no slash');

# the log

my $log = messages($t);
my $of = qr/memcache: server \Q$one\E of cluster "one"/;
like($log, qr/\[notice\].*$of was taken down by 127\.0\.0\.1, was: up$/m,
	'log - down');
like($log, qr/\[notice\].*$of was drained by 127\.0\.0\.1 \(user "bob"\), was: up$/m,
	'log - drained, with the user');
like($log, qr/\[notice\].*$of was brought back by 127\.0\.0\.1, was: down$/m,
	'log - up');
unlike($log, qr/server \Q$one\E is down/, 'log - it has not failed');

# without the location nobody could bring a server back: it is in use

set("one/$one", 'down');
like(everywhere('/kv/cow'), $down, 'down once more');
reconfigure($t, $conf =~ s/\bmemcache_control;//gr);
is(everywhere('/kv/cow', '200 moo'), '200 moo',
	'in use without memcache_control');

$t->stop();
is(expect_alerts($t, qr/exited on signal 9/), '', 'the only alert');

###############################################################################

# Runs with another configuration from now on.
sub reconfigure {
	my ($t, $text) = @_;
	my @old = worker_pids($t);

	$t->write_file_expand('nginx.conf', conf($text));
	$t->reload();
	wait_for(sub { my %now = map { ($_ => 1) } worker_pids($t);
		keys %now == WORKERS && !grep { $now{$_} } @old });
}

# What is shown.
sub list {
	return JSON::PP->new->utf8->decode(http_content(http_get('/control/')));
}

sub state_of {
	my ($cluster, $address) = @_;
	my ($found) = grep { $_->{cluster} eq $cluster } @{list()->{clusters}};
	return (grep { $_->{address} eq $address } @{$found->{servers}})[0]{state};
}

# Changes a server.
sub set {
	my ($target, $state, @lines) = @_;
	unshift @lines, 'Host: localhost' unless grep { /^Host/ } @lines;
	return http(join "\r\n", "PUT /control/$target?state=$state HTTP/1.0",
		@lines, '', '');
}

# The first server of a cluster, as the status shows it.
sub of_cluster {
	my ($name) = @_;
	my ($client) = grep { $_->{cluster} eq $name } @{status()->{clients}};
	return $client->{servers}[0];
}

# The answer of all workers, once they all answer the same, and this if it is
# given.  Each of so many connections may reach another worker.
sub everywhere {
	my ($uri, $expected) = @_;
	my %answers;

	wait_for(sub {
		%answers = map { (content($_) => 1) } http_many(
			("GET $uri HTTP/1.0\r\nHost: localhost\r\n\r\n") x 30);
		return keys %answers == 1
			&& (!defined $expected || $answers{$expected});
	});
	return join ', ', sort keys %answers;
}

###############################################################################
