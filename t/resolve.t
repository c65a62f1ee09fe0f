#!/usr/bin/perl

# Tests for memcache module: a name that is followed by nginx's resolver, and
# leads elsewhere while nginx runs.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Nginx::Load;
use Test::Memcached;
use Test::Memcached::DNS;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(46);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes <workers>;
master_process <master>;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    <zone>
    <resolver>
    memcache_server Cache.test:%%PORT_8081%% resolve <params>;
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

my $resolver = 'resolver 127.0.0.1:%%PORT_8053%%;';
my $zone = 'memcache_zone memcache:4m;';
my $name = 'cache.test';
my @addresses = map { "127.0.0.$_" } 1 .. 3;
my $dns = Test::Memcached::DNS->start($t, port(8053));
my (%m, $master);

memcached(@addresses);

###############################################################################

# an address that changes under load

for my $zone ($zone, '') {
	my $with = $zone ? 'with a zone' : 'without';

	$dns->set($name, A => ['127.0.0.1']);
	start(workers => 2, zone => $zone, params => 'min=1');
	ok(wait_for(sub { code(kv_put('k', 'one')) == 204
		&& !grep { asked_at() ne '127.0.0.1' } 1 .. 20 }), "$with: found, by all");
	is($m{'127.0.0.1'}->get('k'), 'one', "$with: where it says");
	is(asked_at(), '127.0.0.1', "$with: which the status says");
	my $server = server_status('Cache.test');
	is_deeply([@$server{qw/resolve addresses/}], [JSON::PP::true(), 1], "$with: as one that is followed");
	like($server->{address}, qr/^Cache\.test:\d+$/, "$with: by its name");
	like(http_get('/metrics'), qr/^memcache_server_address_info\{[^}]*,address="127\.0\.0\.1:/m,
		"$with: Prometheus says it, too");

	my $load = Test::Nginx::Load->start($t);

	for my $address (@addresses[1, 2, 0]) {
		$dns->set($name, A => [$address]);
		ok(wait_for(sub { code(kv_put('k', $address)) == 204
			&& ($m{$address}->get('k') // '') eq $address
			&& asked_at() eq $address }), "$with: moved to $address");
	}

	my $seen = $load->stop();
	is_deeply([grep { !/^(?:200|204|404)$/ } keys %$seen], [],
		"$with: no error, and no wrong value")
		or diag(explain($seen));
	like(messages($t), qr/\[notice\].*the name of server "Cache\.test:\d+" leads to 127\.0\.0\.2:\d+$/m,
		"$with: a line");
	ok(wait_for(sub { !open_connections(@addresses[1, 2]) }),
		"$with: no connection to former addresses");
	stop();
}

# several addresses and both families, which are one server

$dns->set($name, A => ['127.0.0.2', '127.0.0.1']);
start(workers => 2, zone => $zone);
ok(wait_for(sub { code(kv_put('a', 'x')) == 204
	&& !grep { asked_at() ne '127.0.0.1' } 1 .. 20 }), 'several');
is(asked_at(), '127.0.0.1', 'several: the first one');
is(server_status('Cache.test')->{addresses}, 2, 'several: of two');
like(http_get('/page'), qr/at 127\.0\.0\.1:\d+, one of 2 addresses/, 'several: on the page');

# the one in use goes from the list, another one comes before it

my $lines = () = messages($t) =~ /leads to/g;
$dns->set($name, A => ['127.0.0.3', '127.0.0.2']);
ok(wait_for(sub { asked_at() eq '127.0.0.2' }), 'several: another list');
is(code(kv_put('a', 'y')), 204, 'several: stored');
is($m{'127.0.0.2'}->get('a'), 'y', 'several: there');

SKIP: {
	skip 'no IPv6 here', 3 unless eval { Test::Memcached->start($t, port(8081), address => '::1') };

	$dns->set($name, AAAA => ['::1']);
	ok(wait_for(sub { asked_at() eq '[::1]' }), 'IPv6');
	ok(wait_for(sub { code(kv_put('a', 'six')) == 204 }), 'IPv6: stored');
	$dns->set($name, AAAA => ['::1'], A => ['127.0.0.1']);
	ok(wait_for(sub { server_status('Cache.test')->{addresses} == 2 }), 'both families');
}

# CNAME, and an answer that does not fit

$dns->set('other.test', A => ['127.0.0.3']);
$dns->set($name, CNAME => 'other.test');
ok(wait_for(sub { asked_at() eq '127.0.0.3' }), 'CNAME');
$dns->set($name, A => ['127.0.0.1', map { "127.0.1.$_" } 1 .. 100], truncated => 1);
ok(wait_for(sub { asked_at() eq '127.0.0.1' }), 'truncated');
cmp_ok($dns->questions($name, 'A', 'tcp'), '>', 0, 'truncated: asked by TCP');
is(server_status('Cache.test')->{addresses}, 64, 'more addresses than there may be');

# it is asked as often as the TTL says

$dns->set($name, A => ['127.0.0.2'], ttl => 3600);
ok(wait_for(sub { asked_at() eq '127.0.0.2' && asked_at() eq '127.0.0.2' }), 'a long life');
# Each worker asks every two seconds until it knows of the long life.
wait_for(sub { $dns->questions($name) == (sleep(5), $dns->questions($name))[1] });
my $asked = $dns->questions($name);
sleep 3;
is($dns->questions($name), $asked, 'a long life: not asked again');
stop();

# without a master

$dns->set($name, A => ['127.0.0.1']);
start(workers => 1, master => 'off');
ok(wait_for(sub { code(kv_put('k', 'one')) == 204 }), 'no master');
$dns->set($name, A => ['127.0.0.2']);
ok(wait_for(sub { asked_at() eq '127.0.0.2' }), 'no master: moved');
stop();

undef $t;

###############################################################################

sub asked_at {
	my $server = server_status('Cache.test') or return '';
	return $server->{asked_at} =~ s/:\d+$//r;
}

sub open_connections {
	my (@at) = @_;
	my $all = 0;
	$all += $m{$_}->open_connections() for @at;
	return $all;
}

sub memcached {
	$m{$_} //= Test::Memcached->start($t, port(8081), address => $_) for @_;
}

sub start {
	my %all = (zone => '', params => '', master => 'on', resolver => $resolver, @_);

	$t->write_file_expand('nginx.conf',
		conf($conf =~ s/<(workers|zone|params|master|resolver)>/$all{$1}/gr));
	quiet($t);
	$t->run();
	$master = $t->read_file('nginx.pid') + 0;
	$all{master} eq 'off' || settled($master, $all{workers}) or die "No workers\n";
}

sub stop {
	my @all = (children($master), $master);
	$t->stop();
	gone(@all) or die "They stay\n";
	unlike($t->read_file('error.log'), qr/\[alert\]/, 'no alert');
	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before';
}

###############################################################################
