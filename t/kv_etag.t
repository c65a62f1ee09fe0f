#!/usr/bin/perl

# Tests for examples/kv: a validator does not outlive what it was made from
# (R4).  memcached counts versions from 1 in each process, so the same version
# is that of something else after a restart, on a server that stands in, and
# where the key has moved.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(68)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    memcache_retry 100ms;

    memcache_server 127.0.0.1:8081 max=1;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }

    # the second one stands in for the first
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_server 127.0.0.1:8082 max=1;
        memcache_failover next;

        location /kv/ {
            memcache_kv on;
        }
    }

    # a list that has changed
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 max=1;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $home = Test::Memcached->start($t, port(8081));
my $second = Test::Memcached->start($t, port(8082));
my $third = Test::Memcached->start($t, port(8083));

$t->run();

my @next = (PeerAddr => '127.0.0.1:' . port(8084));
my @moved = (PeerAddr => '127.0.0.1:' . port(8085));

###############################################################################

# The item that is seen first, at a version that every server can come to.

my ($key) = grep { $second->get($_) // kv_put($_, 'x', @next);
	!defined $second->get($_) } map { "key$_" } 1 .. 50;
count_to($home, 200);
kv_put($key, 'one');
my $seen = header(kv_get($key), 'ETag');
my $version = version($key);
like($seen, qr/^"$version-/, 'seen - the version is in the tag');

my $vacant = header(kv_post('vacant', 'lease=5000'), 'ETag');
my $vacant_version = ($vacant =~ /(\d+)/)[0];

kv_put('stale', 'one');
kv_post('stale', 'invalidate');
my $stale = header(kv_post('stale', 'lease=5000'), 'ETag');
my $stale_version = ($stale =~ /(\d+)/)[0];

# moved to another server (which counts, too, what the module stores to find out
# what it can do)

kv_get($key, @moved);
count_to($third, $version - 1);
kv_put($key, 'two', @moved);
refuses('moved', $key, $seen, $version, 'two', @moved);

# the other server stands in

$home->kill_it();
ok(wait_for(sub { code(kv_get($key, @next)) == 404 }), 'stand-in - answers');
count_to($second, $version - 1);
kv_put($key, 'two', @next);
refuses('stand-in', $key, $seen, $version, 'two', @next);

# a lease has no tag there: nobody knows later which server that was

kv_delete($key, @next);
my $lease = kv_post($key, 'lease=5000', @next);
is(header($lease, 'X-Memcache-Lease'), 'won', 'stand-in - a lease');
is(header($lease, 'ETag'), undef, 'stand-in - of no tag');
is(code(kv_put($key, 'made', @next, headers => ['If-None-Match: *'])), 201,
	'stand-in - stored');

# restarted, and then that many things were stored

restart($t);
count_to($home, $version - 1);
kv_put($key, 'two');
refuses('restarted', $key, $seen, $version, 'two');

restart($t);
count_to($home, $version - 1);
kv_put($key, 'one', headers => ['X-Memcache-Flags: 1']);
refuses('flags', $key, $seen, $version, 'one');

# the lease on a missing item, where there is one now

restart($t);
count_to($home, $vacant_version - 1);
kv_put('vacant', 'two');
refuses('vacant', 'vacant', $vacant, $vacant_version, 'two');

# the lease on a missing item, where somebody has the lease on another one: a
# place has no content, but it is not that of another process

restart($t);
count_to($home, $vacant_version - 1);
my $theirs = header(kv_post('vacant', 'lease=5000'), 'ETag');
is(($theirs =~ /(\d+)/)[0], $vacant_version, 'vacant - the same version');
isnt($theirs, $vacant, 'vacant - another tag');
for my $if ("If-Match: $vacant", "If-Match: \"x\", $vacant") {
	is(join(' ', map { code($_) } kv_put('vacant', 'x', headers => [$if]),
		kv_post('vacant', 'invalidate', headers => [$if]),
		kv_delete('vacant', headers => [$if])), '412 412 412',
		"vacant - $if");
}
is(header(kv_post('vacant', 'lease=5000'), 'X-Memcache-Lease'), 'lost',
	'vacant - the other one has the lease');
is(code(kv_put('vacant', 'three', headers => ["If-Match: $vacant, $theirs"])),
	204, 'vacant - the other lease is as good as before');
is(content(kv_get('vacant')), '200 three', 'vacant - stored');

# the lease on a stale item, where somebody has the lease on another one

restart($t);
count_to($home, $stale_version - 2);
kv_put('stale', 'two');
kv_post('stale', 'invalidate');
my $other = header(kv_post('stale', 'lease=5000'), 'ETag');
is(($other =~ /(\d+)/)[0], $stale_version, 'stale - the same version');
is(code(kv_put('stale', 'x', headers => ["If-Match: $stale"])), 412,
	'stale - put');
is(code(kv_delete('stale', headers => ["If-Match: $stale"])), 412,
	'stale - delete');
is(code(kv_post('stale', 'invalidate', headers => ["If-Match: $stale"])), 412,
	'stale - handed back');
is(code(kv_put('stale', 'three', headers => ["If-Match: $other"])), 204,
	'stale - the other lease is as good as before');
is(content(kv_get('stale')), '200 three', 'stale - stored');

###############################################################################

# A tag is of the same version as an item, and not of that item.
sub refuses {
	my ($name, $key, $tag, $version, $value, @peer) = @_;
	my $now = header(kv_get($key, @peer), 'ETag');

	is(version($key, @peer), $version, "$name - the same version");
	isnt($now, $tag, "$name - another tag");
	is(content(kv_get($key, @peer, headers => ["If-None-Match: $tag"])),
		"200 $value", "$name - get, it has changed");
	is(code(kv_head($key, @peer, headers => ["If-Match: $tag"])), 412,
		"$name - head, it has changed");

	for my $list ($tag, "\"x\", $tag") {
		my @if = (@peer, headers => ["If-Match: $list"]);
		is(join(' ', map { code($_) } kv_put($key, 'x', @if),
			kv_post($key, 'invalidate', @if), kv_delete($key, @if)),
			'412 412 412', "$name - changes, $list");
	}

	is(content(kv_get($key, @peer)), "200 $value", "$name - kept");
	is(version($key, @peer), $version, "$name - untouched");

	# its own is good
	is(code(kv_get($key, @peer, headers => ["If-None-Match: $now"])), 304,
		"$name - not modified");
	is(code(kv_put($key, $value, @peer, headers => ["If-Match: \"x\", $now"])),
		204, "$name - stored");
}

sub restart {
	my ($t) = @_;

	$home->kill_it();
	# a process that was killed is not gone at once
	wait_for(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1',
		PeerPort => port(8081)) }) or die "It lives\n";
	$home = Test::Memcached->start($t, port(8081));
	# both have connected: the server counts what that takes, too
	for my $peer ([], \@next) {
		wait_for(sub { my $r = kv_get($key, @$peer); code($r) == 404
			&& !header($r, 'X-Memcache-Stand-In') })
			or die "Not found\n";
	}
}

sub version {
	my ($key, @peer) = @_;
	return (kv_get($key, @peer, args => 'inspect') =~ / cas=(\d+) /)[0];
}

# Stores things until the server has counted so far.
sub count_to {
	my ($m, $version) = @_;

	for (1 .. 1000) {
		$m->set('filler', 'x');
		$m->send("mg filler c\r\n");
		my ($at) = $m->line() =~ /c(\d+)/;
		die "$at is beyond $version\n" if $at > $version;
		return if $at == $version;
	}
}

###############################################################################
