#!/usr/bin/perl

# Tests for memcache module: a sibling's fetch, which lets one of all who want
# an item make it, in all workers.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use Time::HiRes qw/ time /;

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant WORKERS => 3;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(47)
	->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%
%%LOAD_MEMCACHE_TEST%%

daemon off;

worker_processes 3;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    add_header X-Worker $pid always;

    server {
        # the kernel spreads the connections over the workers
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /fetch {
            test_content fetch;
        }

        location /fail {
            test_content fetch_fail;
        }

        location /panic {
            test_content fetch_panic;
        }

        location /large {
            test_content fetch_large;
        }
    }

    # with a timeout that is not longer than what one may be willing to wait
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_timeout 1s;

        location /fetch {
            test_content fetch;
        }
    }

    # nobody is there
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8084 max=1;

        location /fetch {
            test_content fetch;
        }

        location /strict {
            test_content fetch_strict;
        }
    }

    # it hangs
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8086 max=1;
        memcache_timeout 200ms;

        location /fetch {
            test_content fetch;
        }
    }
}

EOF

my $m = Test::Memcached->start($t, port(8081));
my $hung = Test::Memcached->start($t, port(8086));

$t->run();

my ($r, @r, $s, %count);

###############################################################################

# nobody has it: one makes it, for all workers

my $before = $m->stats()->{cmd_get};
@r = http_many(map { request("/fetch?key=cold&ms=1000&value=$_") } 1 .. 200);
my $gets = $m->stats()->{cmd_get} - $before;

