#!/usr/bin/perl

# Tests for memcache module: a name that is followed, and a resolver that knows
# nothing of it, does not answer, or answers what is wrong.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Memcached;
use Test::Memcached::DNS;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(86);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    resolver 127.0.0.1:%%PORT_8053%% ipv6=off;
    resolver_timeout <timeout>;

    <zone>
    <failover>
    memcache_server cache.test:%%PORT_8081%% resolve;
    memcache_retry 200ms;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }

        location /metrics {
            memcache_status prometheus;
        }

        location /page {
            memcache_status;
        }
    }
}

EOF

my $head = $conf =~ s/ +resolver 127.*//sr;
my $zone = 'memcache_zone memcache:4m;';
my $name = 'cache.test';
my $dns = Test::Memcached::DNS->start($t, port(8053));
my %m = map { $_ => Test::Memcached->start($t, port(8081), address => $_) }
	'127.0.0.1', '127.0.0.2', '127.0.0.3';
my $master;

###############################################################################

# the name is not there, and appears

for my $zone ($zone, '') {
	my $with = $zone ? 'with a zone' : 'without';

	$dns->forget($name);
	start(zone => $zone, timeout => '1s');
	ok(wait_for(sub { code(kv_get('k')) == 503 }), "$with: not found");
	is(all_codes(), '503', "$with: by no worker");
	my $server = server_status($name);
	is($server->{state}, 'down', "$with: it is down");
	is_deeply([@$server{qw/asked_at addresses/}], ['', 0], "$with: no address");
	is($server->{last_error}{class}, 'unresolved', "$with: the status says why");
	is($server->{last_error}{text}, 'its name cannot be resolved', "$with: in words");
	unlike(http_get('/metrics'), qr/^memcache_server_address_info\{/m, "$with: no address for Prometheus");
	like(http_get('/page'), qr/name not resolved/, "$with: on the page");
	like(messages($t), qr/\[warn\].*the name of server "cache\.test:\d+" could not be resolved \(3: Host not found\), it has no address$/m,
		"$with: a line");
	like(messages($t), qr/\[error\].*server "cache\.test:\d+" is down: its name cannot be resolved \(/,
		"$with: a line that it is down");

	# two workers, however often they ask

	my $asked = $dns->questions($name);
	wait_for(sub { $dns->questions($name) >= $asked + 4 });
	is(scalar(() = messages($t) =~ /could not be resolved/g), 2, "$with: said once by each worker");

	$dns->set($name, A => ['127.0.0.1']);
	ok(wait_for(sub { code(kv_put('k', 'v')) == 204 && all_codes() eq '200' }), "$with: it appears");
	is($m{'127.0.0.1'}->get('k'), 'v', "$with: there");
	is(server_status($name)->{state}, 'live', "$with: live");
	like(messages($t), qr/\[notice\].*server "cache\.test:\d+ \(127\.0\.0\.1:\d+\)" is up/, "$with: a line that it is up");
	stop();
}

# what the resolver says then does not matter, and it recovers

my %bad = (
	'NXDOMAIN' => [sub { $dns->forget($name) }, qr/3: Host not found/],
	'SERVFAIL' => [sub { $dns->set($name, rcode => 'SERVFAIL') }, qr/2: Server failure/],
	'an empty answer' => [sub { $dns->set($name) }, qr/3: Host not found/],
	'silence' => [sub { $dns->set($name, A => ['127.0.0.3'], silent => 1) }, qr/110: Operation timed out/],
	'a wrong id' => [sub { $dns->set($name, A => ['127.0.0.3'], wrong_id => 1) }, qr/110: Operation timed out/],
	'nobody' => [sub { $dns->stop() }, qr/110: Operation timed out/],
);

$dns->set($name, A => ['127.0.0.1']);
start(zone => $zone, timeout => '1s');
ok(wait_for(sub { all_codes() eq '404' || all_codes() eq '200' }), 'found');
my ($here, $there) = ('127.0.0.1', '127.0.0.2');

for my $what (sort keys %bad) {
	my ($begin, $text) = @{$bad{$what}};
	my $before = lines($text);

	$begin->();
	ok(wait_for(sub { lines($text) > $before }), "$what: a line");
	is(code(kv_put('k', $what)), 204, "$what: stored");
	is($m{$here}->get('k'), $what, "$what: at the last address");
	is(server_status($name)->{state}, 'live', "$what: live");

	$dns->set($name, A => [$there]);
	$dns->go_on() if $what eq 'nobody';
	ok(wait_for(sub { asked_at() eq $there && code(kv_put('k', "$what over")) == 204
		&& ($m{$there}->get('k') // '') eq "$what over" }), "$what: over");
	($here, $there) = ($there, $here);
}

like(messages($t), qr/could not be resolved \(\d+: [^)]*\), its last addresses are used$/m, 'what is used is said');
is(server_status($name)->{errors}{$_}, 0, "no error: $_") for qw/server_down timeout/;
stop();

# a lookup that is under way keeps no worker from its exit

$dns->set($name, silent => 1);
start(zone => $zone, timeout => '600s');
ok(wait_for(sub { $dns->questions($name) }), 'it is asked for');
my $socket = kv_get('k', start => 1);
is(code((read_all($socket))[0]), 504, 'what waits for an address has a deadline');
is(server_status($name)->{state}, 'live', 'nothing is known of it');
reload();
pass('a reload');
stop('QUIT');

# others stand in

$dns->forget($name);
start(failover => 'memcache_failover next; memcache_server 127.0.0.2:%%PORT_8081%%;', timeout => '1s');
ok(wait_for(sub { 40 == grep { code($_) == 204 } http_many(map { ['PUT', "k$_", value => 'x'] } 1 .. 40) }),
	'others stand in');
stop();

# bad configurations

my $resolver = 'resolver 127.0.0.1;';

for ([['', 'cache.test resolve'], qr/no "resolver" is defined here or in the http block, which "resolve" needs in .*nginx\.conf:(\d+)/],
	[[$resolver, '127.0.0.1 resolve'], qr/"resolve" needs a name, not an address, in memcache server "127\.0\.0\.1" in .*nginx\.conf:\d+/],
	[[$resolver, '[::1]:11211 resolve'], qr/"resolve" needs a name, not an address, in memcache server/],
	[[$resolver, 'unix:/tmp/m resolve'], qr/"resolve" needs a name, not an address, in memcache server/],
	[[$resolver, 'a.test resolve; memcache_server A.test:11211 resolve'], qr/duplicate memcache server "A\.test:11211"/],
	[[$resolver, 'a.test resolve resolve'], qr/duplicate parameter "resolve"/],
	[[$resolver, 'a.test resolve=on'], qr/invalid parameter "resolve=on", there are .* "resolve"/],
	[[$resolver, 'a.test:0 resolve'], qr/invalid port in memcache server "a\.test:0"/])
{
	my ($lines, $expected) = @$_;
	like(check_config($t, small(@$lines)), qr/\[emerg\].*$expected/, "refused: @$lines");
}

like(check_config($t, small($resolver, 'a.test resolve; memcache_server b.test resolve')), qr/test is successful/, 'accepted');
like(check_config($t, small('', 'a.test resolve', 'resolver 127.0.0.1;')), qr/test is successful/, 'a resolver of the server block');
like(check_config($t, small($resolver, '', 'memcache_use n;', 'memcache_cluster n { memcache_server a.test resolve; }')),
	qr/test is successful/, 'a named cluster');
like(check_config($t, small('', '', 'resolver 127.0.0.1; memcache_use n;', 'memcache_cluster n { memcache_server a.test resolve; }')),
	qr/\[emerg\].*no "resolver" is defined here or in the http block/, 'a named cluster has that of the http block');

undef $t;

###############################################################################

# The codes that gets have, several for each worker.
sub all_codes {
	my %codes = map { code($_) => 1 } http_many(map { ['GET', 'k'] } 1 .. 20);
	return join ' ', sort keys %codes;
}

sub lines {
	my ($text) = @_;
	return scalar(() = messages($t) =~ /could not be resolved \($text\)/g);
}

sub asked_at { server_status($name)->{asked_at} =~ s/:\d+$//r }

sub small {
	my ($http, $server, $in_server, $cluster) = @_;
	my $line = $server ? "memcache_server $server;" : '';
	return $head . <<"EOF";
    $http
    @{[$cluster // '']}
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        @{[$in_server // '']}
        $line
        location / {
            memcache_kv on;
        }
    }
}
EOF
}

sub start {
	my %all = (zone => '', failover => '', @_);

	$t->write_file_expand('nginx.conf', conf($conf =~ s/<(zone|failover|timeout)>/$all{$1}/gr));
	quiet($t);
	$t->run();
	$master = $t->read_file('nginx.pid') + 0;
	settled($master, 2) or die "No workers\n";
}

sub stop {
	my @all = (children($master), $master);
	$t->stop();
	gone(@all) or die "They stay\n";
	unlike($t->read_file('error.log'), qr/\[alert\]/, 'no alert');
	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before';
}

sub reload {
	my %old = map { ($_ => 1) } workers($master);

	kill 'HUP', $master;
	wait_for(sub {
		my @now = workers($master);
		return @now == keys %old && !grep { $old{$_} } @now;
	}) or die "No reload\n";
	gone(keys %old) or die "Old workers stay\n";
}

###############################################################################
