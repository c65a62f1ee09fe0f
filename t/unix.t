#!/usr/bin/perl

# Tests for memcache module: kinds of addresses.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::IP;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http unix/)->has_daemon('memcached')
	->plan(13)->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server unix:%%TESTDIR%%/memcached.sock max=1;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        memcache_server [::1]:%%PORT_8084%%;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        # where localhost is ::1 too, all its addresses are tried
        memcache_server localhost:%%PORT_8085%%;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server localhost;
        memcache_server 127.0.0.2;
        # not ::1, which is one of localhost's addresses elsewhere
        memcache_server [2001:db8::1];

        location /status {
            memcache_status;
        }
    }

EOF

my $six = IO::Socket::IP->new(Listen => 1, LocalHost => '::1');
my ($to_six, $to_name) = map { '127.0.0.1:' . port($_) } 8081, 8082;
my $socket = $t->testdir() . '/memcached.sock';

my $u = Test::Memcached->start($t, 0, socket => $socket);
my $n = Test::Memcached->start($t, port(8085));
my $v = Test::Memcached->start($t, port(8084), address => '::1') if $six;

$t->run();

###############################################################################

is(code(kv_put('cow', 'unix')), 204, 'unix - set');
is($u->get('cow'), 'unix', 'unix - stored');
is(content(kv_get('cow')), '200 unix', 'unix - get');
is($u->connections(), 1, 'unix - one connection');

SKIP: {
skip 'no IPv6', 3 unless $six;

is(code(kv_put('cow', 'v6', PeerAddr => $to_six)), 204, 'IPv6 - set');
is($v->get('cow'), 'v6', 'IPv6 - stored');
is(content(kv_get('cow', PeerAddr => $to_six)), '200 v6', 'IPv6 - get');

}

is(code(kv_put('cow', 'name', PeerAddr => $to_name)), 204, 'name - set');
is($n->get('cow'), 'name', 'name - stored');
is(content(kv_get('cow', PeerAddr => $to_name)), '200 name', 'name - get');

my %shown = map { ($_->{address} => 1) }
	map { @{$_->{servers}} } @{status()->{clients}};

is($shown{"unix:$socket"}, 1, 'unix - shown');
is($shown{'localhost:' . port(8085)}, 1, 'name - shown');
is(join(' ', grep { /:11211$/ } sort keys %shown),
	'127.0.0.2:11211 [2001:db8::1]:11211 localhost:11211', 'default port');

###############################################################################
