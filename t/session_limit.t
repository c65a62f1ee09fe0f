#!/usr/bin/perl

# Tests for examples/session: limits by $memcache_session_id, in any order of
# load_module lines, and what reads it before it is known.

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

use constant { ONE => '1' x 32, OTHER => '2' x 32, NONE => '3' x 32 };

my @orders = (
	['session, limit', '%%LOAD_MEMCACHE_SESSION%% %%LOAD_MEMCACHE_RATE_LIMIT%%'],
	['limit, session', '%%LOAD_MEMCACHE_RATE_LIMIT%% %%LOAD_MEMCACHE_SESSION%%'],
);

my $t = Test::Nginx->new()->has(qw/http limit_req rewrite/)
	->has_daemon('memcached')->plan(13 * @orders);

my $m = Test::Memcached->start($t, port(8081));

for my $run (0 .. $#orders) {
	my ($name, $load) = @{$orders[$run]};
	my $conf = <<'EOC';

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%
<load>

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    log_format id "$uri $memcache_session_id";
    limit_req_zone $binary_remote_addr zone=address:1m rate=1r/m;
    limit_req_zone $memcache_session_id zone=session:1m rate=1r/m;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_session sid 1h;
        add_header X-Id $memcache_session_id always;
        access_log %%TESTDIR%%/access.log id;

        location /limit {
            rate_limit $memcache_session_id limit=2 window=1d;
        }

        location /first {
            limit_req zone=address;
        }

        location /bad {
            return 400;
        }

        location /early {
            limit_req zone=session;
        }

        location /set {
            set $id $memcache_session_id;
            try_files $uri =404;
        }

        location = /status {
            memcache_session off;
            memcache_status;
        }
    }

}

EOC

	$conf =~ s/<load>/$load/;
	$t->write_file_expand('nginx.conf', conf($conf));
	$t->write_file($_, 'page') for qw/ limit first early set /;

	$m->send("flush_all\r\n");
	$m->line();
	$m->set("session:$_", 'mary') for ONE, OTHER;

	$t->run();

	is(join(' ', map { code(page('/limit', ONE)) } 1 .. 4), '200 200 429 429',
		"$name - a session is limited");
	is(header(page('/limit', ONE), 'X-Id'), ONE, "$name - refused, and known");
	is(code(page('/limit', OTHER)), 200, "$name - another session");
	is(join(' ', map { code(page('/limit', NONE)) } 1 .. 4), '200 200 200 200',
		"$name - no session, no limit");

	# what limit_req refuses costs memcached nothing

	is(code(page('/first', ONE)), 200, "$name - limit_req");
	my $asked = server_status(port(8081))->{operations}{get_and_touch};
	is(code(page('/first', ONE)), 503, "$name - limit_req, refused");
	is(server_status(port(8081))->{operations}{get_and_touch}, $asked,
		"$name - limit_req, refused, not asked for");

	# who reads it too early is told, once for each location

	page('/bad', ONE);
	my $before = told($t);
	is($before, 2 * $run, "$name - nothing was too early");
	is(code(page('/early', ONE)), 200, "$name - too early") for 1, 2;
	is(told($t), $before + 1, "$name - too early, logged once");
	page('/set', ONE) for 1, 2;
	is(told($t), $before + 2, "$name - another location");
	is($t->read_file('access.log') =~ m!^/limit ${\ONE}$!m, 1,
		"$name - in the access log");

	$t->stop();
	unlink $t->testdir() . '/access.log';
}

###############################################################################

sub page {
	my ($uri, $id) = @_;

	return http("GET $uri HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
		. "Cookie: sid=$id\x0d\x0a\x0d\x0a");
}

sub told {
	my ($t) = @_;
	my $log = $t->read_file('error.log');
	return scalar(() = $log =~ /\[error\].*before the session is known/g);
}

###############################################################################
