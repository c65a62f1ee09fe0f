#!/usr/bin/perl

# Tests for memcache module: what a sibling in Rust should not do.  Panics
# (A14), other threads (A4), calls that nobody waits for (A6, A7), storms (A11),
# and futures that are treated badly.

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

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('memcached')
	->plan(35)->write_file_expand('nginx.conf', http_conf(<<'EOF', 'test'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /get { test_content get; }
        location /a14_handler { test_content a14_handler; }
        location /a14_encode { test_content a14_encode; }
        location /a14_key { test_content a14_key; }
        location /a14_payload { test_content a14_payload; }
        location /a14_respond { test_content a14_respond; }
        location /a14_drop { test_content a14_drop; }
        location /a14_waker { test_content a14_waker; }
        location /a14_detached { test_content a14_detached; }
        location /a4_thread { test_content a4_thread; }
        location /a4_item { test_content a4_item; }
        location /forget { test_content forget; }
        location /again { test_content again; }
        location /nested { test_content nested; }
        location /storm { test_content storm; }
        location /twice { test_content twice; }
        location /status { memcache_status; }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

$m->set('k', 'moo');

my $pid = first_worker($t);

###############################################################################

# A14: a panic ends its request with 500, and is logged

for my $what ('handler', 'encode', 'key', 'respond') {
	is(code(http_get("/a14_$what")), 500, "A14 panic - $what");
	logged($t, qr/memcache: the handler panicked at .*misuse.rs:\d+:\d+: in an? /,
		"A14 panic - $what, logged");
	is(content(http_get('/get?key=k')), '200 moo', "A14 panic - after $what");
}

is(code(http_get('/a14_payload')), 500, 'A14 panic - with a number');
logged($t, qr/memcache: the handler panicked at .*: no message/,
	'A14 panic - with a number, logged');

is(code(http_get('/a14_drop')), 500, 'A14 panic - drop at the end');
logged($t, qr/memcache: the handler panicked .*: in a drop/,
	'A14 panic - drop at the end, logged');

$m->pause();
my @s = map { http_get('/a14_drop', start => 1) } 1 .. 3;
ok(wait_for(sub { server_status(port(8081))->{pending} == 3 }),
	'A14 panic - drop, in flight');
close $_ for @s;
ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled} >= 3 }),
	'A14 panic - drop, cancelled');
$m->resume();
logged($t, qr/memcache: a future, dropped, panicked .*: in a drop/,
	'A14 panic - drop, logged');

is(content(http_get('/a14_waker')), '200 moo', 'A14 panic - waker');
logged($t, qr/memcache: a waker panicked .*: in a waker/,
	'A14 panic - waker, logged');

is(code(http_get('/a14_detached')), 204, 'A14 panic - detached');
ok(wait_for(sub { $t->read_file('error.log')
	=~ /memcache: a detached future panicked .*: detached/ }),
	'A14 panic - detached, logged');

# A4

is(content(http_get('/a4_thread')),
	"200 not on the event loop's thread, 0 servers", 'A4 other thread');
is(content(http_get('/a4_item')), '200 Some(3)', 'A4 item on another thread');

# futures that are treated badly

is(content(http_get('/forget')), '200 moo', 'forgotten');
is(content(http_get('/again')), '200 moo', 'polled when it is over');
is(content(http_get('/nested')), '200 30', 'another executor');

# A11

is(content(http_get('/storm')),
	'200 50000 answered or refused, some of each: true', 'A11 storm');

# two tasks of one request

is(code(http_get('/twice')), 404, 'spawn called twice');
logged($t, qr/memcache: spawn was called twice for one request/,
	'spawn called twice - logged');

# the worker has survived all of that, and nothing is left

is(content(http_get('/get?key=k')), '200 moo', 'goes on');
is((worker_pids($t))[0], $pid, 'the same worker');
ok(wait_for(sub { server_status(port(8081))->{pending} == 0 }), 'nothing waits');
is($m->connections(), 1, 'one connection');

###############################################################################

sub logged {
	my ($t, $expected, $name) = @_;
	my ($found) = grep { /$expected/ } split /\n/, $t->read_file('error.log');
	ok(defined $found, $name) or diag(grep { /panicked|memcache:/ }
		map { "$_\n" } split /\n/, messages($t));
}

###############################################################################
