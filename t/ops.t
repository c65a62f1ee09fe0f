#!/usr/bin/perl

# Tests for memcache module: every operation, through the kv sibling, and
# what it left in memcached.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(87 + 1 + 16)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /html/ {
            memcache_kv on;
            default_type text/html;
        }

        location /off/ {
            memcache_kv off;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

my $r;

###############################################################################

# set and get

is(code(kv_put('cow', 'moo')), 204, 'set');
is_deeply([$m->get('cow')], ['moo', 0, -1], 'set - stored');
is(content(kv_get('cow')), '200 moo', 'get');
is(code(kv_put('cow', 'muh')), 204, 'set again');
is($m->get('cow'), 'muh', 'set again - stored');

$m->set('direct', "a\r\nb\0c");
is(content(kv_get('direct')), "200 a\r\nb\0c", 'get what others stored');

$r = kv_get('nothing');
is(code($r), 404, 'get - miss');

is(code(kv_put('flags', 'x', headers => ['X-Memcache-Flags: 4294967295'])),
	204, 'flags');
is_deeply([$m->get('flags')], ['x', 4294967295, -1], 'flags - stored');
$r = kv_get('flags');
is(header($r, 'X-Memcache-Flags'), 4294967295, 'flags - returned');
like(header($r, 'ETag'), qr/^"\d+-[0-9a-f]{8}"$/, 'cas');
is(header($r, 'Content-Length'), 1, 'length');
is(header($r, 'X-Content-Type-Options'), 'nosniff', 'type not guessed');
is(header(kv_get('cow'), 'X-Memcache-Flags'), 0, 'no flags');
is(header(kv_get('cow', location => '/html/'), 'Content-Type'), 'text/html',
	'default type');

for my $flags ('4294967296', '-1', 'x', '') {
	is(code(kv_put('cow', 'y', headers => ["X-Memcache-Flags: $flags"])),
		400, "bad flags '$flags'");
}

is($m->get('cow'), 'muh', 'bad flags - not stored');

is(code(kv_put('ttl', 'x', args => 'ttl=1000')), 204, 'ttl');
like(($m->get('ttl'))[2], qr/^(1000|99\d)$/, 'ttl - stored');
is(code(kv_put('ttl', 'x', args => 'ttl=5184000')), 204, 'ttl of 60 days');
cmp_ok(($m->get('ttl'))[2], '>', 5183900, 'ttl of 60 days - stored');

for my $ttl ('x', '-1', '', '4294967296') {
	is(code(kv_put('cow', 'y', args => "ttl=$ttl")), 400,
		"bad ttl '$ttl'");
}

$r = kv_head('flags');
is(content($r), '200 ', 'head');
is(header($r, 'Content-Length'), 1, 'head - length');
is(header($r, 'X-Memcache-Flags'), 4294967295, 'head - flags');
is(content(kv_head('nothing')), '404 ', 'head - miss');

# add and replace

is(code(kv_put('add', 'one', headers => ['If-None-Match: *'])), 201, 'add');
is($m->get('add'), 'one', 'add - stored');
is(code(kv_put('add', 'two', headers => ['If-None-Match: *'])), 412,
	'add - exists');
is($m->get('add'), 'one', 'add - kept');

is(code(kv_put('add', 'three', headers => ['If-Match: *'])), 204, 'replace');
is($m->get('add'), 'three', 'replace - stored');
is(code(kv_put('nothing', 'x', headers => ['If-Match: *'])), 412,
	'replace - missing');
is($m->get('nothing'), undef, 'replace - not stored');

# compare-and-swap

my $cas = header(kv_get('cow'), 'ETag');

is(code(kv_put('cow', 'cas', headers => ["If-Match: $cas"])), 204, 'cas');
is($m->get('cow'), 'cas', 'cas - stored');
is(code(kv_put('cow', 'x', headers => ["If-Match: $cas"])), 412,
	'cas - changed');
is(code(kv_put('nothing', 'x', headers => ["If-Match: $cas"])), 412,
	'cas - missing');
is($m->get('cow'), 'cas', 'cas - kept');
is(code(kv_put('cow', 'x', headers => ['If-Match: "x"'])), 412,
	'cas - not one of ours');

# append and prepend

is(code(kv_post('add', 'append', value => '>')), 204, 'append');
is(code(kv_post('add', 'prepend', value => '<')), 204, 'prepend');
is($m->get('add'), '<three>', 'append and prepend - stored');
is(code(kv_post('nothing', 'append', value => 'x')), 404, 'append - missing');
is(code(kv_post('nothing', 'prepend', value => 'x')), 404,
	'prepend - missing');
is($m->get('nothing'), undef, 'append and prepend - not stored');

# incr and decr

is(code(kv_post('n', 'incr=5')), 404, 'incr - missing');
is(content(kv_post('n', 'incr=5&initial=10&ttl=1000')), '200 10', 'initial');
like(($m->get('n'))[2], qr/^(1000|99\d)$/, 'initial - ttl');
is(content(kv_post('n', 'incr=5')), '200 15', 'incr');
is(content(kv_post('n', 'incr=1&initial=10')), '200 16',
	'incr - initial of no use');
is(content(kv_post('n', 'decr=6')), '200 10', 'decr');
like($m->get('n'), qr/^10 *$/, 'incr and decr - stored');
is(content(kv_post('n', 'decr=11')), '200 0', 'decr - stops at 0');

is(content(kv_post('big', 'incr=1&initial=18446744073709551615')),
	'200 18446744073709551615', '64 bits');
is(content(kv_post('big', 'incr=2')), '200 1', 'incr - wraps');

for my $n ('x', '-1', '', '18446744073709551616') {
	is(code(kv_post('n', "incr=$n")), 400, "bad number '$n'");
}

is(content(kv_post('add', 'incr=1')), "409 the item is no number: nothing was"
	. " done\n", 'incr - no number');
is(code(kv_post('add', 'decr=1&initial=1')), 409, 'decr - no number');

# arguments that are not known, whatever they may have meant

for (['PUT', 'tll=5', 'tll'], ['PUT', 'ttl=5&ttl=6', 'ttl'],
	['POST', 'append&ttl=5', 'ttl'], ['POST', 'incr=1&ttl=5', 'ttl'],
	['POST', 'invalidate=5', 'invalidate'], ['DELETE', 'delay=1', 'delay'],
	['GET', 'keys=a', 'keys'], ['GET', "%0a<b>\xff=", '%0a<b>\xff'])
{
	my ($method, $args, $name) = @$_;
	my $r = kv_request($method, 'cow', args => $args, value => 'x');
	is(content($r), "400 the argument $name is not right here: nothing was done\n",
		"$method ?$args");
	is(header($r, 'Content-Type'), 'text/plain', "$method ?$args - type");
}
is(content(kv_get('cow')), '200 cas', 'get after an error');

# touch

is(code(kv_post('cow', 'touch=500')), 204, 'touch');
like(($m->get('cow'))[2], qr/^(500|49\d)$/, 'touch - stored');
is(code(kv_post('nothing', 'touch=500')), 404, 'touch - missing');
is(content(kv_post('cow', 'gat=700')), '200 cas', 'get and touch');
like(($m->get('cow'))[2], qr/^(700|69\d)$/, 'get and touch - stored');

# delete

$cas = header(kv_get('add'), 'ETag');

is(code(kv_delete('add', headers => ['If-Match: "1-00000000"'])), 412,
	'delete - changed');
is($m->get('add'), '<three>', 'delete - kept');
is(code(kv_delete('add', headers => ["If-Match: $cas"])), 204, 'delete, cas');
is($m->get('add'), undef, 'delete, cas - gone');
is(code(kv_delete('cow')), 204, 'delete');
is(code(kv_delete('cow')), 404, 'delete - missing');

# multi-get

$m->set($_, "<$_>") for 'a', 'b', 'c,d';
$r = kv_get('', args => 'keys=a,none,c%2Cd,b,a');
is(content($r), '200 <a><c,d><b><a>', 'multi-get');
is(header($r, 'X-Memcache-Hits') . ' ' . header($r, 'X-Memcache-Misses'),
	'4 1', 'multi-get - hits and misses');
is(code(kv_get('', args => 'keys=' . join ',', 1 .. 101)), 400,
	'multi-get - too many');

# servers

like(content(kv_get('', args => 'servers')), qr/^200\ 127\.0\.0\.1:\d+
	\ 1\.\d+\.\d+\S*\ live\ min=0\ smax=1\ max=1\ ttl=60\ weight=1\ open=1
	\ idle=\d\ pending=\d\ queued=0\n$/x, 'servers');

# what is no operation

is(code(kv_post('a', 'nothing')), 400, 'post');
$r = kv_request('OPTIONS', 'a');
is(code($r) . ' ' . (header($r, 'Allow') // ''),
	'405 GET, HEAD, PUT, POST, DELETE', 'method');
is(code(kv_get('a', location => '/off/')), 404, 'off');

# a CLIENT_ERROR closes a connection
cmp_ok($m->connections, '<=', 2, 'connections');

###############################################################################
