#!/usr/bin/perl

# Tests for memcache module: one of three servers dies, with and without
# another one to stand in; what is sent again, and what is not.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(42)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    # cow is on the first, foo and key1 on the second, key0 on the third
    memcache_server 127.0.0.1:8081;
    memcache_server 127.0.0.1:8082;
    memcache_server 127.0.0.1:8083;

%%KV_SERVER%%

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_failover next;

        location /kv/ {
            memcache_kv on;
        }
    }

    # connections that end when a request has been read
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8086 max=1;
        memcache_max_fails 65535;

        location /kv/ {
            memcache_kv on;
        }
    }

    # the same, with somebody to stand in
    server {
        listen       127.0.0.1:8087;
        server_name  localhost;

        memcache_server 127.0.0.1:8086 max=1;
        memcache_server 127.0.0.1:8083;
        memcache_failover next;
        memcache_max_fails 1;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

use constant CLOSE => Test::Memcached::Fake::CLOSE;

my @m = map { Test::Memcached->start($t, port($_)) } 8081 .. 8083;
my $seen = $t->testdir() . '/seen';

# notes each request; the first ones for the key "dies" get no answer
Test::Memcached::Fake->start($t, port(8086), sub {
	my ($request) = @_;
	my $key = $request->{key} // '';

	return $request->answer() unless $key =~ /^dies/;

	open my $f, '>>', $seen or die "Can't write: $!";
	print $f "$request->{verb} $key\n";
	close $f;
	return CLOSE;
});

$t->run();

my @next = (PeerAddr => '127.0.0.1:' . port(8084));
my @dying = (PeerAddr => '127.0.0.1:' . port(8085));

###############################################################################

# all three are there: each key where it belongs, for both

for my $peer ([], \@next) {
	is(code(kv_put($_, "of $_", @$peer)), 204, "set $_") for qw/ cow foo key0 /;
}

is($m[0]->get('cow'), 'of cow', 'on the first');
is($m[1]->get('foo'), 'of foo', 'on the second');
is($m[2]->get('key0'), 'of key0', 'on the third');

# the second one dies

$m[1]->kill_it();

ok(wait_for(sub { code(kv_get('foo')) == 503 }), 'off - fails');
is(code(kv_put('key1', 'x')), 503, 'off - a set fails');
is(content(kv_get('cow')), '200 of cow', 'off - the first goes on');
is(content(kv_get('key0')), '200 of key0', 'off - the third goes on');
is($_->get('key1'), undef, 'off - nothing moved') for @m[0, 2];
is(server(0, 8082)->{state}, 'down', 'off - down');
is(server(0, 8082)->{failed_over}, 0, 'off - none went to another');

ok(wait_for(sub { code(kv_get('foo', @next)) == 404 }), 'next - another one');
is(stand_in(kv_get('foo', @next)), 1, 'R42 - a miss of a stand-in');
is(code(kv_put('key1', 'x', @next)), 204, 'next - set');
is(content(kv_get('key1', @next)), '200 x', 'next - get');
is(stand_in(kv_get('key1', @next)), 1, 'R42 - a hit of a stand-in');
is(stand_in(kv_get('cow', @next)), 0, 'R42 - of its own server');
is($m[2]->get('key1'), 'x', 'next - it is on the third');
is($m[0]->get('key1'), undef, 'next - it is not on the first');
is(content(kv_get('cow', @next)), '200 of cow', 'next - the others stay');
ok(server(1, 8082)->{failed_over} >= 3, 'next - counted');

# it returns, which a timer sees

my $again = Test::Memcached->start($t, port(8082));

for my $client (0, 1) {
	ok(wait_for(sub { server($client, 8082)->{state} eq 'live' }),
		"live again, without a request, $client");
}

is(code(kv_put('key1', 'home', @next)), 204, 'next - set, at home again');
is($again->get('key1'), 'home', 'next - it is there');
is(stand_in(kv_get('key1', @next)), 0, 'R42 - at home again');
is(stand_in(kv_get('foo', @next)), 0, 'R42 - a miss at home');
is(content(kv_get('key1')), '200 home', 'off - the same');

# what is sent again when its connection ends: a get, once; no write

is(code(kv_get('dies:a', @dying)), 502, 'a get that dies');
is(code(kv_put('dies:b', 'x', @dying)), 502, 'a set that dies');
is(code(kv_post('dies:c', 'lease=100', @dying)), 502, 'a lease that dies');
is(join(' ', seen()), 'mg dies:a mg dies:a ms dies:b mg dies:c',
	'a get goes out twice, the others once');
is(server(2, 8086)->{retried}, 1, 'counted');
is(server(2, 8086)->{errors}{unknown}, 3, 'counted as unknown');

# also where another server could have it

my @both = (PeerAddr => '127.0.0.1:' . port(8087));
my ($key) = grep { kv_put($_, 'x', @both); !defined $m[2]->get($_) }
	map { "dies$_" } 1 .. 50;
is(code(kv_put($key, 'y', @both)), 204, 'next - a set behind it')
	if wait_for(sub { code(kv_get($key, @both)) == 404 });
is($m[2]->get($key), 'y', 'next - on the one that stands in');

###############################################################################

# whether a server that stands in for another one has answered
sub stand_in {
	return header($_[0], 'X-Memcache-Stand-In') // 0;
}

# what the client number N says of a server
sub server {
	my ($client, $port) = @_;
	my $name = '127.0.0.1:' . port($port);
	my ($server) = grep { $_->{address} eq $name }
		@{status()->{clients}[$client]{servers}};
	return $server;
}

sub seen {
	open my $f, '<', $seen or return;
	chomp(my @lines = <$f>);
	return @lines;
}

###############################################################################
