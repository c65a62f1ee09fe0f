#!/usr/bin/perl

# Tests for memcache module: ways to spread keys over servers other than
# modulo.  With "consistent", keys go where nginx's own "hash $key consistent"
# looks for them.

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

my $t = Test::Nginx->new()->has(qw/http memcached rewrite upstream_hash/)
	->has_daemon('memcached')->plan(13)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    upstream equal {
        hash $memcached_key consistent;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083;
    }

    upstream weighted {
        hash $memcached_key consistent;
        server 127.0.0.1:8081 weight=3;
        server 127.0.0.1:8082;
        server 127.0.0.1:8083 weight=2;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;
        memcache_server 127.0.0.1:8081;
        memcache_server 127.0.0.1:8082;
        memcache_hash consistent;

        location /kv/ {
            memcache_kv on;
        }

        location ~ ^/stock/(.*) {
            set $memcached_key $1;
            memcached_pass equal;
        }

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 weight=3;
        memcache_server 127.0.0.1:8082;
        memcache_server 127.0.0.1:8083 weight=2;
        memcache_hash consistent;
        memcache_prefix w:;

        location /kv/ {
            memcache_kv on;
        }

        location ~ ^/stock/(.*) {
            set $memcached_key w:$1;
            memcached_pass weighted;
        }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 weight=2;
        memcache_server 127.0.0.1:8082;
        memcache_server 127.0.0.1:8083;
        memcache_hash ketama;
        memcache_prefix k:;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_server 127.0.0.1:8081;
        memcache_server 127.0.0.1:8082;
        memcache_server 127.0.0.1:8083;
        memcache_hash rendezvous;
        memcache_prefix r:;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my @m = map { Test::Memcached->start($t, port($_)) } 8081 .. 8083;

$t->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 300;

for my $scheme (['equal', '', 8080], ['weighted', 'w:', 8084]) {
	my ($name, $prefix, $port) = @$scheme;
	my $at = '127.0.0.1:' . port($port);

	is(stored($at), @keys, "consistent, $name - set");
	is(scalar(grep { content(http_get("/stock/$_", PeerAddr => $at))
		eq "200 <$_>" } @keys), @keys,
		"consistent, $name - memcached_pass finds them");

	$_->set($prefix . 'other', 'theirs') for @m;
	is(content(kv_get('other', PeerAddr => $at)), '200 theirs',
		"consistent, $name - get");
	is(spread($prefix), 3, "consistent, $name - on all servers");
}

for my $scheme (['ketama', 'k:', 8085], ['rendezvous', 'r:', 8086]) {
	my ($name, $prefix, $port) = @$scheme;
	my $at = '127.0.0.1:' . port($port);

	is(stored($at), @keys, "$name - set");
	is(spread($prefix), 3, "$name - on all servers");
}

is_deeply([map { $_->{hash} } @{ status()->{clients} }],
	[qw/ consistent consistent ketama rendezvous /], 'status');

###############################################################################

sub stored {
	my ($at) = @_;
	return scalar grep { code(kv_put($_, "<$_>", PeerAddr => $at)) == 204 }
		@keys;
}

# On how many servers the keys are, at least a tenth on each.
sub spread {
	my ($prefix) = @_;
	return scalar grep { my $m = $_;
		@keys / 10 <= grep { defined $m->get("$prefix$_") } @keys } @m;
}

###############################################################################
