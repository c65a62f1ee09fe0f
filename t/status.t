#!/usr/bin/perl

# Tests for memcache module: the diagnostic location, what it says and what
# it does not do.  Names that begin with a D and a number are rules for such
# an endpoint; status_formats.t has those about its formats.

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

# the log of nginx, and the page, have local time
$ENV{TZ} = 'IST-5:30';

my $t = Test::Nginx->new()->has(qw/http ssi rewrite/)
	->has_daemon('memcached')->plan(76);

$t->write_file_expand('nginx.conf', http_conf(<<'EOF'));

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

            if ($arg_inner) {
                add_header X-Inner yes;
            }
        }

        location /json {
            memcache_status json;

            if ($arg_inner) {
                add_header X-Inner yes;
            }
        }

        location /ssi.html {
            ssi on;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  down.example.com;

        memcache_server 127.0.0.1:8082 weight=3;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

EOF

$t->write_file('ssi.html', '<<!--#include virtual="/json" -->>'
	. '<!--#include virtual="/status" -->>');

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 1 }),
	'min is opened');

my $r = http_get('/json');
my $page = status('/json');

is(code($r), 200, 'status');
is(header($r, 'Content-Type'), 'application/json', 'type');
is(header($r, 'Content-Length'), length http_content($r), 'length');

is($page->{schema}, 2, 'version of the schema');
like($page->{version}, qr/^\d+\.\d+\.\d+$/, 'version');
like($page->{abi}, qr/^1\.\d+$/, 'ABI');
like($page->{nginx}, qr/^1\.\d+\.\d+$/, 'version of nginx');
cmp_ok(abs($page->{now} / 1000 - time()), '<', 60, 'time');
is($page->{scope}, 'worker', 'D9 scope');
is($page->{pid}, (worker_pids($t))[0], 'D9 worker');
is_deeply($page->{workers},
	[{ pid => $page->{pid}, generation => 1, slot => 0 }], 'D9 workers');

my ($client) = grep { $_->{timeout_ms} == 20000 } @{$page->{clients}};
is_deeply([@$client{qw/ hash timeout_ms connect_timeout_ms pipeline queue
	max_value pending /}],
	['modulo', 20000, 10000, 64, 32, 10240, 0], 'client');
is_deeply([map { $_->{used_by} } @{$page->{clients}}],
	[['localhost'], ['down.example.com']], 'servers that use it');

my ($one, $two) = @{$client->{servers}};
is($one->{address}, '127.0.0.1:' . port(8081), 'server - address');
is($one->{state}, 'live', 'server - state');
cmp_ok(abs($one->{since} / 1000 - time()), '<', 600, 'server - since');
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
is_deeply({ map { $after->{errors}{$_} ? ($_ => $after->{errors}{$_}) : () }
	keys %{$after->{errors}} }, { too_large => 1 }, 'errors');

# what a caller does wrong is counted, and is no trouble of the server

kv_put('cow', 'moo');
is(code(kv_post('cow', 'incr=1')), 409, 'incr of a text');
$after = server_status(port(8081));
is($after->{errors}{client}, 1, "the caller's error - counted");
is($after->{last_error}, undef, "the caller's error - not the server's");

# the page says it in words

like(http_content(http_get('/status')),
	qr/1 of 2 servers answer; nothing was sent to the other one so far/,
	'R55 page - what was not used, and one in two clients is one');

# of a server that is down

is(code(kv_get('bar')), 503, 'get from a server that is down');
my $down = server_status(port(8082));
is($down->{state}, 'down', 'down');
cmp_ok($down->{connections}{failed}, '>=', 1, 'down - failed connects');

$r = http_content(http_get('/status'));
my $address = '127.0.0.1:' . port(8082);
like($r, qr/\Q$address\E(?: \(cluster [^)]*\))? is down since \d\d:\d\d:\d\d UTC/,
	'page - down');
