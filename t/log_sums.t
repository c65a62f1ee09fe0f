#!/usr/bin/perl

# Tests for memcache module: while a server is in trouble, the error log has one
# line about it in a second and worker, with its name and a count, whichever
# module asked, and nothing is missing in the end.

###############################################################################

use warnings;
use strict;

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

use constant KINDS => qw/ down silent full closing /;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(34)
	->write_file('index.html', '')
	->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%
%%LOAD_MEMCACHE_RATE_LIMIT%%
%%LOAD_MEMCACHE_SESSION%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # counts for all workers
    memcache_zone memcache:1m;

    memcache_timeout 300ms;
    memcache_max_fails 60000;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081;
        memcache_retry 60s;

        location /kv/ {
            memcache_kv on;
        }

        location = /limited {
            rate_limit $connection limit=1000 window=10s;
            alias %%TESTDIR%%/index.html;
        }

        location = /refused {
            rate_limit $connection limit=1000 window=10s;
            rate_limit_down refuse;
            alias %%TESTDIR%%/index.html;
        }

        location = /session {
            memcache_session sid 1h required;
            alias %%TESTDIR%%/index.html;
        }

        location /status {
            memcache_status json;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;
        memcache_server 127.0.0.1:8083;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;
        memcache_server 127.0.0.1:8085;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8086;
        server_name  localhost;
        memcache_server 127.0.0.1:8087;
        memcache_pipeline 1;

        location /kv/ {
            memcache_kv on;
        }
    }

    # all is well there
    server {
        listen       127.0.0.1:8088;
        server_name  localhost;
        memcache_server 127.0.0.1:8089;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOF

my %address = (
	down => '127.0.0.1:' . port(8081),
	silent => '127.0.0.1:' . port(8083),
	full => '127.0.0.1:' . port(8085),
	closing => '127.0.0.1:' . port(8087),
);

Test::Memcached::Fake->start($t, port(8083), sub {
	my ($request) = @_;
	return $request->{verb} eq 'mg' ? '' : $request->answer();
});
Test::Memcached::Fake->start($t, port(8085), sub {
	my ($request) = @_;
	return $request->{verb} eq 'mg'
		? "SERVER_ERROR out of memory\x1b[0m writing\r\n"
		: $request->answer();
});
Test::Memcached::Fake->start($t, port(8087), sub {
	my ($request) = @_;
	return $request->{verb} eq 'mg' ? Test::Memcached::Fake::CLOSE
		: $request->answer();
});
Test::Memcached->start($t, port(8089));

$t->run();

###############################################################################

# a server that is down, from every door

my %doors = (
	'content handler' => sub { kv_get('cow') },
	'with a body' => sub { kv_put('cow', 'moo') },
	'many keys' => sub { kv_get('', args => 'keys=a,b,c') },
	'rate_limit' => sub { http_get('/limited') },
	'rate_limit, refusing' => sub { http_get('/refused') },
	'session in C' => sub { http("GET /session HTTP/1.0\x0d\x0a"
		. 'Cookie: sid=' . 'a' x 32 . "\x0d\x0a\x0d\x0a") },
);

for my $door (sort keys %doors) {
	my $before = failed('down');
	my @codes = map { code($doors{$door}->()) } 1 .. 50;
	my $expected = $door eq 'rate_limit' ? 200 : 503;

	is(scalar(grep { $_ ne $expected } @codes), 0, "R28 $door - fail");
	cmp_ok(failed('down') - $before, '>=', 50, "R28 $door - count");
}

# the other kinds, all at the same time

for (1 .. 5) {
	for my $port (8082, 8084, 8086) {
		read_all(map { kv_get("cow$_", start => 1,
			PeerAddr => '127.0.0.1:' . port($port)) } 1 .. 40);
	}
	kv_get('cow') for 1 .. 20;
}

for my $kind (KINDS) {
	ok(wait_for(sub { messages($t)
		=~ /memcache: (?:an|\d+) operations? for "$address{$kind}" failed: / }),
		"R28 $kind - named");
}

# what is a request's own fault has its own line

my @well = (PeerAddr => '127.0.0.1:' . port(8088));
kv_get('x' x 300, @well) for 1 .. 5;
is(scalar(() = messages($t) =~ /\[info\] .*memcache: the key of \d+ bytes is too long: .*, client: /g), 5,
	'invalid keys');
kv_put('cow', 'moo', @well);
is(code(kv_post('cow', 'incr=1', @well)), 409, 'no number');
unlike(messages($t), qr/CLIENT_ERROR/, 'no number - its client knows');

# a worker that exits says the rest

kv_get('cow') for 1 .. 10;
my %failed = map { ($_ => failed($_)) } KINDS;
$t->stop();

for my $kind (KINDS) {
	my @lines = grep { /"\Q$address{$kind}\E"/ } split /\n/, messages($t);
	my ($said, %seconds) = (0);

	/memcache: (an|\d+) operations? for / and $said += $1 eq 'an' ? 1 : $1
		for @lines;
	is($said, $failed{$kind}, "R28 $kind - nothing is missing");

	# that it went down has always a line, and a worker that exits the last;
	# what nginx says of a socket at level info is no error
	$seconds{$_}++ for map { m!^(\S+ \S+) \[error\] (\d+)#! ? "$1 $2" : () }
		grep { !/ is (?:down|up)/ } @lines;
	is(scalar(grep { $_ > 2 } values %seconds), 0,
		"R28 $kind - a line in a second") or diag(join "\n", @lines);
	cmp_ok(scalar(grep { $_ > 1 } values %seconds), '<=', 2,
		"R28 $kind - and one more in the last") or diag(join "\n", @lines);
}

my $log = messages($t);
like($log, qr/"$address{full}" failed: (?:\d+ )?SERVER_ERROR "out of memory\\x1b\[0m writing"/,
	'R28 full - what it said');
unlike($log, qr/"127\.0\.0\.1:@{[port(8089)]}"/, 'nothing of a server that is well');
unlike($log, qr/memcache: [^"]*(?:is down|timed out|lost|SERVER_ERROR).*client: /,
	'R28 not by each request');

###############################################################################

# How many operations have failed at the server, by what the status says.
sub failed {
	my ($kind) = @_;
	my $errors = server_status($address{$kind})->{errors};
	my $failed = 0;

	$failed += $errors->{$_}
		for grep { !/^(?:client|cancelled)$/ } keys %$errors;
	return $failed;
}

###############################################################################
