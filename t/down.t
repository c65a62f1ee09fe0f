#!/usr/bin/perl

# Tests for memcache module: servers that are down, at start and later.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(24)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    # far longer than a request of the tests may take
    memcache_timeout 60s;
    memcache_connect_timeout 60s;
    memcache_retry 100ms;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 min=1;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # cow is on the first, foo on the second
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8084;
        memcache_server 127.0.0.1:8085;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $two = '127.0.0.1:' . port(8083);
my $up = Test::Memcached->start($t, port(8084));

$t->run();

###############################################################################

# down from the start

pass('start with a server down');

my $r = kv_get('cow');
is(code($r), 503, 'F1 get');
is(code(kv_put('cow', 'moo')), 503, 'set');
is(code(kv_delete('cow')), 503, 'delete');
is(code(kv_post('cow', 'incr=1')), 503, 'incr');
is(code(kv_get('', args => 'keys=cow,foo')), 503, 'multi-get');
is(server_status(port(8081))->{state}, 'down', 'state');

my $address = '127.0.0.1:' . port(8081);
like(messages($t), qr/connect\(\) failed \(111: Connection refused\)/,
	'logged');
like(messages($t), qr/while connecting to memcache server "$address"/,
	'logged - which server');

# it comes up: a timer sees it, without any request

my $m = Test::Memcached->start($t, port(8081));

ok(wait_for(sub { server_status(port(8081))->{state} eq 'live' }),
	'F42 live again without a request');
is(code(kv_put('cow', 'moo')), 204, 'set after it came up');
is(content(kv_get('cow')), '200 moo', 'get after it came up');

# it dies, and requests that were on the way are told

$m->pause();
my $s = kv_get('cow', start => 1);
ok(wait_for(sub { server_status(port(8081))->{pending} }), 'get on the way');
$m->kill_it();
like(code(Test::Nginx::http_end($s)), qr/^50[23]$/, 'F1 get when it dies');

ok(wait_for(sub { server_status(port(8081))->{state} eq 'down' }),
	'down again');
is(code(kv_get('cow')), 503, 'get when it is down');

my $again = Test::Memcached->start($t, port(8081));

ok(wait_for(sub { server_status(port(8081))->{state} eq 'live' }),
	'F42 live once more');
is(code(kv_get('cow')), 404, 'get from the new one');

# one of two: the other's keys stay, and stay where they are

is(code(kv_put('cow', 'moo', PeerAddr => $two)), 204, 'one of two - set');
is(code(kv_put('foo', 'x', PeerAddr => $two)), 503, 'F41 one of two - down');
is(content(kv_get('cow', PeerAddr => $two)), '200 moo', 'F41 one of two - get');
is(code(kv_get('foo', PeerAddr => $two)), 503, 'one of two - still down');
is($up->get('foo'), undef, 'one of two - no failover');

my $lines = () = messages($t) =~ /"$address" is (?:down|up)/g;
is($lines, 4, 'a line for each time down and up');

###############################################################################
