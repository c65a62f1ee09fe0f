#!/usr/bin/perl

# Tests for memcache module: the example sibling that limits rates.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use Digest::MD5 qw/ md5 /;
use MIME::Base64 qw/ encode_base64url /;

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http ssi rewrite/)->has_daemon('memcached')
	->plan(101);

my $config = <<'EOF';

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE_RATE_LIMIT%%
%%LOAD_MEMCACHE%%

daemon off;

worker_processes 3;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=2;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    add_header X-Worker $pid always;
    default_type text/html;

    server {
        listen       127.0.0.1:8080 reuseport;
        server_name  localhost;

        # windows of a day: a test does not see two of them
        rate_limit server:$arg_k limit=3 window=1d;

        location /inherited { }
        location /off { rate_limit off; }
        location /many { rate_limit many:$arg_k limit=50 window=1d; }
        location /ip { rate_limit $binary_remote_addr limit=1 window=1d; }
        location /empty { rate_limit $arg_k limit=1 window=1d; }
        location /long { rate_limit $arg_k limit=1 window=1d; }
        location /header { rate_limit $http_k limit=1 window=1d; }
        location /short { rate_limit short limit=1 window=2s; }
        location /index/ { rate_limit index:$arg_k limit=2 window=1d; }
        location /page {
            rate_limit page:$arg_k limit=1 window=1d;
            error_page 429 /429;
        }
        location = /429 { return 200 "sorry\n"; }
        location /ssi { ssi on; rate_limit ssi limit=2 window=1d; }
        location /rewritten {
            rewrite ^ /inherited?k=rewritten last;
        }
        location /denied {
            deny all;
            rate_limit denied limit=1 window=1d;
        }
        location /text { rate_limit text limit=1 window=1d; }
        location /any {
            satisfy any;
            deny all;
            rate_limit any limit=1 window=1d;
        }
    }

    # prefixes that leave little room, and none
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_prefix %%PREFIX%%;

        location /header { rate_limit $http_k limit=1 window=1d; }
    }

    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_prefix "%%BINARY%%";

        location /header { rate_limit $http_k limit=1 window=1d; }
    }

    # nobody is there
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_server 127.0.0.1:8084;

        rate_limit $binary_remote_addr limit=1 window=1m;

        location /default { }
        location /pass { rate_limit_down pass; }
        location /refuse { rate_limit_down refuse; }
    }
}

EOF

$config =~ s/%%PREFIX%%/'p' x 200/e;
$config =~ s/%%BINARY%%/' ' x 200/e;

$t->write_file_expand('nginx.conf', conf($config));
mkdir $t->testdir() . '/index';
$t->write_file($_, 'file') for qw! inherited off many ip empty long header short page
	any denied text index/index.html !;
$t->write_file($_, 'file') for qw! default pass refuse !;
$t->write_file('ssi', '<!--#include virtual="/inherited?k=ssi" -->' x 5);

my $m = Test::Memcached->start($t, port(8081));

$t->run();

my $r;

###############################################################################

# one after the other

for my $n (1 .. 3) {
	$r = http_get('/inherited?k=a');
	is(code($r), 200, "request $n");
	is(header($r, 'RateLimit-Limit'), 3, "request $n - limit");
	is(header($r, 'RateLimit-Remaining'), 3 - $n, "request $n - remaining");
	like(header($r, 'RateLimit-Reset'), qr/^\d+$/, "request $n - reset");
	is(header($r, 'Retry-After'), undef, "request $n - no retry");
}

$r = http_get('/inherited?k=a');
is(code($r), 429, 'one more');
is(header($r, 'RateLimit-Limit'), 3, 'one more - limit');
is(header($r, 'RateLimit-Remaining'), 0, 'one more - remaining');
is(header($r, 'Retry-After'), header($r, 'RateLimit-Reset'), 'one more - retry');
cmp_ok(header($r, 'Retry-After'), '<=', 86400, 'one more - in this window');
like($t->read_file('error.log'), qr/\[warn\].*rate_limit: more than 3 requests/,
	'one more - logged');

is(code(http_get('/inherited?k=b')), 200, 'another key');

# many at once, in all workers: exactly as many as may pass do

for my $round (1 .. 5) {
	my @r = http_many(map { "GET /many?k=$round HTTP/1.0\r\n\r\n" } 1 .. 150);
	my %seen = map { header($_, 'X-Worker') => 1 } @r;
	my @passed = grep { code($_) eq '200' } @r;

	is(scalar @passed, 50, "many, round $round - passed");
	is(scalar(grep { code($_) eq '429' } @r), 100,
		"many, round $round - refused");
	is(join(' ', sort { $a <=> $b } map { header($_, 'RateLimit-Remaining') }
		@passed), join(' ', 0 .. 49), "many, round $round - remaining");
	cmp_ok(scalar keys %seen, '>', 1, "many, round $round - workers")
		if $round == 1;
}

# keys

is(join(' ', map { code(http_get('/ip')) } 1 .. 2), '200 429', 'binary key');
is(join(' ', map { code(http_get('/empty')) } 1 .. 3), '200 200 200',
	'empty key');
is(header(http_get('/empty'), 'RateLimit-Limit'), undef, 'empty key - no header');
is(join(' ', map { code(http_get('/long?k=' . 'x' x $_)) } 500, 501, 500),
	'200 200 429', 'long keys');

# R50: a short key that is the digest of a long one, with or without a mark

my ($long, $digest) = map { @$_ } grep { $_->[1] !~ /[\0\r\n]|^\s|\s\z/ }
	map { ["y" x 200 . $_, md5("y" x 200 . $_)] } 1 .. 100;