my ($said) = $r =~ /is down since (\S+) (?:UTC&#43;|UTC\+)5:30/;
my ($logged) = messages($t) =~ m!(\S+) \[error\] [^\n]*"\Q$address\E" is down!;
cmp_ok(abs(seconds($said) - seconds($logged)) % 86400, '<=', 2,
	'R55 page - the time of the log');
like($r, qr/<tr [^>]*class="bad">/, 'page - its row');

# methods

for my $method (qw/ POST PUT DELETE OPTIONS PATCH /) {
	$r = http("$method /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
		. "Content-Length: 3\x0d\x0a\x0d\x0aabc");
	is(code($r) . ' ' . (header($r, 'Allow') // ''), '405 GET, HEAD',
		"D1 $method");
}

is(code(http("TRACE /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a\x0d\x0a")),
	405, 'D1 TRACE');

for my $format (qw/ html json prometheus /) {
	my $get = http_get("/status?format=$format");
	my $head = http_head("/status?format=$format");
	is(content($head), '200 ', "D1 head - $format");
	is(header($head, 'Content-Type'), header($get, 'Content-Type'),
		"D1 head - type of $format");
	cmp_ok(header($head, 'Content-Length'), '>', 500,
		"D1 head - length of $format");
}

$r = http("GET /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
	. "Content-Length: 3\x0d\x0a\x0d\x0aabc");
is(code($r), 200, 'D1 get with a body');

# nothing happens on request; but for the time, of which the last minutes are a
# part

my $state = sub {
	my $server = server_status(port(8081));
	delete $server->{history};
	return $server;
};

$before = $state->();
http_get("/status?$_") for 'cmd=reset', 'reset=1', 'flush_all=0', 'key=cow';
http_get("/status/control?cmd=reset");
is_deeply($state->(), $before, 'D2 no state changed');

# no keys, values, addresses of memory; not even of what was just asked for

kv_put('cow', 'moo');
kv_get('cow');
for my $format (qw/ html json prometheus /) {
	unlike(http_content(http_get("/status?format=$format&key=cow")),
		qr/\bcow\b|\bmoo\b|0x[0-9a-f]{9,}/,
		"D3 no keys, values, addresses of memory - $format");
}

# a location's format holds in an "if" in it

is(header(http_get('/json?inner=1'), 'X-Inner') . ' '
	. header(http_get('/json?inner=1'), 'Content-Type'),
	'yes application/json', 'if');
is(header(http_get('/status?inner=1'), 'Content-Type'),
	'text/html; charset=utf-8', 'if - the default');

# no network: memcached hangs, and the page comes

$m->pause();
my $s = kv_get('cow', start => 1);
ok(wait_for(sub { server_status(port(8081))->{pending} == 1 }),
	'D10 a get is under way');
is(code(http_get('/status')), 200, 'D10 no network');
$m->resume();
Test::Nginx::http_end($s);

# as a subrequest, and when all servers are down

like(http_content(http_get('/ssi.html')),
	qr/^<\{.*\}\s*><!DOCTYPE html>.*<\/html>\s*>$/s, 'D10 subrequests');

my %down = (PeerAddr => '127.0.0.1:' . port(8083));
is(code(kv_get('cow', %down)), 503, 'D10 all servers are down');
like(http_content(http_get('/status', %down)), qr/>[^<]*127\.0\.0\.1:@{[port(8082)]} is down since/,
	'D10 all servers are down - page');

# a worker of the next configuration, and one that shuts down and has a
# request left to answer

$m->pause();
$s = kv_get('cow', start => 1);
ok(wait_for(sub { server_status(port(8081))->{pending} == 1 }),
	'D9 an old worker is busy');
my $pid = $page->{pid};

$t->reload();

ok(wait_for(sub {
	my $other = status();
	return $other->{pid} != $pid && $other->{generation} == 2;
}), 'D9 another worker, of another generation');
$m->resume();
is(code(Test::Nginx::http_end($s)), 200, 'D9 the old one answers');

###############################################################################

sub seconds {
	my ($hours, $minutes, $seconds) = split /:/, $_[0] // '';
	return $hours * 3600 + $minutes * 60 + $seconds;
}

###############################################################################
