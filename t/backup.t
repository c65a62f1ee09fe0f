#!/usr/bin/perl

# Tests for memcache module: backup servers stand in for servers that are
# down, and nothing lives there for long.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { CAP => 100, MOST => 250 };

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->write_file_expand('nginx.conf', conf(<<'EOF'))->plan(57);

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%
%%LOAD_MEMCACHE_TEST%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:4m;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    memcache_server 127.0.0.1:8081;
    memcache_server 127.0.0.1:8082;
    memcache_server 127.0.0.1:8083 backup;
    memcache_server 127.0.0.1:8084 backup;
    memcache_failover backup;
    memcache_backup_ttl 100s;

    server {
        # the kernel spreads the connections over the workers
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /fetch {
            test_content fetch;
        }

        location /status {
            memcache_status;
        }
    }

    # the same servers, in text
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_protocol text;

        location /kv/ {
            memcache_kv on;
        }
    }

    # one that hangs
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_server 127.0.0.1:8087;
        memcache_server 127.0.0.1:8084 backup;
        memcache_timeout 200ms;
        memcache_connect_timeout 200ms;
        memcache_max_fails 1;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOF

my ($first, $second, @backup) = map { Test::Memcached->start($t, port($_)) }
	8081 .. 8084;
my $hanging = Test::Memcached->start($t, port(8087));

$t->run();

my @text = (PeerAddr => '127.0.0.1:' . port(8085));
my @hangs = (PeerAddr => '127.0.0.1:' . port(8086));
my ($r, %seen);

###############################################################################

# all are there: backups have nothing

kv_put("key$_", "of key$_") for 1 .. MOST;

my @home = grep { defined $first->get("key$_") } 1 .. MOST;
my @away = grep { defined $second->get("key$_") } 1 .. MOST;
my @keys = map { "key$_" } @away;

