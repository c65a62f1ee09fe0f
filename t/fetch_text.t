#!/usr/bin/perl

# Tests for memcache module: a sibling's fetch on servers without leases.  An item
# beside the item, its lock, tells who makes it.

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

my ($old) = Test::Memcached->usable(1);
plan(skip_all => 'no old memcached, see make memcacheds') unless $old;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(43)
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
    memcache_retry 100ms;

    add_header X-Worker $pid always;

    server {
        # the kernel spreads the connections over the workers
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
        location /fetch { test_content fetch; }
        location /strict { test_content fetch_strict; }
        location /fail { test_content fetch_fail; }
        location /panic { test_content fetch_panic; }
        location /large { test_content fetch_large; }
    }

    # an old one and a new one
    server {
        listen       127.0.0.1:8082 reuseport;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;
        memcache_server 127.0.0.1:8084;

        location /kv/ { memcache_kv on; }
        location /fetch { test_content fetch; }
        location /strict { test_content fetch_strict; }
    }

    # with a prefix that leaves no room for anything behind the key
    server {
        listen       127.0.0.1:8085 reuseport;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_prefix p:;

        location /fetch { test_content fetch; }
    }
}

EOF

my $m = Test::Memcached->start($t, port(8081), version => $old);
my @mixed = (Test::Memcached->start($t, port(8083), version => $old),
	Test::Memcached->start($t, port(8084)));

$t->run();

my ($r, @r, $s, %count);

###############################################################################

# nobody has it: one makes it, for all workers

@r = http_many(map { request("/fetch?key=cold&ms=1000&value=$_") } 1 .. 100);

$count{header($_, 'X-Source') // code($_)}++ for @r;
is_deeply(\%count, { made => 1, cache => 99 }, 'cold - one made it');
is(made($m, 'cold'), 1, 'cold - one computation');
is(uniq(map { http_content($_) } @r), 1, 'cold - everybody has the same');
cmp_ok(uniq(map { header($_, 'X-Worker') } @r), '>', 1,
	'cold - in several workers');
is($m->classic_get('!lock:cold'), undef, 'cold - no lock is left');
is(source(fetch('cold')), 'cache ' . http_content($r[0]), 'cold - stored');

# those who were refused a lease were no failures of the server

is(scalar(grep { /\[(?:error|warn)\]/ } messages($t)), 0, 'nothing is logged');

# whoever fails, panics, goes away or cannot store it lets the next one do it

for my $location ('fail', 'panic') {
	$s = http(request("/$location?key=$location&ms=1000"), start => 1);
	ok(wait_for(sub { made($m, $location) == 1 }), "$location - is being made");
	isnt($m->classic_get("!lock:$location"), undef, "$location - locked");
	is(source(fetch($location, value => 'next')), 'made next',
		"$location - the next one makes it");
	is(code(http_end($s)), $location eq 'fail' ? 502 : 500,
		"$location - an error");
}

$s = http(request('/fetch?key=gone&ms=100000&within=1000'), start => 1);
ok(wait_for(sub { made($m, 'gone') == 1 }), 'gone - is being made');
close $s;
is(source(fetch('gone', value => 'next')), 'made next',
	'gone - the next one makes it');

$r = http(request('/large?key=large&ms=0'));
is(header($r, 'X-Source'), 'alone', 'large - the value is there');
is(source(fetch('large', value => 'next')), 'made next',
	'large - the next one makes it');

# clients that go away while the lock is asked for leave none behind

for (1 .. 200) {
	my $s = http(request("/fetch?key=away$_&ms=100000&within=1000"), start => 1);
	select undef, undef, undef, rand 0.0012;
	close $s;
}

ok(wait_for(sub { !grep { defined $m->classic_get("!lock:away$_") } 1 .. 200 }),
	'away - no lock is left');

# one that takes too long: somebody else makes it after that time, and what
# comes later is not stored

$s = http(request('/fetch?key=late&ms=6000&within=2&value=late'), start => 1);
ok(wait_for(sub { made($m, 'late') == 1 }), 'late - is being made');
is(source(fetch('late', value => 'next')), 'made next',
	'late - the next one makes it');
is(source(http_end($s)), 'alone late', 'late - done');
is(source(fetch('late')), 'cache next', 'late - not stored');

# those who do not want to wait as long as it takes

$s = http(request('/fetch?key=slow&ms=3000&within=1000'), start => 1);
ok(wait_for(sub { made($m, 'slow') == 1 }), 'slow - is being made');
is(source(fetch('slow', value => 'mine', within => 1)), 'made mine',
	'slow - made, too');
is(source(http_end($s)), 'alone moo', 'slow - done');

# what others store meanwhile stays

$s = http(request('/fetch?key=other&ms=1000'), start => 1);
ok(wait_for(sub { made($m, 'other') == 1 }), 'other - is being made');
is(code(kv_put('other', 'theirs')), 204, 'other - stored');
is(source(http_end($s)), 'alone moo', 'other - done');
is(source(fetch('other')), 'cache theirs', 'other - theirs stays');

# the longest keys

for my $key ('k' x 248, 'k' x 245 . '-zz', 'k' x 244) {
	my @at = (PeerAddr => '127.0.0.1:' . port(8085));
	is(join(' ', map { source(fetch($key, @at)) } 1 .. 2), 'made moo cache moo',
		length($key) . ' bytes and a prefix');
}

# an old and a new one: who makes it is told by lock and by lease

my @at = (PeerAddr => '127.0.0.1:' . port(8082));
my @keys = map { "mixed-$_" } 1 .. 40;
@r = map { http_end($_) } map { http(request("/fetch?key=$_&ms=500"),
	start => 1, @at) } @keys, @keys;
%count = ();
$count{header($_, 'X-Source') // code($_)}++ for @r;
is_deeply(\%count, { made => 40, cache => 40 }, 'mixed - one made each');

# the lock's server is dead, and the item's is not

$mixed[1]->kill_it();
my @alive = grep { code(kv_get("alive-$_", @at)) == 404 } 1 .. 40;
my %sources;
$sources{source(fetch("alive-$_", @at))}++ for @alive;
is_deeply(\%sources, { 'made moo' => scalar @alive },
	'lock dead - made, and stored');

# a worker that is killed: its lock ends after its time

$s = http(request('/fetch?key=killed&ms=100000&within=2'), start => 1);
ok(wait_for(sub { made($m, 'killed') == 1 }), 'killed - is being made');
$t->todo_alerts();
kill 'KILL', worker_pids($t);
isnt($m->classic_get('!lock:killed'), undef, 'killed - its lock is there');
ok(wait_for(sub { source(fetch('killed', value => 'next')) eq 'made next' }),
	'killed - the next one makes it');

# memcached dies while it is made

$s = http(request('/fetch?key=dies&ms=1000'), start => 1);
ok(wait_for(sub { made($m, 'dies') == 1 }), 'dies - is being made');
$m->kill_it();
is(source(http_end($s)), 'alone moo', 'dies - made for one');
is(source(fetch('dies', value => 'mine')), 'alone mine', 'dies - made alone');
is(code(http(request('/strict?key=dies'))), 503, 'dies - refused');

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
	my ($server, $key) = @_;
	return $server->classic_get("made:$key") // 0;
}

sub uniq {
	my %seen;
	return scalar grep { !$seen{$_}++ } @_;
}

###############################################################################
