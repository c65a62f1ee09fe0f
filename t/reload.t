#!/usr/bin/perl

# Tests for memcache module: operations in flight are answered on reload and
# on graceful exit, and old workers go away.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(29);

my $conf = http_conf(<<'EOF');

    memcache_server 127.0.0.1:8081 min=1 max=2;
    memcache_timeout 60s;
    memcache_connect_timeout 60s;

%%KV_SERVER%%

    # nothing but idle connections
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8084;

        location /kv/ {
            memcache_kv on;
        }
    }

    # a connection that becomes idle when the worker exits
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8086;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

EOF

my ($m, $other, $third) = map { Test::Memcached->start($t, port($_)) }
	8081, 8084, 8086;

$t->write_file_expand('nginx.conf', $conf)->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 50;
$m->set($_, "<$_>") for @keys;

is(content(kv_get('key1')), '200 <key1>', 'before');
is(code(kv_get('key1', PeerAddr => '127.0.0.1:' . port(8083))), 404,
	'another client');
is($other->open_connections(), 1, 'another client - an idle connection');

# reload with operations in flight

$m->pause();
my @open = gets();
ok(wait_for(sub { server_status(port(8081))->{pending} == @keys }),
	'all in flight');
my $third_at = '127.0.0.1:' . port(8085);
is(code(kv_get('key1', PeerAddr => $third_at)), 404, 'a third client');
$third->pause();
my $s = kv_get('key1', PeerAddr => $third_at, start => 1);
ok(wait_for(sub { server_status(port(8086))->{pending} }),
	'a third client - in flight');
my @old = worker_pids($t);

$t->reload();
ok(wait_for(sub { messages($t) =~ /gracefully shutting down/ }), 'reload');
ok(wait_for(sub { (worker_pids($t))[-1] != $old[-1] }), 'a new worker');
ok(wait_for(sub { $other->open_connections() == 0 }),
	'F47 reload - idle connections do not wait with it');
$third->resume();
is(code(Test::Nginx::http_end($s)), 404, 'F45 reload - the third is answered');
ok(wait_for(sub { $third->open_connections() == 0 }),
	'F47 reload - nor those that are idle by now');
is(scalar(grep { kill 0, $_ } @old), 1, 'the old worker waits');

$m->resume();
is_deeply([map { content($_) } read_all(@open)],
	[map { "200 <$_>" } @keys], 'F45 reload - answered');
ok(wait_for(sub { !kill 0, $old[0] }), 'the old worker is gone');
is(content(kv_get('key1')), '200 <key1>', 'the new worker answers');

# again and again, under load

my $reloads = 5;
my @wrong;

for (1 .. $reloads) {
	my @before = worker_pids($t);
	@open = gets();
	$t->reload();
	push @wrong, grep { content($_) !~ /^200 <key\d+>$/ }
		read_all(@open);
	wait_for(sub { my @now = worker_pids($t);
		@now == 1 && $now[0] != $before[0] });
	push @wrong, grep { content($_) !~ /^200 <key\d+>$/ }
		http_many(map { ['GET', $_] } @keys);
}

is_deeply(\@wrong, [], 'F45 reloads - all answered');
is(scalar worker_pids($t), 1, 'reloads - old workers gone');
ok(wait_for(sub { $m->open_connections() <= 2 }), 'reloads - old connections closed');

# a reload with another list

my $n = Test::Memcached->start($t, port(8082));
$n->set('key1', 'other');

my @before = worker_pids($t);
$t->write_file_expand('nginx.conf', $conf =~ s/8081/8082/r)->reload();
ok(wait_for(sub { my @now = worker_pids($t);
	@now == 1 && $now[0] != $before[0] }), 'another list');
is(content(kv_get('key1')), '200 other', 'another list - used');
ok(wait_for(sub { $m->open_connections() == 0 }), 'another list - old connections closed');

# a reload that fails changes nothing

@before = worker_pids($t);
$t->write_file_expand('nginx.conf', $conf =~ s/min=1/min=x/r)->reload();
ok(wait_for(sub { messages($t) =~ /\[emerg\] .*parameter "min=x"/ }),
	'F46 bad configuration');
is_deeply([worker_pids($t)], \@before, 'F46 bad configuration - same worker');
is(content(kv_get('key1')), '200 other', 'F46 bad configuration - get');

# a graceful exit with operations in flight

$n->set($_, "[$_]") for @keys;
$n->pause();
@open = gets();
ok(wait_for(sub { server_status(port(8082))->{pending} == @keys }),
	'exit - all in flight');

# memcached goes on as soon as nginx is shutting down
my $pid = $n->pid();
my $log = $t->testdir() . '/error.log';
my ($worker) = worker_pids($t);

$t->run_daemon(sub {
	wait_for(sub {
		open my $f, '<', $log or return;
		return grep { /\b$worker\#.*gracefully shutting down/ } <$f>;
	});
	kill 'CONT', $pid;
});

$t->stop();

is_deeply([map { content($_) } read_all(@open)],
	[map { "200 [$_]" } @keys], 'F47 exit - answered');
is_deeply([worker_pids($t)], [], 'F47 exit - no worker is left');
unlike(messages($t), qr/exited on signal|exited with code [^0]/,
	'exits without a fault');
unlike(messages($t), qr/open socket|aborting/,
	'F47 exits with all closed');

###############################################################################

# Starts a get of every key.
sub gets {
	return map { kv_get($_, start => 1) } map { "key$_" } 1 .. 50;
}

###############################################################################
