#!/usr/bin/perl

# Tests for memcache module: a sibling in Rust that uses the worker's client
# from other threads.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(50)
	->write_file_expand('nginx.conf', http_conf(<<'EOF', 'test'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /get { test_content get; }
        location /sleep { test_content sleep; }
        location /remote { test_content remote; }
        location /remote/get { test_content remote_get; }
        location /remote/busy { test_content remote_busy; }
        location /remote/drop { test_content remote_drop; }
        location /remote/panic { test_content remote_panic; }
        location /remote/loop { test_content remote_loop; }
        location /remote/wait { test_content remote_wait; }
        location /remote/elsewhere { test_content remote_elsewhere; }
        location /status { memcache_status; }
    }

    # another client, which waits for a memcached that hangs
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8082 max=1;
        memcache_timeout 1s;

        location /remote/wait { test_content remote_wait; }
        location /status { memcache_status; }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));
my $hung = Test::Memcached->start($t, port(8082));
my $dir = $t->testdir();

$t->run();

my $pid = first_worker($t);
my $r;

###############################################################################

is(content(http_get('/remote?key=one')), '200 1', 'one call');
is($m->get('one'), 1, 'one call - done');

# many threads, requests meanwhile, the same connection for all

$m->set('k', 'moo');
my $s = http_get('/remote?key=many&threads=8&n=500', start => 1);
my @r = http_many(map { "GET /get?key=k HTTP/1.0\r\n\r\n" } 1 .. 50);
is(scalar(grep { content($_) eq '200 moo' } @r), 50, 'many - requests');
is(content(http_end($s)), '200 4000', 'many - calls');
is($m->get('many'), 4000, 'many - done');
is($m->connections(), 1, 'many - one connection');

is(content(http_get('/remote/get?key=k')), '200 moo', 'item');
$m->set('large', 'x' x 500000);
is(length http_content(http_get('/remote/get?key=large')), 500000,
	'large item');
is(code(http_get('/remote/get?key=none')), 404, 'no item');

# the queue has a bound

for (['7', 3], ['7', 0], ['1100', 1024]) {
	my ($n, $queue) = @$_;

	$m->pause();
	$s = http_get("/remote/busy?key=k&n=$n&queue=$queue", start => 1);
	wait_for(sub { server_status(port(8081))->{pending} == $queue });
	$m->resume();
	is(content(http_end($s)), "200 $queue answered, "
		. ($n - $queue) . ' refused', "$n calls with room for $queue");
}

# what is dropped is cancelled

$m->pause();
is(code(http_get('/remote/drop?key=k&n=20')), 202, 'drop');
ok(wait_for(sub { (cancelled() // 0) >= 20 }), 'drop - cancelled');
$m->resume();
is(content(http_get('/remote/get?key=k')), '200 moo', 'drop - goes on');

# a panic ends the call

for my $when ('call', 'future', 'drop') {
	is(content(http_get("/remote/panic?when=$when")),
		'200 the call panicked', "panic in a $when");
	like($t->read_file('error.log'), qr/memcache: .*panicked at .* in a $when/,
		"panic in a $when - logged");
}

is(content(http_get('/remote/elsewhere')), '200 refused', 'not the event loop');
is(worker_pids($t), 1, 'one worker');
is((worker_pids($t))[0], $pid, 'the same worker');

# a reload: the old worker does not begin anything, and exits

is(code(http_get("/remote/loop?key=loop&file=$dir/loop")), 202, 'loop');
ok(wait_for(sub { ($m->get('loop') // 0) > 10 }), 'loop - counts');
my $reload_waits = http_get('/sleep?ms=2000', start => 1);
ok($reload_waits, 'reload - something to wait for');
$t->reload();
ok(wait_for(sub { -s "$dir/loop" }), 'reload - the loop ended');
is($t->read_file('loop'), 'the client is closed', 'reload - the reason');
ok(wait_for(sub { !grep { $_ == $pid } worker_pids($t) }),
	'reload - the old worker has gone');
is(content(http_get('/remote?key=one')), '200 1', 'reload - the new worker');
is($m->get('one'), 2, 'reload - the new worker, done');

# what is under way is finished

($pid) = worker_pids($t);
$m->pause();
is(code(http_get("/remote/wait?key=wait&file=$dir/wait")), 202, 'wait');
my $wait_waits = http_get('/sleep?ms=3000', start => 1);
ok($wait_waits, 'wait - something to wait for');
ok(wait_for(sub { server_status(port(8081))->{pending} == 1 }),
	'wait - under way');
$t->reload();
ok(wait_for(sub { worker_pids($t) == 2 }), 'wait - two workers');
$m->resume();
ok(wait_for(sub { -s "$dir/wait" }), 'wait - over');
ok(wait_for(sub { !grep { $_ == $pid } worker_pids($t) }),
	'wait - the old worker has gone');
is($t->read_file('wait'), 'done', 'wait - done');

# what hangs has its deadline

is(code(http_get("/remote/wait?key=k&file=$dir/well",
	PeerAddr => '127.0.0.1:' . port(8083))), 202, 'not hung');
ok(wait_for(sub { -s "$dir/well" }), 'not hung - over');
($pid) = worker_pids($t);
$hung->pause();
is(code(http_get("/remote/wait?key=k&file=$dir/hung",
	PeerAddr => '127.0.0.1:' . port(8083))), 202, 'hung');
my $hung_waits = http_get('/sleep?ms=3000', start => 1);
ok($hung_waits, 'hung - something to wait for');
$t->reload();
ok(wait_for(sub { -s "$dir/hung" }), 'hung - over');
is($t->read_file('hung'), 'timed out, maybe applied: true', 'hung - timed out');
ok(wait_for(sub { !grep { $_ == $pid } worker_pids($t) }),
	'hung - the old worker has gone');

# a worker that does not wait for anything

is(code(http_get("/remote/loop?key=loop&file=$dir/fast")), 202, 'fast');
is(code(http_get("/remote/wait?key=k&file=$dir/fast",
	PeerAddr => '127.0.0.1:' . port(8083))), 202, 'fast - hung');
($pid) = worker_pids($t);
kill 'TERM', $pid;
ok(wait_for(sub { !grep { $_ == $pid } worker_pids($t) }),
	'fast - the worker has gone');
unlike($t->read_file('error.log'), qr/exited on signal/, 'no worker crashed');
$hung->resume();

###############################################################################

sub cancelled {
	return server_status(port(8081))->{errors}{cancelled};
}

###############################################################################
