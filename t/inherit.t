#!/usr/bin/perl

# Tests for memcache module: inheritance.  Server blocks that inherit a list
# share one client; a list of their own replaces the inherited one.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(22)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_timeout 7s;
    memcache_connect_timeout 7s;
    memcache_queue 77;
    memcache_backup_ttl 33s;

%%KV_SERVER%%

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # a list of its own, and settings inherited
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8082 max=2;
        memcache_queue 88;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # the inherited list, and settings of its own
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_prefix mine:;
        memcache_max_value 10;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # a backup of its own, and the inherited time
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_server 127.0.0.1:8082;
        memcache_server 127.0.0.1:8081 backup;
        memcache_failover backup;

        location /kv/ {
            memcache_kv on;
        }
    }

    # the same with a time of its own
    server {
        listen       127.0.0.1:8087;
        server_name  localhost;

        memcache_server 127.0.0.1:8082;
        memcache_server 127.0.0.1:8081 backup;
        memcache_failover backup;
        memcache_backup_ttl 1m;
    }

EOF

my $m = Test::Memcached->start($t, port(8081));
my $n = Test::Memcached->start($t, port(8082));
my ($second, $own, $mine) = map { '127.0.0.1:' . port($_) } 8083 .. 8085;

$t->run();

###############################################################################

# two blocks with the same list are the same client

is(code(kv_put('cow', 'moo')), 204, 'inherited - set');
is(content(kv_get('cow', PeerAddr => $second)), '200 moo',
	'inherited - get in the other block');
is($m->connections(), 1, 'inherited - one connection');

my @many = map { code($_) } map { (kv_get('cow'),
	kv_get('cow', PeerAddr => $second)) } 1 .. 20;
is_deeply(\@many, [(200) x 40], 'inherited - gets in both');
is($m->connections(), 1, 'inherited - still one connection');

# a list of its own

is(code(kv_get('cow', PeerAddr => $own)), 404, 'own list - get');
is(code(kv_put('cow', 'own', PeerAddr => $own)), 204, 'own list - set');
is($n->get('cow'), 'own', 'own list - stored');
is($m->get('cow'), 'moo', 'own list - not stored elsewhere');

# settings of its own

is(code(kv_put('cow', 'x' x 10, PeerAddr => $mine)), 204,
	'own settings - set');
is($m->get('mine:cow'), 'x' x 10, 'own settings - prefix');
is(code(kv_put('cow', 'x' x 11, PeerAddr => $mine)), 413,
	'own settings - too large');
is(code(kv_put('cow', 'x' x 11)), 204, 'own settings - elsewhere not');

# as the status page shows it: a client for each list and settings

my @all = @{status()->{clients}};
my @clients = grep { $_->{failover} eq 'off' } @all;
my @backup = grep { $_->{failover} eq 'backup' } @all;
my $first = port(8081);
my @first = grep { $_->{servers}[0]{address} eq "127.0.0.1:$first" } @clients;
my ($other) = grep { $_->{servers}[0]{address} ne "127.0.0.1:$first" }
	@clients;

is(scalar @clients, 3, 'clients');
is(scalar @first, 2, 'clients of the list');
is_deeply([sort map { $_->{max_value} } @first], [10, 1047552],
	'clients of the list - settings');
is_deeply([map { $_->{timeout_ms} } @clients], [(7000) x 3],
	'inherited settings');
is(scalar @{$other->{servers}}, 1, 'own list - replaces');
is($other->{queue}, 88, 'own list - setting');
is_deeply([map { $_->{queue} } @first], [77, 77], 'setting of http');
is_deeply([map { $_->{backup_ttl} } @backup], [33, 60], 'life on a backup');
is_deeply([map { $_->{backup_ttl} } @clients], [(undef) x 3],
	'life on a backup - where there is none');

###############################################################################
