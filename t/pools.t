#!/usr/bin/perl

# Tests for memcache module: the four numbers of a pool, by memcached's own
# count of connections, the limits in the status, and a queue of none (R12).

###############################################################################

use warnings;
use strict;

use IO::Select;
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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(33)
	->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    # min
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 min=3;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # max
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 max=3 smax=1 ttl=1;
        memcache_pipeline 1;

        location /kv/ {
            memcache_kv on;
        }
    }

    # one connection for all, for ever
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8085 max=1 smax=0 ttl=0;

        location /kv/ {
            memcache_kv on;
        }
    }

    # a short queue
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_server 127.0.0.1:8087 min=1 max=1;
        memcache_pipeline 1;
        memcache_queue 2;
        memcache_max_value 1k;

        location /kv/ {
            memcache_kv on;
        }
    }

    # no queue; the first of the servers is down
    server {
        listen       127.0.0.1:8088;
        server_name  localhost;

        memcache_server 127.0.0.1:8089;
        memcache_server 127.0.0.1:8085;
        memcache_queue 0;
        memcache_retry 30s;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOF

# when this is there, the fake answers what is asked for a "gated" key
my $gate = $t->testdir() . '/gate';

my $fake = port(8087);
my %kind = (
	gated => sub {
		select undef, undef, undef, 0.05 until -e $gate;
		return $_[0]->answer();
	},
	long => sub { 'x' x 20000 . "\r\n" },
);

my $min = Test::Memcached->start($t, port(8081));
my $max = Test::Memcached->start($t, port(8083));
my $one = Test::Memcached->start($t, port(8085));

Test::Memcached::Fake->start($t, $fake, sub {
	my ($request) = @_;
	my ($kind) = split /:/, $request->{key} // '';
	return ($kind{$kind // ''} // sub { $_[0]->answer() })->($request);
});

is($min->connections(), 0, 'none before the start');
is(check_config_only($t), 0, 'nginx -t');
is($min->connections(), 0, 'none for nginx -t');

$t->run();

###############################################################################

# min, in each of two workers, and in no other process of nginx

ok(wait_for(sub { $min->open_connections() == 6 }), 'min - at the start');
is(code(kv_put('k', 'v')), 204, 'min - set');
is(content(kv_get('k')), '200 v', 'min - get');
is($min->connections(), 6, 'min - no others');
is($max->connections(), 0, 'no min - none at the start');

# all of them are lost, and there is no traffic

my $before = $min->connections();

$min->kill_it();
ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 0 }),
	'min - lost');
my $again = Test::Memcached->start($t, port(8081));
ok(wait_for(sub { $again->open_connections() == 6 }),
	'min - there again, by timer');
cmp_ok($again->connections(), '<=', 6 + 2, 'min - no herd');
is(code(kv_get('k')), 404, 'min - get from the new one');

# more under load, up to max in each worker, and never more

my @max = (PeerAddr => '127.0.0.1:' . port(8082));

is(code(kv_put('k', 'v', @max)), 204, 'max - set');
$max->pause();
my @gets = map { kv_get('k', @max, start => 1) } 1 .. 30;
select undef, undef, undef, 0.3;
$max->resume();
is_deeply([map { content($_) } read_all(@gets)],
	[('200 v') x 30], 'max - all are answered');
cmp_ok($max->connections(), '>', 2, 'max - more than one each');
cmp_ok($max->connections(), '<=', 6, 'max - no more than that');

# those above smax close

ok(wait_for(sub { $max->open_connections() <= 2 }), 'smax - closed after ttl');
cmp_ok($max->open_connections(), '>=', 1, 'smax - and no more');

# max=1 serves them all

my @one = (PeerAddr => '127.0.0.1:' . port(8084));

is(code(kv_put('k', 'v', @one)), 204, 'max=1 - set');
@gets = map { kv_get('k', @one, start => 1) } 1 .. 50;
is_deeply([map { content($_) } read_all(@gets)],
	[('200 v') x 50], 'max=1 - all are answered');
cmp_ok($one->connections(), '<=', 2, 'max=1 - one each');
select undef, undef, undef, 1.5;
is($one->open_connections(), $one->connections(), 'ttl=0 - they stay');

# beyond the queue: eight on the way and two that wait, in each worker; while
# nothing is answered, the others are refused

my @short = (PeerAddr => '127.0.0.1:' . port(8086));

$t->write_file('gate', '');
is(code(kv_put('gated', 'v', @short)), 204, 'queue - set');
unlink $gate or die "Can't remove $gate: $!\n";

@gets = map { kv_get('gated', @short, start => 1) } 1 .. 60;
ok(wait_for(sub { IO::Select->new(@gets)->can_read(1) >= 60 - 20 }),
	'queue - the others are refused at once');
$t->write_file('gate', '');

my %codes;
$codes{code($_)}++ for read_all(@gets);
is(join(' ', sort keys %codes), '200 503', 'queue - some are refused');
cmp_ok($codes{200}, '>=', 10, 'queue - those in it are answered');
cmp_ok($codes{200}, '<=', 20, 'queue - no others');

# the status of the worker that is asked says so

sub limit {
	my ($name) = @_;
	return wait_for(sub { server_status($fake)->{limits}{$name} });
}

ok(limit('queue'), 'limits - queue');
ok(limit('pipeline'), 'limits - pipeline');

# each worker has seen such a reply

kv_get("long:$_", @short) for 1 .. 20;
ok(limit('reply'), 'limits - reply');

kv_put('large', 'x' x 2000, @short) for 1 .. 20;
is(code(kv_put('large', 'x' x 2000, @short)), 413, 'too large a value');

# without a queue what comes first is refused, and a connection is opened for
# what comes later; also where a failure of the other server, which k1 is for, has
# just been logged

my @none = (PeerAddr => '127.0.0.1:' . port(8088));
is(codes('k1'), '503', 'R12 no queue - a server that is down');
ok(wait_for(sub { codes('k2') eq '404' }), 'R12 no queue - another one');

###############################################################################

# What several gets of a key are answered with, by both workers.
sub codes {
	my ($key) = @_;
	my %codes = map { code(kv_get($key, @none)) => 1 } 1 .. 20;
	return join ' ', sort keys %codes;
}

# Nothing of the configuration is used yet.
sub check_config_only {
	my ($t) = @_;
	my $status = system("$Test::Nginx::NGINX -t -p " . $t->testdir()
		. "/ -c nginx.conf -e error.log >/dev/null 2>&1");
	unlink $t->testdir() . '/nginx.pid';
	return $status;
}

###############################################################################
