#!/usr/bin/perl

# Tests for memcache module: the example sibling with a tokio runtime.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use Digest::MD5 qw/ md5 md5_hex /;
use IO::Select;

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('memcached')
	->plan(31)->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE_TOKIO_BRIDGE%%
%%LOAD_MEMCACHE%%

daemon off;

worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    # runs init_process in two more processes, which are no workers
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /digest/ { memcache_digest; }
        location /status { memcache_status; }
        location / { return 200 here; }
    }

    # nobody is there
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8084;

        location /digest/ { memcache_digest; }
    }
}

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

my ($r, $key);

###############################################################################

$key = 'digest:3:' . md5_hex('/digest/cow');
$r = http_get('/digest/cow?rounds=3');
is(content($r), '200 ' . digest('/digest/cow', 3) . "\n", 'made');
is(header($r, 'X-Source'), 'made', 'made - source');
is($m->get($key), digest('/digest/cow', 3), 'made - stored');

$r = http_get('/digest/cow?rounds=3');
is(content($r), '200 ' . digest('/digest/cow', 3) . "\n", 'found');
is(header($r, 'X-Source'), 'cache', 'found - source');
is(content(http_get('/digest/none?rounds=0')), '200 '
	. unpack('H*', '/digest/none') . "\n", 'no rounds');
is(content(http_get('/digest/cow')), '200 ' . digest('/digest/cow', 1000) . "\n",
	'rounds by default');
is(code(http_get("/digest/cow?$_")), 400, "bad arguments - $_")
	for 'rounds=', 'rounds=-1', 'rounds=4294967296', 'round=1';

# R49: no request is too much work for the others

is(content(http_get("/digest/cow?rounds=$_")),
	"400 rounds: a number up to 1000000\n", "R49 too many - $_")
	for 4294967295, 1000001;

# the event loop is free while threads work

my $rounds = $ENV{VALGRIND_NGINX} ? 20_000 : 500_000;
my @s = map { http_get("/digest/slow$_?rounds=$rounds", start => 1) } 1 .. 4;
is(content(http_get('/')), '200 here', 'nginx goes on');
is(join(' ', map { header(http_end($_), 'X-Source') } @s), 'made made made made',
	'slow - made');

my @r = map { http_many(map { "GET /digest/$_?rounds=$_ HTTP/1.0\r\n\r\n" }
	$_ * 50 + 1 .. $_ * 50 + 50) } 0, 1;
is_deeply([map { content($_) } @r], [map { '200 ' . digest("/digest/$_", $_)
	. "\n" } 1 .. 100], 'many at once');

# R49: what is too much is refused, with what was made before still there, and
# nobody works for clients that have gone

my @full = map { http_get("/digest/full$_?rounds=1000000", start => 1) } 1 .. 300;
my ($refused) = IO::Select->new(@full)->can_read(20);
$refused->sysread(my $answer, 4096);
is(code($answer), 503, 'R49 full - refused');
is(header($answer, 'Retry-After'), 1, 'R49 full - when to try again');
is(header(http_get('/digest/cow?rounds=3'), 'X-Source'), 'cache',
	'R49 full - found');
close $_ for @full;
my $n = 0;
ok(wait_for(sub { code(http_get('/digest/again' . $n++ . '?rounds=1')) eq '200' }),
	'R49 gone - there is room again');

# clients that go away

@s = map { http_get("/digest/gone$_?rounds=$rounds", start => 1) } 1 .. 10;
close $_ for @s;
is(content(http_get('/digest/cow?rounds=3')), '200 ' . digest('/digest/cow', 3)
	. "\n", 'clients go away');

is(header(http_get('/digest/cow?rounds=3', PeerAddr => '127.0.0.1:'
	. port(8083)), 'X-Source'), 'made', 'memcached is down');

# workers, and they alone, have threads and say that they are alive

my @pids = worker_pids($t);
is(scalar @pids, 2, 'workers');
ok(wait_for(sub { ($m->get("alive:$_") // 0) >= 2 }), 'alive') for @pids;

my $master = $t->read_file("nginx.pid") + 0;
my %threads = map { $_ => scalar(() = glob "/proc/$_/task/*") }
	$master, children($master);
cmp_ok($threads{$_}, '>=', 2, 'worker - threads') for @pids;
is(join(' ', map { $threads{$_} } grep { my $p = $_;
	!grep { $_ == $p } @pids } keys %threads), '1 1 1',
	'master, cache manager and loader - no threads');

# reload: the old workers are not held by what goes on for ever

$t->reload();
ok(wait_for(sub {
	my %now = map { $_ => 1 } worker_pids($t);
	return !grep { $now{$_} } @pids;
}), 'reload - the old workers have gone');
my ($new) = worker_pids($t);
ok(wait_for(sub { ($m->get("alive:$new") // 0) >= 2 }), 'reload - alive');
is(header(http_get('/digest/cow?rounds=3'), 'X-Source'), 'cache',
	'reload - found');

###############################################################################

sub digest {
	my ($text, $rounds) = @_;
	$text = md5($text) for 1 .. $rounds;
	return unpack 'H*', $text;
}

sub children {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/task/$pid/children" or return;
	return split ' ', <$f> // '';
}

###############################################################################
