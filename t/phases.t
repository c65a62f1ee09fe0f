#!/usr/bin/perl

# Tests for memcache module: a sibling in Rust in every phase, in subrequests,
# with the body of a request, and with work that no request waits for.

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

my $t = Test::Nginx->new()->has(qw/http rewrite ssi auth_request mirror/)
	->has_daemon('memcached')->plan(72)
	->write_file_expand('nginx.conf', http_conf(<<'EOF', qw/ kv test /));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    log_subrequest on;
    default_type text/html;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        client_body_buffer_size 1k;
        client_max_body_size 2m;

        location /rewrite/go { test_rewrite go; }
        location /rewrite/refuse { test_rewrite refuse; }
        location /rewrite/answer { test_rewrite answer; }
        location /rewrite/panic { test_rewrite panic; }
        location /rewrite/body { test_rewrite body; }
        location /rewrite/on {
            test_rewrite go;
            rewrite ^/rewrite/on/(.*)$ /rewrite/go/$1 last;
        }

        location /access/go { test_access go; }
        location /access/refuse { test_access refuse; }
        location /access/answer { test_access answer; }
        location /access/panic { test_access panic; }
        location /access/error {
            test_access refuse;
            error_page 403 = /all/error?key=a;
        }
        location /access/any {
            satisfy any;
            deny all;
            test_access go;
        }

        location /all {
            test_rewrite go;
            test_access go;
            test_content get;
            test_log count;
        }

        location /log/count { test_log count; }
        location /log/spawn { test_log spawn; }
        location /log/body { test_log spawn_body; }

        location /get { test_content get; }
        location /set { test_content set; }
        location /body { test_content body; }
        location /sleep { test_content sleep; }
        location /late { test_content late; }
        location /detached { test_content detached; }

        location /ssi/ {
            ssi on;
            test_log count;
        }

        location /auth {
            auth_request /auth_check;
            test_content get;
        }
        location = /auth_check {
            internal;
            test_rewrite refuse;
        }
        location /allowed {
            auth_request /allowed_check;
            test_content get;
        }
        location = /allowed_check {
            internal;
            test_content set;
            test_log count;
        }

        location /mirror {
            mirror /mirrored;
            test_content body;
        }
        location = /mirrored {
            internal;
            test_rewrite go;
            test_content body;
            test_log count;
        }

        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }

EOF

mkdir $t->testdir() . "/$_" for qw! rewrite access log ssi !;
for my $dir (qw! rewrite/go rewrite/refuse rewrite/panic access/go access/refuse
	access/panic access/any log/count log/spawn log/body !)
{
	mkdir $t->testdir() . "/$dir";
	$t->write_file("$dir/f", 'file');
}
$t->write_file('ssi/page', 'a=<!--#include virtual="/get?key=a" --> '
	. 'b=<!--#include virtual="/get?key=b" --> '
	. 'none=<!--#include virtual="/get?key=none" -->');
$t->write_file('ssi/phases', '<!--#include virtual="/rewrite/answer?key=ssi" --> '
	. '<!--#include virtual="/all?key=a" -->');
$t->write_file('ssi/body', '[<!--#include virtual="/body?key=ssi" -->]');

my $m = Test::Memcached->start($t, port(8081), '-I', '2m');

$t->run();

my $pid = first_worker($t);
my ($r, $s);

$m->set('a', 'A' x 100);
$m->set('b', 'B' x 100000);

###############################################################################

# rewrite and access

for my $phase ('rewrite', 'access') {
	is(content(http_get("/$phase/go/f?key=1")), '200 file', "$phase - goes on");
	is($m->get("$phase:1"), 1, "$phase - counted once");
	is(code(http_get("/$phase/refuse/f?key=1")), 403, "$phase - refused");
	is($m->get("$phase:1"), 2, "$phase - refused, counted once");
	is(content(http_get("/$phase/answer?key=1")), "200 $phase 3",
		"$phase - answered");
	is(content(http_get("/$phase/answer?key=1", method => 'HEAD')),
		"200 $phase 4", "$phase - answered again");
	is(code(http_get("/$phase/panic/f?key=1")), 500, "$phase - panic");
	is($m->get("$phase:1"), 5, "$phase - panic, counted once");
	like($t->read_file('error.log'),
		qr/memcache: the handler panicked at .* in $phase\b.*/,
		"$phase - panic, logged");
}

is(content(http_get('/rewrite/on/f?key=on')), '200 file', 'rewrite twice');
is($m->get('rewrite:on'), 2, 'rewrite twice - counted in both locations');
is(content(http_get('/access/any/f?key=any')), '200 file', 'satisfy any');

is(code(http_get('/rewrite/body?key=1')), 500, 'body in the rewrite phase');
like($t->read_file('error.log'), qr/only a content handler can read the body/,
	'body in the rewrite phase - logged');

# all phases of one request

is(length http_content(http_get('/all?key=b')), 100000, 'all phases');
ok(wait_for(sub { counts('b') eq '1 1 1' }), 'all phases - counted');
is(content(http_get('/access/error?key=a')), '200 ' . 'A' x 100,
	'internal redirect');