$count{header($_, 'X-Source') // code($_)}++ for @r;
is_deeply(\%count, { made => 1, cache => 199 }, 'cold - one made it');
is(made('cold'), 1, 'cold - one computation');
is(uniq(map { http_content($_) } @r), 1, 'cold - everybody has the same');
cmp_ok(uniq(map { header($_, 'X-Worker') } @r), '>', 1,
	'cold - in several workers');

# each asks once; after that one asks for all that wait in its worker

cmp_ok($gets, '<', 200 + 50 * WORKERS, 'cold - the others do not poll');

is(source(fetch('cold')), 'cache ' . http_content($r[0]), 'cold - stored');
is(made('cold'), 1, 'cold - still one computation');

# those who wait in the winner's worker have it when it is stored.  If they did
# not, they would ask next at 880 .. 1175 milliseconds

my $round = 0;
ok(wait_for(sub { lag('lag' . $round++, 800) < 0.06 }),
	'who waits is woken by the store');

# whoever fails, panics, goes away or cannot store it lets the next one do it

for my $location ('fail', 'panic') {
	$s = http(request("/$location?key=$location&ms=1000"), start => 1);
	ok(wait_for(sub { made($location) == 1 }), "$location - is being made");
	is(source(fetch($location, value => 'next')), 'made next',
		"$location - the next one makes it");
	is(code(http_end($s)), $location eq 'fail' ? 502 : 500,
		"$location - an error");
	is(made($location), 2, "$location - twice");
}

like($t->read_file('error.log'),
	qr/memcache: the handler panicked at .*: cannot be made/,
	'panic - logged');

$s = http(request('/fetch?key=gone&ms=100000&within=1000'), start => 1);
ok(wait_for(sub { made('gone') == 1 }), 'gone - is being made');
close $s;
is(source(fetch('gone', value => 'next')), 'made next',
	'gone - the next one makes it');

$r = http(request('/large?key=large&ms=0'));
is(header($r, 'X-Source'), 'alone', 'large - the value is there');
is(length http_content($r), 1023 * 1024 + 1, 'large - all of it');
is(source(fetch('large', value => 'next')), 'made next',
	'large - the next one makes it');

# one that takes too long: somebody else makes it after that time, and what
# comes later is not stored

$s = http(request('/fetch?key=late&ms=4000&within=2&value=late'), start => 1);
ok(wait_for(sub { made('late') == 1 }), 'late - is being made');
is(source(fetch('late', value => 'next')), 'made next',
	'late - the next one makes it');
is(source(http_end($s)), 'alone late', 'late - done');
is(source(fetch('late')), 'cache next', 'late - not stored');

# those who do not want to wait as long as it takes

$s = http(request('/fetch?key=slow&ms=4000&within=1000'), start => 1);
ok(wait_for(sub { made('slow') == 1 }), 'slow - is being made');
is(source(fetch('slow', PeerAddr => '127.0.0.1:' . port(8082),
	value => 'mine', within => 1)), 'alone mine', 'slow - made alone');
is(source(http_end($s)), 'made moo', 'slow - done');
is(source(fetch('slow')), 'cache moo', 'slow - stored');

# stale: one makes it anew, the others have the old one meanwhile

is(code(kv_put('stale', 'old')), 204, 'stale - set');
is(code(kv_post('stale', 'invalidate')), 204, 'stale - marked');
$s = http(request('/fetch?key=stale&ms=1000&value=new'), start => 1);
ok(wait_for(sub { made('stale') == 1 }), 'stale - is being made');
is(source(fetch('stale')), 'stale old', 'stale - the others');
is(source(http_end($s)), 'made new', 'stale - done');
is(source(fetch('stale')), 'cache new', 'stale - new');

is(code(kv_post('stale', 'invalidate')), 204, 'stale - marked again');
is(code(http(request('/fail?key=stale&ms=0'))), 502, 'stale - fails');
# handed back behind the answer, and perhaps by another worker
ok(wait_for(sub { source(fetch('stale', value => 'newer')) eq 'made newer' }),
	'stale - the next one makes it');

# refreshed before it expires

$m->set('early', 'old', 0, 100);
$s = http(request('/fetch?key=early&ms=1000&value=new&ahead=500'), start => 1);
ok(wait_for(sub { made('early') == 1 }), 'early - is being made');
is(source(fetch('early', ahead => 500)), 'cache old', 'early - the others');
is(source(http_end($s)), 'made new', 'early - done');
is(source(fetch('early', ahead => 500)), 'cache new', 'early - new');

$m->set('early2', 'old', 0, 100);
is(source(http(request('/fail?key=early2&ms=0&ahead=500'))), 'cache old',
	'early - fails, and the old one is still good');

# without memcached everybody makes it alone, or fails

is(source(fetch('down', PeerAddr => '127.0.0.1:' . port(8083),
	value => 'mine')), 'alone mine', 'down - made alone');
is(code(http(request('/strict?key=down'),
	PeerAddr => '127.0.0.1:' . port(8083))), 503, 'down - refused');

$hung->pause();
is(source(fetch('hung', PeerAddr => '127.0.0.1:' . port(8085),
	value => 'mine')), 'alone mine', 'hung - made alone');
$hung->resume();

###############################################################################

sub request {
	my ($uri) = @_;
	return "GET $uri HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a\x0d\x0a";
}

sub fetch {
	my ($key, %args) = @_;
	my @peer = map { $_ ? (PeerAddr => $_) : () } delete $args{PeerAddr};
	return http(request("/fetch?key=$key"
		. join '', map { "&$_=$args{$_}" } sort keys %args), @peer);
}

# "made value"
sub source {
	my ($reply) = @_;
	return (header($reply, 'X-Source') // code($reply)) . ' '
		. (http_content($reply) // '');
}

sub made {
	my ($key) = @_;
	return scalar($m->get("made:$key")) // 0;
}

# How long after the winner the first of those had it who waited in its worker.
sub lag {
	my ($key, $ms) = @_;
	my @sockets = map { http(request("/fetch?key=$key&ms=$ms"), start => 1) }
		1 .. 12;
	my $select = IO::Select->new(@sockets);
	my (%reply, %end);

	while ($select->count()) {
		for my $s ($select->can_read(20)) {
			$reply{$s} //= '';
			next if $s->sysread($reply{$s}, 65536, length $reply{$s});
			$end{$s} = time();
			$select->remove($s);
		}
	}

	my ($winner) = grep { header($reply{$_}, 'X-Source') eq 'made' } @sockets;
	my ($first) = sort { $a <=> $b } map { $end{$_} } grep { $_ != $winner
		&& header($reply{$_}, 'X-Worker')
		== header($reply{$winner}, 'X-Worker') } @sockets;

	return defined $first ? $first - $end{$winner} : 'inf';
}

sub uniq {
	my %seen;
	return scalar grep { !$seen{$_}++ } @_;
}

###############################################################################
