#!/usr/bin/perl

# Tests for memcache module: R9, siblings that go on at once, whatever comes of
# what they do: the worker has time for its other events, and for signals.

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

# How many answers handlers get in one turn of the event loop.
use constant CALLS => 1024;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'loops');

my @rust = map { ($_, "${_}_request") } qw/ loop_yield loop_pair loop_get
	loop_many loop_invalid loop_sleep /;
push @rust, 'loop_begin';
my $locations = join '', map { "location = /$_ { test_content $_; }\n" } @rust;
my $conf = http_conf(<<'EOF', qw/ test loops.so /);

    memcache_queue 100000;

    server {
        listen       127.0.0.1:8080;
        server_name  down;

        # nobody listens there
        memcache_server 127.0.0.1:8083;
        memcache_max_fails 1;

        location /plain { return 200 plain; }
        location /loops { loops; }
        location /loop_stop { test_content loop_stop; }
        location /status { memcache_status; }
        %%LOCATIONS%%
    }

    server {
        listen       127.0.0.1:8082;
        server_name  up;

        memcache_server 127.0.0.1:8081 max=1;

        location /loops { loops; }
        location /status { memcache_status; }
        %%LOCATIONS%%
    }

EOF

$conf =~ s/%%LOCATIONS%%/$locations/g;
$t->plan(81)->write_file_expand('nginx.conf', $conf);

my $m = Test::Memcached->start($t, port(8081));
$t->run();

###############################################################################

# handlers in C, as many at a time as there are, with a server and without one

for my $case (['submit', ''], ['submit', '&n=50000'], ['many', ''],
	['many', '&n=100'], ['many', '&keys=1000'], ['cancel', ''])
{
	my ($do, $args) = @$case;

	for my $port (8080, 8082) {
		my $name = "R9 $do$args, " . ($port == 8080 ? 'no server' : 'a server');

		# the first operation finds out that there is none
		http_get('/loops?do=many', at($port));
		stopped($port);

		like(http_content(http_get("/loops?do=$do$args", at($port))),
			qr/^begun/, "$name - begun");
		is(http_content(http_get('/plain')), 'plain', "$name - a request");

		my $say = http_content(http_get('/loops?do=say', at($port)));
		my ($most, $turns, $answers) = $say =~ /(\d+)/g;
		# a call of many keys may begin with one answer that is left;
		# what counts turns comes before those of one, or after them
		my $keys = $args =~ /keys=(\d+)/ ? $1 : 1;
		cmp_ok($most, '<', 2 * (CALLS + $keys), "$name - at most");
		cmp_ok($turns, '>', 2, "$name - turns");
		stopped($port);
	}
}

# futures

for my $uri (@rust) {
	my $s = http_get("/$uri", start => 1);

	is(http_content(http_get('/plain')), 'plain', "R9 $uri - a request");
	http_content(http_get('/loop_stop')) =~ /rounds=(\d+)/;
	cmp_ok($1, '>', 1, "R9 $uri - went round");
	$uri =~ /request/ ? like(http_content(Test::Nginx::http_end($s)),
		qr/stopped/, "R9 $uri - stopped") : close $s;
}

# a signal reaches the worker while all of them go on

http_get("/loops?do=$_") for qw/ submit many cancel /;
http_get("/$_") for grep { !/request/ } @rust;

my $master = master($t);
kill 'TERM', $master;
waitpid $master, 0;
ended($t);
is($?, 0, 'R9 TERM');

###############################################################################

sub stopped {
	my ($port) = @_;
	http_get('/loops?do=stop', at($port));
	wait_for(sub { http_get('/loops?do=say', at($port)) =~ /pending=0/ });
}

sub at { return (PeerAddr => '127.0.0.1:' . port($_[0])) }

###############################################################################
