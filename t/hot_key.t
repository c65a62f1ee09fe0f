#!/usr/bin/perl

# Tests for memcache module: one of several connections hangs, while a key is
# asked for all the time (R6), and while it is written to (R13).

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached::Fake;
use Time::HiRes qw/ sleep /;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# requests of each kind, and how many of them may fail: those that were sent
# before it could be known
use constant { REQUESTS => 150, MAY_FAIL => 15 };

my $t = Test::Nginx->new()->has(qw/http/)->plan(6)
	->write_file_expand('nginx.conf', conf(<<'EOC'));

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%
%%LOAD_MEMCACHE_KV%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_timeout 300ms;
    memcache_max_fails 1000;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 min=2;
        memcache_coalesce on;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 min=2;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOC

# the first connection that is asked for the hot key answers nothing any more
for my $port (8081, 8083) {
	my $hung;

	Test::Memcached::Fake->start($t, port($port), sub {
		my ($request) = @_;
		my $connection = $request->{connection};

		$hung //= $connection if ($request->{key} // '') eq 'hot';
		return if defined $hung && $connection == $hung;
		return $request->answer();
	});
}

$t->run();

###############################################################################

is(code(kv_put('warm', 'v')), 204, 'before');

my ($hot, $other) = fails(8080);
cmp_ok($hot, '>', 0, 'R6 - some are on the connection that hangs');
cmp_ok($hot, '<=', MAY_FAIL, 'R6 - a hot key leaves it');
cmp_ok($other, '<=', MAY_FAIL, 'R6 - others too');

($hot, $other) = fails(8082);
cmp_ok($hot, '<=', MAY_FAIL, 'a hot key leaves it without sharing');
cmp_ok($other, '<=', MAY_FAIL, 'others too');

###############################################################################

sub fails {
	my ($port) = @_;
	my %failed = (hot => 0, other => 0);
	my @open;

	for my $n (1 .. REQUESTS) {
		push @open, [$_->[0], kv_get($_->[1], start => 1,
			PeerAddr => '127.0.0.1:' . port($port))]
			for ['hot', 'hot'], ['other', "other$n"];
		sleep 0.02;
	}

	for (@open) {
		my ($kind, $s) = @$_;
		$failed{$kind}++ if code(http_end($s)) != 404;
	}

	return @failed{'hot', 'other'};
}

###############################################################################