ok(wait_for(sub { counts('a') eq '1 2 1' }), 'internal redirect - counted');

# many at once, over connections that stay

my @r = http_many(map { "GET /all?key=a HTTP/1.1\r\nHost: localhost\r\n\r\n"
	. "GET /all?key=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	} 1 .. 50);
is(scalar(grep { 2 == (() = /HTTP\/1.1 200/g) } @r), 50,
	'many, two per connection');
ok(wait_for(sub { counts('a') eq '51 52 51' && counts('b') eq '51 51 51' }),
	'many - counted');

# log

is(content(http_get('/log/count/f?key=1')), '200 file', 'log');
ok(wait_for(sub { ($m->get('log:1') // 0) == 1 }), 'log - counted');

for my $what ('spawn', 'body') {
	is(content(http_get("/log/$what/f?key=1")), '200 file', "log - $what");
}
is(scalar(() = $t->read_file('error.log')
	=~ /a handler of the log phase, or of a cleanup, cannot wait:/g), 2,
	'log - refused');

# subrequests

$r = http_get('/ssi/page?key=page');
like($r, qr/a=A{100} b=B+ none=.*404/s, 'ssi');
like(http_get('/ssi/phases'), qr/rewrite 1 A{100}/, 'ssi - phases');
ok(wait_for(sub { counts('a') eq '52 52 52' }), 'ssi - phases counted');

$r = http("PUT /ssi/body HTTP/1.0\r\nHost: localhost\r\n"
	. "Content-Length: 4\r\n\r\nbody");
is(code($r), 405, 'ssi - a body for a file');
like(http_get('/ssi/body'), qr/\[0 bytes\]/, 'ssi - no body');

is(code(http_get('/auth?key=a')), 403, 'auth_request - refused');
is(length http_content(http_get('/allowed?key=b')), 100000,
	'auth_request - allowed');
is($m->get('k'), '', 'auth_request - subrequest without arguments');

# bodies

for my $length (0, 1, 500, 1024, 5000, 1023 * 1024) {
	my $body = join '', map { chr(97 + $_ % 26) } 1 .. $length;
	is(content(put('/body?key=body', $body)), "200 $length bytes",
		"body of $length bytes");
	is($m->get('body') eq $body, 1, "body of $length bytes - stored");
}

is(code(put('/body?key=body', 'x' x (1023 * 1024 + 1))), 413, 'body too large');
is(content(http("PUT /body?key=body HTTP/1.1\r\nHost: localhost\r\n"
	. "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
	. join('', map { "3\r\nab$_\r\n" } 0 .. 9) . "0\r\n\r\n")),
	'200 30 bytes', 'chunked');

is(content(put('/mirror?key=mirror', 'm' x 3000)), '200 3000 bytes', 'mirror');
ok(wait_for(sub { ($m->get('log:mirror') // 0) == 1 }),
	'mirror - the other one, too');
is($m->get('rewrite:mirror'), 1, 'mirror - its rewrite phase');

# time

is(code(http_get('/sleep?ms=0')), 204, 'sleep for no time');
is(code(http_get('/sleep?ms=10')), 204, 'sleep');
is(content(http_get('/late?ms=100000&timeout=10')), '200 timed out', 'timeout');
is(content(http_get('/late?ms=10&timeout=100000')), '200 done', 'in time');

# what is detached outlives its request

is(code(http_get('/detached?key=detached&ms=300')), 202, 'detached');
is($m->get('detached'), undef, 'detached - not yet done');
ok(wait_for(sub { ($m->get('detached') // 0) == 1 }), 'detached - done');

# the main request dies before its subrequests, in every phase

$m->pause();
my @s = map { http_get($_, start => 1) } ('/ssi/page', '/auth?key=a',
	'/all?key=a', '/access/answer?key=gone', '/get?key=a') x 3;
push @s, map { put('/mirror?key=gone', 'x' x 3000, start => 1) } 1 .. 3;
ok(wait_for(sub { server_status(port(8081))->{pending} >= 18 }),
	'dying - all wait');
close $_ for @s;
ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled} >= 15 }),
	'dying - cancelled');
$m->resume();
is(length http_content(http_get('/all?key=b')), 100000, 'dying - goes on');

# the worker that a reload replaces finishes what is detached

is(code(http_get('/detached?key=reloaded&ms=1000')), 202, 'reload - detached');
$t->reload();
ok(wait_for(sub { !grep { $_ == $pid } worker_pids($t) }),
	'reload - the old worker has gone');
is($m->get('reloaded'), 1, 'reload - detached work is done');

###############################################################################

sub put {
	my ($uri, $body, %extra) = @_;
	return http("PUT $uri HTTP/1.0\r\nHost: localhost\r\nContent-Length: "
		. length($body) . "\r\n\r\n" . $body, %extra);
}

# "rewrite access log": how often each phase has seen the key.
sub counts {
	my ($key) = @_;
	return join ' ', map { scalar($m->get("$_:$key")) // 0 }
		qw/ rewrite access log /;
}

###############################################################################
