#!/usr/bin/perl

# Tests for examples/session: sessions that PHP's own handler has stored, on
# three memcacheds, and the other way round.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Peers;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(7);

my @places = map { "127.0.0.1:$_" } 8081 .. 8083;

$t->write_file_expand('nginx.conf', http_conf(<<"EOF", qw/ kv session /));

    @{[ map { "memcache_server $_;" } @places ]}
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    memcache_prefix memc.sess.key.;
    memcache_hash_prefix off;

    memcache_session sid prefix=;
    add_header X-Session \$memcache_session always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_hash ketama;

        location / {
        }

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_hash one_at_a_time;

        location / {
        }

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_hash ketama;
        memcache_hash_prefix on;

        location / {
        }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081 .. 8083;

$t->run();

###############################################################################

my $peers = Test::Peers->new($t);
my $servers = join ',', map { s/(8\d{3})/port($1)/er } @places;

for (['ketama', 8080, 'memcached.sess_consistent_hash=1',
		'memcached.sess_consistent_hash_type=ketama_weighted'],
	['one_at_a_time', 8084, 'memcached.sess_consistent_hash=0'])
{
	my ($name, $port, @settings) = @$_;
	my @ids = map { sprintf '%032x', $_ * 0x1234567 + $port } 1 .. 50;
	my @mine = map { sprintf '%032x', $_ * 0x7654321 + $port } 1 .. 50;

	is(join(' ', php('write', \@ids, @settings)), join(' ', @ids), "$name - PHP");
	is(found($port, @ids), 50, "R43 $name - nginx finds them");

	kv_put($_, qq/value|s:32:"$_";/, PeerAddr => '127.0.0.1:' . port($port))
		for @mine;
	is(join(' ', php('read', \@mine, @settings)), join(' ', @mine),
		"R43 $name - PHP finds those of others");
	cmp_ok(found(8085, @ids), '<', 45, 'with the prefix in the hash - not all')
		if $port == 8080;
}

###############################################################################

# How many of the sessions nginx has, with their content.
sub found {
	my ($port, @ids) = @_;
	my $found = 0;

	for my $id (@ids) {
		my $r = http("GET / HTTP/1.0\x0d\x0aCookie: sid=$id\x0d\x0a\x0d\x0a",
			PeerAddr => '127.0.0.1:' . port($port));
		$found += (header($r, 'X-Session') // '') eq qq/value|s:32:"$id";/;
	}

	return $found;
}

# What PHP finds in the sessions, or has stored in them.
sub php {
	my ($action, $ids, @settings) = @_;
	return $peers->ask('php_session', $action, "session.save_path=$servers",
		\@settings, [map { "$_ $_" } @$ids]);
}

###############################################################################
