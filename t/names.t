#!/usr/bin/perl

# Tests for memcache module: names that lead elsewhere after a reload, and names
# with several addresses.  The test runs in a mount namespace of its own, in
# which /etc/hosts is its own, too.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN {
	use FindBin; chdir($FindBin::Bin);

	my $why = $> != 0 ? 'needs root'
		: system('unshare --mount true 2>/dev/null') != 0
			? 'no mount namespaces here' : '';

	plan(skip_all => $why) if $why;

	if (!$ENV{TEST_NGINX_NAMESPACE}++) {
		exec 'unshare', '--mount', $^X, (map { "-I$_" } @INC),
			"$FindBin::Bin/$FindBin::Script" or die "unshare: $!\n";
	}
}

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Memcached;
use Test::Memcached::DNS;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(62);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes <workers>;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    <zone>
    memcache_server cache.test:%%PORT_8081%% <params>;
    memcache_retry <retry>;

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

my $zone = 'memcache_zone memcache:4m;';
my (%m, $master);

hosts();
system('mount', '--bind', $t->testdir() . '/hosts', '/etc/hosts') == 0
	or die "No /etc/hosts of its own\n";

###############################################################################

# R45: a name leads elsewhere

for my $zone ($zone, '') {
	my $name = 'R45 ' . ($zone ? 'with a zone' : 'without');

	hosts('127.0.0.1');
	memcached('127.0.0.1', '127.0.0.2');
	start(1, $zone, '60s');
	is(code(kv_put('k', 'one')), 204, "$name: there");
	my $sets = server_status('cache.test')->{operations}{set};

	(delete $m{'127.0.0.1'})->kill_it();
	ok(wait_for(sub { code(kv_get('k')) == 503
		&& server_status('cache.test')->{state} eq 'down' }), "$name: down");

	hosts('127.0.0.2');
	reload();
	is(code(kv_put('k', 'two')), 204, "$name: there again");
	is(server_status('cache.test')->{state}, 'live', "$name: live");
	is(server_status('cache.test')->{operations}{set},
		$zone ? $sets + 1 : 1, "$name: numbers go on");

	# what is known of the address that is asked is still known

	(delete $m{'127.0.0.2'})->kill_it();
	wait_for(sub { code(kv_get('k')) == 503 });
	reload();
	is(server_status('cache.test')->{state}, $zone ? 'down' : 'live',
		"$name: the same address");
	stop();
}

# R5: a name with several addresses is one server, for all workers, and before
# and after a reload, whatever the order in which the addresses are found

my @addresses = map { "127.0.0.$_" } 1 .. 3;

for my $zone ($zone, '') {
	my $name = 'R5 ' . ($zone ? 'with a zone' : 'without');
	hosts(@addresses[2, 0, 1]);
	memcached(@addresses);
	start(3, $zone, '200ms', 'min=1');
	is(put_many('one'), 40, "$name: stored");
	is(where('one'), '40 0 0', "$name: at the first address");
	is(asked_at(), $addresses[0], "$name: which is said");

	hosts(@addresses[1, 2, 0]);
	reload();
	is(read_many('one'), 200, "$name: after a reload too");

	# it ends, and the next one takes over

	(delete $m{$addresses[0]})->kill_it();
	ok(wait_for(sub { read_many('one', 20) == 0 && put_many('two') == 40
		&& read_many('two') == 200 }), "$name: the second one, for all");
	is(where('two'), '- 40 0', "$name: and nowhere else");
	is(asked_at(), $addresses[1], "$name: which is said");
	like(http_get('/metrics'), qr/^memcache_server_address_info\{[^}]*,address="127\.0\.0\.2:/m,
		"$name: to Prometheus as well");
	like(http_get('/page'), qr/at 127\.0\.0\.2:\d+, one of 3 addresses/,
		"$name: and on the page");

	# it is back, as one that knows nothing

	memcached($addresses[0]);
	ok(wait_for(sub { put_many('three') == 40
		&& where_now('three', 0) == 40 && read_many('three') == 200 }),
		"$name: the first one again");
	is(read_many('three'), 200, "$name: for all");
	is(asked_at(), $addresses[0], "$name: which is said");

	# it hangs for a while, and comes back with what it had

	$m{$addresses[0]}->pause();
	ok(wait_for(sub { put_many('four') == 40 && where_now('four', 1) == 40 }),
		"$name: the second one while the first one hangs");
	$m{$addresses[0]}->resume();
	ok(wait_for(sub { put_many('five') == 40
		&& where_now('five', 0) == 40 && read_many('five') == 200 }),
		"$name: and back");
	is(read_many('five'), 200, "$name: for all");

	unlike(messages($t), qr/server "cache\.test:\d+" is down: connection refused/,
		"$name: it was never down");
	like(messages($t), qr/server "cache\.test:\d+ \(127\.0\.0\.2:\d+\)" is asked there from now on/,
		"$name: a line says where it is asked");
	is(scalar(() = messages($t) =~ /127\.0\.0\.3:\d+\)" is asked there/g), 0,
		"$name: never at the third");
	stop();
}

# R5: a name that is followed has the addresses that the system knows, until
# its resolver says which ones there are

