#!/usr/bin/perl

# Tests for memcache module: the diagnostic location.  Names that begin with
# a D and a number are rules for such an endpoint.

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

my $t = Test::Nginx->new()->has(qw/http ssi/)->has_daemon('memcached')
	->plan(56);

my $conf = conf(<<'EOF');

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 min=1 smax=3 max=5 ttl=1m weight=7;
        memcache_server 127.0.0.1:8082 weight=1;
        memcache_timeout 20s;
        memcache_connect_timeout 10s;
        memcache_pipeline 64;
        memcache_queue 32;
        memcache_max_value 10k;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }

        location /json {
            memcache_status json;
        }

        location /ssi.html {
            ssi on;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 'unix:%%TESTDIR%%/a"b<i>&\\';
        memcache_server 'unix:%%TESTDIR%%/<valid>';
        memcache_server 'unix:%%TESTDIR%%/<invalid>';

        location /status {
            memcache_status;
        }
    }
}

EOF

$conf =~ s/<valid>/k\xc3\xbc/;
$conf =~ s/<invalid>/\xff\xfe/;

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('ssi.html', '<<!--#include virtual="/status" -->>');

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 1 }),
	'min is opened');

my $r = http_get('/status');
my $page = status();

is(code($r), 200, 'status');
is(header($r, 'Content-Type'), 'application/json', 'type');
is(header($r, 'Content-Length'), length http_content($r), 'length');
is(header($r, 'Cache-Control'), 'no-store', 'D5 not stored');
is(header($r, 'X-Content-Type-Options'), 'nosniff', 'D5 not sniffed');
is_deeply(status('/json'), $page, 'json by name');

like($page->{version}, qr/^\d+\.\d+\.\d+$/, 'version');
like($page->{abi}, qr/^1\.\d+$/, 'ABI');
like($page->{nginx}, qr/^1\.\d+\.\d+$/, 'version of nginx');
is($page->{scope}, 'worker', 'D9 scope');
is($page->{pid}, (worker_pids($t))[0], 'D9 worker');

my ($client) = grep { $_->{timeout_ms} == 20000 } @{$page->{clients}};
is_deeply([@$client{qw/ hash timeout_ms connect_timeout_ms pipeline queue
	max_value pending /}],
	['modulo', 20000, 10000, 64, 32, 10240, 0], 'client');

my ($one, $two) = @{$client->{servers}};
is($one->{address}, '127.0.0.1:' . port(8081), 'server - address');
is($one->{state}, 'live', 'server - state');
is($one->{weight}, 7, 'server - weight');
is_deeply($one->{pool}, { min => 1, smax => 3, max => 5, ttl => 60 },
	'server - pool');
is_deeply($one->{connections}, { open => 1, connecting => 0, idle => 1,
	busy => 0, opened => 1, failed => 0, lost => 0 },
	'server - connections');
is_deeply($two->{pool}, { min => 0, smax => 2, max => 8, ttl => 60 },
	'other server - pool');
is($two->{connections}{open}, 0, 'other server - connections');

# what is counted; cow and foo are on the first server, bar on the second

my $before = server_status(port(8081));

is(code(kv_put('cow', 'moo')), 204, 'set');
is(code(kv_get('cow')), 200, 'get') for 1 .. 3;
is(code(kv_get('foo')), 404, 'miss');
is(code(kv_delete('cow')), 204, 'delete');
is(code(kv_get('a' x 251)), 400, 'bad key');
is(code(kv_put('cow', 'x' x 10241)), 413, 'too large');

my $after = server_status(port(8081));

is_deeply([map { $after->{operations}{$_} - $before->{operations}{$_} }
	qw/ get set delete /], [4, 1, 1], 'operations');
is($after->{hits} - $before->{hits}, 3, 'hits');
is($after->{misses} - $before->{misses}, 1, 'misses');
cmp_ok($after->{bytes}{read}, '>', $before->{bytes}{read}, 'bytes read');
cmp_ok($after->{bytes}{written}, '>', $before->{bytes}{written},
	'bytes written');
is_deeply([grep { $_ } values %{$after->{errors}}], [], 'no errors');

# of a server that is down

is(code(kv_get('bar')), 503, 'get from a server that is down');
my $down = server_status(port(8082));
is($down->{state}, 'down', 'down');
cmp_ok($down->{connections}{failed}, '>=', 1, 'down - failed connects');

# methods

for my $method (qw/ POST PUT DELETE OPTIONS PATCH /) {
	$r = http("$method /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
		. "Content-Length: 3\x0d\x0a\x0d\x0aabc");
	is(code($r) . ' ' . (header($r, 'Allow') // ''), '405 GET, HEAD',
		"D1 $method");
}

$r = http_head('/status');
is(content($r), '200 ', 'D1 head');
is(header($r, 'Content-Type'), 'application/json', 'D1 head - type');
cmp_ok(header($r, 'Content-Length'), '>', 500, 'D1 head - length');

$r = http("GET /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
	. "Content-Length: 3\x0d\x0a\x0d\x0aabc");
is(code($r), 200, 'D1 get with a body');

# nothing happens on request, and nothing is reflected

$r = http_get('/status?cmd=reset&reset=1&key=cow&<script>');
unlike($r, qr/script|cow/, 'D5 nothing reflected from arguments');
cmp_ok(server_status(port(8081))->{hits}, '>=', 3, 'D2 no state changed');
$r = http("GET /status/%22%3E%3Cscript%3E HTTP/1.0\x0d\x0a"
	. "Host: \"><script>\x0d\x0aUser-Agent: <script>\x0d\x0a\x0d\x0a");
unlike($r, qr/<script>/, 'D5 nothing reflected');
is(header(http("GET /status HTTP/1.0\x0d\x0aAccept: text/html\x0d\x0a\x0d\x0a"),
	'Content-Type'), 'application/json', 'D6 no format by Accept');

unlike(http_content(http_get('/status')), qr/\bcow\b|\bmoo\b|0x[0-9a-f]+/,
	'D3 no keys, values, addresses of memory');

# hostile names: valid JSON, and the names as they are

$r = http_get('/status', PeerAddr => '127.0.0.1:' . port(8083));
my $body = http_content($r);
my @names = map { $_->{address} } map { @{$_->{servers}} }
	@{JSON::PP->new->utf8->decode($body)->{clients}};
my $dir = $t->testdir();

is(scalar(grep { $_ eq qq!unix:$dir/a"b<i>&\\! } @names), 1, 'D4 quotes');
is(scalar(grep { $_ eq "unix:$dir/k\x{fc}" } @names), 1, 'D4 UTF-8');
is(scalar(grep { $_ eq "unix:$dir/\x{fffd}\x{fffd}" } @names), 1,
	'D4 invalid UTF-8');

# no network: memcached hangs, and the page comes

$m->pause();
my $s = kv_get('cow', start => 1);
is(code(http_get('/status')), 200, 'D10 no network');
$m->resume();
Test::Nginx::http_end($s);

# as a subrequest

like(http_content(http_get('/ssi.html')), qr/^<\{.*\}\s*>$/s, 'D10 subrequest');

###############################################################################