is(@home + @away, MOST, 'each key has a home');
is($_->stats()->{curr_items}, 0, 'nothing on a backup') for @backup;
is((server(8083)->{backup} // 'none') . (server(8081)->{backup} // 'none'),
	'10', 'status - which servers are backups');

# one dies

$second->kill_it();

ok(wait_for(sub { code(kv_put($keys[0], 'x')) == 204 }), 'another one');
is(stand_in(kv_get($keys[0])), 1, 'R42 - a hit of a backup');
is(stand_in(kv_get($keys[1])), 1, 'R42 - a miss of a backup');
is(code(kv_get($keys[1])), 404, 'a backup has no items of others');
is(stand_in(kv_get("key$home[0]")), 0, 'R42 - of its own server');
is(server(8082)->{state}, 'down', 'status - down');

# in all workers, on all backups

$seen{code($_) . stand_in($_)}++ for http_many(map { ['PUT', $_, value => $_] } @keys);
is_deeply(\%seen, { '2040' => scalar @keys }, 'all workers - stored');
%seen = ();
$seen{content($_) eq "200 $keys[0]" ? 'found' : content($_)}++, $seen{stand_in($_)}++
	for http_many(map { ['GET', $keys[0]] } 1 .. 50);
is_deeply(\%seen, { found => 50, 1 => 50 }, 'all workers - found');

my @on = map { my $m = $_; scalar grep { defined $m->get($_) } @keys } @backup;
is($on[0] + $on[1], @keys, 'each key on one backup');
ok($on[0] > @keys / 10 && $on[1] > @keys / 10, "on both: @on");
is((grep { defined $first->get($_) } @keys), 0, 'no other server is asked');
ok(server(8082)->{failed_over} >= @keys, 'status - counted');

# how long it lives there: whatever sets it, and however long it should

for my $n (0 .. 1) {
	my ($name, @peer) = $n ? ('text', @text) : 'meta';
	my $key = $keys[2];

	code(kv_delete($key, @peer));
	is(life($key), 'none', "$name - nothing there");

	kv_put($key, 'x', @peer);
	is(life($key), 'short', "$name - set for ever");
	kv_put($key, 'x', @peer, args => 'ttl=1000');
	is(life($key), 'short', "$name - set for long");
	kv_put($key, 'x', @peer, args => 'ttl=3000000');
	is(life($key), 'short', "$name - set until a moment");
	kv_put($key, 'x', @peer, args => 'ttl=50');
	is(life($key), 'own', "$name - set for a short time");

	kv_post($key, 'touch=0', @peer);
	is(life($key), 'short', "$name - touched");
	kv_put($key, 'x', @peer, args => 'ttl=50');
	kv_post($key, 'append', @peer, value => 'y');
	is(life($key), 'own', "$name - append keeps it");
	kv_post($key, 'gat=1000', @peer);
	is(life($key), 'short', "$name - got and touched");

	kv_delete($key, @peer);
	kv_put($key, 'x', @peer, headers => ['If-None-Match: *']);
	is(life($key), 'short', "$name - added");
	kv_delete($key, @peer);
	kv_post($key, 'incr=1&initial=5', @peer);
	is(life($key), 'short', "$name - a counter");
}

kv_delete($keys[2]);
kv_post($keys[2], 'lease=1000');
is(life($keys[2]), 'short', 'the place of an item that somebody makes');
kv_put($keys[2], 'x', args => 'ttl=50');
kv_post($keys[2], 'invalidate&ttl=1000');
is(life($keys[2]), 'short', 'a stale item');

# a backup dies, too

my ($gone, $left) = defined $backup[0]->get($keys[0]) ? (0, 1) : (1, 0);
$backup[$gone]->kill_it();
ok(wait_for(sub { code(kv_put($keys[0], 'y')) == 204 }), 'the other backup');
is($backup[$left]->get($keys[0]), 'y', 'the other backup - stored');

$backup[$left]->kill_it();
ok(wait_for(sub { code(kv_get($keys[0])) == 503 }), 'no backup is left');
is(content(kv_get("key$home[0]")), "200 of key$home[0]",
	'no backup is left - other keys');

@backup = map { Test::Memcached->start($t, port($_)) } 8083, 8084;
ok(wait_for(sub { code(kv_put($keys[0], 'backup')) == 204 }), 'backups return');

# it returns: what was stored meanwhile is gone, and lives where it was for a
# while

is(content(kv_get($keys[0])), '200 backup', 'before it returns');
$second = Test::Memcached->start($t, port(8082));
ok(wait_for(sub { server(8082)->{state} eq 'live' }), 'it returns');
ok(wait_for(sub { code(kv_get($keys[0])) == 404 }), 'it is empty');
is(stand_in(kv_get($keys[0])), 0, 'R42 - a miss at home');
kv_put($keys[0], 'home');
is(join(' ', ($second->get($keys[0]))[0, 2]), 'home -1', 'at home for ever');
ok((grep { defined $_->get($keys[0]) } @backup), 'it lives on on the backup');

# each item is made once when its server goes, and once when it returns

my @some = @keys[5 .. 24];
$second->kill_it();
ok(wait_for(sub { code(kv_get($keys[0])) != 503
	&& server(8082)->{state} eq 'down' }), 'it dies again');
is_deeply(made(@some), { map { ($_ => 1) } @some }, 'made once on a backup');
$second = Test::Memcached->start($t, port(8082));
ok(wait_for(sub { server(8082)->{state} eq 'live' }), 'it returns again');
is_deeply(made(@some), { map { ($_ => 1) } @some }, 'made once at home');

# what is deleted on a backup returns with its server

kv_put('foo', 'old', @hangs);
$hanging->pause();
ok(wait_for(sub { code(kv_put('foo', 'new', @hangs)) == 204
	&& stand_in(kv_get('foo', @hangs)) }), 'one hangs');
is(code(kv_delete('foo', @hangs)), 204, 'deleted on the backup');
is(code(kv_get('foo', @hangs)), 404, 'it is gone');
$hanging->resume();
ok(wait_for(sub { content(kv_get('foo', @hangs)) eq '200 old' }),
	'the old one returns with its server');

###############################################################################

sub stand_in {
	return header($_[0], 'X-Memcache-Stand-In') // 0;
}

sub server {
	my ($port) = @_;
	return server_status('127.0.0.1:' . port($port));
}

# How long the item lives on the backup that has it: as long as it may at
# most, or as it should.
sub life {
	my ($key) = @_;

	for my $m (@backup) {
		$m->send("mg $key t\r\n");
		my ($ttl) = $m->line() =~ /^HD t(-?\d+)/ or next;
		return 'for ever' if $ttl < 0;
		return $ttl > CAP ? $ttl : $ttl > 50 ? 'short' : 'own';
	}

	return 'none';
}

# How often each item is made, of which many ask for each at once.
sub made {
	my (@keys) = @_;
	my %made;

	for my $key (@keys) {
		for (http_many(("GET /fetch?key=$key&ms=20 HTTP/1.0\n\n") x 6)) {
			$made{$key}++ if (header($_, 'X-Source') // '') eq 'made';
		}
	}

	return \%made;
}

###############################################################################