is(join(' ', map { code(http_get_as($_)) } "#$digest", "=$digest",
	"=#$digest", $digest), '200 200 200 200', 'R50 short keys');
is(join(' ', map { code(http_get_as($_)) } $long, $long), '200 429',
	'R50 the long key - nobody has used it up');

# a client chooses no key that is not counted

for my $key ('a', 'a b', 'a' . ' b' x 17, 'x' x 22, 'x' x 34,
	'x' x 95, 'x' x 101, "\x01" x 16, "\xff\x7f" x 80, 'y' x 1000)
{
	my $what = length($key) . ' bytes, ' . unpack('H8', $key);
	is(join(' ', map { code(http_get_as($key)) } 1, 2), '200 429',
		"key of $what");
	is(join(' ', map { code(http_get_as($key, 8085)) } 1, 2), '200 429',
		"key of $what - long prefix");
}
unlike($t->read_file('error.log'), qr/rate_limit: not counted/,
	'all keys are counted');
is(join(' ', map { code(http_get_as('a', 8086)) } 1, 2), '500 500',
	'a prefix that leaves no room - refused');
like($t->read_file('error.log'), qr/rate_limit: refused: the key of \d+ bytes is too long/,
	'a prefix that leaves no room - logged');

is(join(' ', map { code(http_get('/off')) } 1 .. 5), '200 200 200 200 200',
	'off');

# each request counts once, whatever becomes of it

is(join(' ', map { content(http_get('/index/?k=1')) } 1 .. 2),
	'200 file 200 file', 'internal redirect counts once');
is(code(http_get('/index/?k=1')), 429, 'internal redirect - limited');
is(code(http_get('/page?k=1')), 200, 'error_page - before');
$r = http_get('/page?k=1');
is(content($r), "429 sorry\n", 'error_page');
is(header($r, 'Retry-After') > 0, 1, 'error_page - header');
is(content(http_get('/ssi')), '200 ' . 'file' x 5, 'subrequests do not count');
is(join(' ', map { code(http_get('/rewritten')) } 1 .. 4), '200 200 200 429',
	'rewritten');
is(code(http_get('/any')), 403, 'does not give access');

is(join(' ', map { code(http_get('/denied')) } 1, 2), '403 429',
	'counted before deny');

# something else is stored where it is counted

is(code(http_get('/text')), 200, 'text - before');
my $name = 'rl:86400:' . int(time() / 86400) . ':'
	. encode_base64url(md5('text'));
is($m->get($name), 1, 'text - the name');
$m->set($name, 'text');
is(code(http_get('/text')), 500, 'text - refused, though rate_limit_down passes');
like($t->read_file('error.log'), qr/rate_limit: refused: CLIENT_ERROR/,
	'text - logged');

# windows end

http_get('/short') for 1 .. 2;
ok(wait_for(sub { code(http_get('/short')) eq '200' }), 'a new window');

# without memcached

my @down = (PeerAddr => '127.0.0.1:' . port(8083));
is(code(http_get('/default', @down)), 200, 'down - passes');
is(join(' ', map { code(http_get('/pass', @down)) } 1 .. 3), '200 200 200',
	'down - pass');
is(code(http_get('/refuse', @down)), 503, 'down - refuse');
like($t->read_file('error.log'), qr/memcache: server "[^"]*" is down/,
	'down - logged');
unlike($t->read_file('error.log'), qr/rate_limit: (?:refused|not counted): (?!the key of|CLIENT_ERROR)/,
	'R28 down - not by each request');

$t->stop();

# bad configurations

for (
	['rate_limit a;', '"rate_limit" needs "limit=" and "window="'],
	['rate_limit a limit=1;', '"rate_limit" needs "limit=" and "window="'],
	['rate_limit limit=5 window=1m;', '"rate_limit" needs a key before "limit=" and "window="'],
	['rate_limit a limit=0 window=1s;', 'invalid parameter "limit=0" in "rate_limit" directive, it must be a number from 1'],
	['rate_limit a limit=x window=1s;', 'invalid parameter "limit=x"'],
	['rate_limit a limit=1 window=0;', 'invalid parameter "window=0"'],
	['rate_limit a limit=1 window=2d;', 'invalid parameter "window=2d" in "rate_limit" directive, it must be a time from 1s to 24h'],
	['rate_limit a limit=1 limit=2 window=1s;', 'invalid parameter "limit=2"'],
	['rate_limit a burst=1;', 'invalid parameter "burst=1" in "rate_limit" directive, there are "limit=", "window=" and "cluster="'],
	['rate_limit $nothing limit=1 window=1s;', 'unknown "nothing" variable'],
	['rate_limit off; rate_limit off;', '"rate_limit" directive is duplicate'],
	['rate_limit_down maybe;', 'invalid value "maybe" in "rate_limit_down"'],
	['rate_limit_down pass; rate_limit_down pass;', 'is duplicate'],
) {
	my ($line, $expected) = @$_;
	like(check_config($t, $config =~ s/rate_limit off;/$line/r),
		qr/\[emerg\] .*\Q$expected\E/, $line);
}

like(check_config($t, $config =~ s/%%LOAD_MEMCACHE%%//r
	=~ s/^ *memcache_\w+ .*$//gmr),
	qr/\[emerg\] .*"rate_limit" requires ngx_http_memcache_module in /,
	'without the module');

###############################################################################

# A request that counts under this key, of any bytes.
sub http_get_as {
	my ($key, $port) = @_;
	return http("GET /header HTTP/1.0\x0d\x0aK: $key\x0d\x0a\x0d\x0a",
		PeerAddr => '127.0.0.1:' . port($port // 8080));
}

###############################################################################