{
	my $dns = Test::Memcached::DNS->start($t, port(8053));
	hosts('127.0.0.1');
	memcached('127.0.0.1', '127.0.0.2');
	$dns->set('cache.test', silent => 1);
	start(2, 'resolver 127.0.0.1:%%PORT_8053%%; resolver_timeout 1s;', '1s', 'resolve');
	is(code(kv_put('k', 'hosts')), 204, 'R5 resolve: at once');
	is(asked_at(), '127.0.0.1', 'R5 resolve: as the system says');
	$dns->set('cache.test', A => ['127.0.0.2']);
	ok(wait_for(sub { asked_at() eq '127.0.0.2' }), 'R5 resolve: as the resolver says');
	reload();
	is(code(kv_put('k', 'again')), 204, 'R5 resolve: after a reload');
	ok(wait_for(sub { asked_at() eq '127.0.0.2' }), 'R5 resolve: as the resolver says again');
	stop();
}

# what is likely to be a mistake is said: not for a host with both families

hosts(@addresses);
like(check_config($t, text(1, '', '1s')), qr/\[warn\].*
	"cache\.test:\d+"\ has\ 3\ addresses,.*\ in\ .*nginx\.conf:\d+$/mx,
	'R5 several addresses of one family');
hosts('127.0.0.1', '::1');
unlike(check_config($t, text(1, '', '1s')), qr/\[warn\].*addresses/,
	'R5 one of each family');

# expand: each address is a server of its own, for which the line's numbers hold

hosts(@addresses[2, 0, 1]);
memcached(@addresses);
start(2, $zone, '200ms', 'expand weight=3 max=5');
my $port = port(8081);
is_deeply([map { join ' ', @$_{qw/ address asked_at addresses weight /}, $_->{pool}{max} }
	@{ status()->{clients}[0]{servers} }],
	[map { "$_:$port $_:$port 1 3 5" } @addresses],
	'expand: a server each, by its address');
is(put_many('expanded'), 40, 'expand: stored');
my @at = split ' ', where('expanded');
is($at[0] + $at[1] + $at[2], 40, 'expand: each key at one');
is((scalar grep { $_ > 0 } @at), 3, 'expand: keys at each of them');

# the order in which the addresses are found does not matter

hosts(@addresses[1, 2, 0]);
reload();
is(read_many('expanded', 40), 40, 'expand: keys stay');
stop();

unlike(check_config($t, text(1, '', '1s', 'expand')), qr/\[warn\].*addresses/,
	'expand: no warning');
hosts('127.0.0.1', '::1');
like(check_config($t, text(1, '', '1s', "expand;\n    memcache_server [::1]:%%PORT_8081%%")),
	qr/\[emerg\]\ duplicate\ memcache\ server\ "\[::1\]:\d+"\ in/x, 'expand: both families');

# named subroutines have it, too, and keep it longer than Test::More lives
undef $t;

###############################################################################

# How many of the keys are stored, and how many of so many reads find the value.
sub put_many {
	my ($value) = @_;
	return scalar grep { code($_) == 204 }
		http_many(map { ['PUT', "k$_", value => $value] } 1 .. 40);
}

sub read_many {
	my ($value, $n) = @_;
	return scalar grep { content($_) eq "200 $value" } map { http_many(map {
		['GET', "k$_"] } 1 .. 20) } 1 .. ($n // 200) / 20;
}

# How many of the keys have the value, at each of the addresses.
sub where {
	my ($value) = @_;
	return join ' ', map { my $m = $m{$_}; $m ? scalar grep {
		($m->get("k$_") // '') eq $value } 1 .. 40 : '-' } @addresses;
}

# The same at one of them, when another one may hang.
sub where_now {
	my ($value, $at) = @_;
	my $m = $m{$addresses[$at]};
	return scalar grep { ($m->get("k$_") // '') eq $value } 1 .. 40;
}

sub asked_at {
	my $server = server_status('cache.test');
	return $server->{asked_at} =~ s/:\d+$//r;
}

sub hosts {
	$t->write_file('hosts', join '', "127.0.0.1 localhost\n",
		map { "$_ cache.test\n" } @_);
}

sub memcached {
	$m{$_} //= Test::Memcached->start($t, port(8081), address => $_) for @_;
}

sub text {
	my ($workers, $zone, $retry, $params) = @_;
	my %all = (workers => $workers, zone => $zone, retry => $retry,
		params => $params // '');

	return $conf =~ s/<(workers|zone|retry|params)>/$all{$1}/gr;
}

sub configure {
	$t->write_file_expand('nginx.conf', conf(text(@_)));
	quiet($t);
}

sub start {
	my ($workers) = @_;

	configure(@_);
	$t->run();
	$master = $t->read_file('nginx.pid') + 0;
	settled($master, $workers) or die "No workers\n";
}

sub stop {
	my @all = (children($master), $master);
	$t->stop();
	gone(@all) or die "They stay\n";
	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before';
}

sub reload {
	my %old = map { ($_ => 1) } workers($master);

	kill 'HUP', $master;
	wait_for(sub {
		my @now = workers($master);
		return @now == keys %old && !grep { $old{$_} } @now;
	}) or die "No reload\n";
}

###############################################################################
