#!/usr/bin/perl

# Tests for memcache module: what a worker that exits waits for.  R15: a block of
# http::spawn, whatever it waits for.  R16: not for detached futures that sleep.

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

my $t = Test::Nginx->new()->has(qw/http rewrite ssi/)->has_daemon('memcached')
	->plan(28)->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%
%%LOAD_MEMCACHE_TEST%%

daemon off;
worker_shutdown_timeout 8s;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /thread { test_content thread; }
        location /ssi { ssi on; default_type text/html; }
        location /get { test_content get; }
        location /detached { test_content detached; }
        location /heartbeat { test_content heartbeat; }
        location /bounded { test_content bounded; }
        location /status { memcache_status; }
    }
}

EOF

$t->write_file('ssi', '[<!--#include virtual="/thread?ms=700" -->]');

my $m = Test::Memcached->start($t, port(8081));
$t->run();

###############################################################################

# what a request waits for is answered by the worker that a reload replaces

for my $case (['/thread?ms=700', 'from a thread'], ['/ssi', 'from a thread']) {
	my ($uri, $body) = @$case;
	my @s = map { http_get($uri, start => 1) } 1 .. 3;
	# HTTP/1.1, where the connection would be kept
	push @s, http("GET $uri HTTP/1.1\r\nHost: localhost\r\n\r\n", start => 1);
	select undef, undef, undef, 0.2;
	my $old = replaced($t);
	my @replies = read_all(@s);
	like($_, qr/200 OK.*\Q$body\E/s, "R15 $uri - reload, answered")
		for @replies;
	ok(gone($t, $old), "R15 $uri - the old worker goes");
}

# once more, with nothing held: the worker can exit at once
ok(gone($t, replaced($t)), 'R15 nothing to wait for');

# a client that leaves is nothing to wait for

my $s = http_get('/thread?ms=100000', start => 1);
select undef, undef, undef, 0.2;
my $old = replaced($t);
is((grep { $_ == $old } worker_pids($t)), 1, 'R15 waits for the client');
close $s;
ok(gone($t, $old), 'R15 the client has left');

# nor is it more than worker_shutdown_timeout

$s = http_get('/thread?ms=100000', start => 1);
select undef, undef, undef, 0.2;
ok(gone($t, replaced($t)), 'R15 worker_shutdown_timeout');
is(http_end($s), '', 'R15 worker_shutdown_timeout - not answered');

# detached: those that sleep go on once more

is(code(http_get('/detached?key=once&ms=3600000')), 202, 'R16 sleeps for long');
is(code(http_get('/heartbeat?key=aware')), 202, 'R16 loop');
is(code(http_get('/heartbeat?key=unaware&unaware=1')), 202,
	'R16 loop that does not ask');
ok(wait_for(sub { ($m->get('aware') // 0) == 1
	&& ($m->get('unaware') // 0) == 1 }), 'R16 they go on');
ok(gone($t, replaced($t)), 'R16 the worker does not wait for them');
is($m->get('once'), 1, 'R16 what was behind a sleep is done');
is($m->get('aware'), 1, 'R16 the loop has ended');
is($m->get('aware:end'), 1, 'R16 its end is done');
is($m->get('unaware'), 2, 'R16 the other one went round once more');
is($m->get('unaware:end'), undef, 'R16 and was dropped');

# what bounds an operation is not over before its time

$m->pause();
is(code(http_get('/bounded?key=bounded&ms=20000')), 202, 'R16 bounded');
$old = replaced($t);
select undef, undef, undef, 0.2;
$m->resume();
ok(gone($t, $old), 'R16 bounded - the worker goes');
is($m->get('bounded'), 1, 'R16 bounded - answered in time');

###############################################################################

# The worker that is replaced.
sub replaced {
	my ($t) = @_;
	my ($old) = reverse worker_pids($t);
	$t->reload();
	wait_for(sub { grep { $_ > $old } worker_pids($t) });
	return $old;
}

sub gone {
	my ($t, $pid) = @_;
	return wait_for(sub { !grep { $_ == $pid } worker_pids($t) });
}

###############################################################################
