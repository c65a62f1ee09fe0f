#!/usr/bin/perl

# Tests for examples/session: a cookie, and a session in memcached.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_start /;
use Test::Nginx::H2;
use Test::Nginx::Memcache;
use Test::Nginx::Session;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy rewrite ssi/)
	->has_daemon('memcached')->plan(64);

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' =~ s/%%APPLICATION%%/application()/er, 'session'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    memcache_session sid 1000s;
    add_header X-Id $memcache_session_id always;
    add_header X-Session $memcache_session always;
    add_header X-State $memcache_session_state always;

    proxy_set_header Session-Id $memcache_session_id;
    proxy_set_header Session-New $memcache_session_new;
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8088 http2;
        server_name  localhost;

        location / {
        }

        location /fallback {
            try_files /none @named;
        }

        location @named {
            return 200 "session $memcache_session_id";
        }

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }

        location /cached/ {
            proxy_pass http://127.0.0.1:8086/app/;
            proxy_cache cache;
            proxy_cache_valid any 1h;
            proxy_ignore_headers Cache-Control;
        }

        location /expires/ {
            proxy_pass http://127.0.0.1:8086/app/;
            expires 1h;
            add_header Cache-Control public;
        }

        location /stranger/ {
            proxy_pass http://127.0.0.1:8086/app/;
            proxy_set_header Session-Id "";
        }

        location /moved/ {
            proxy_pass http://127.0.0.1:8086/app/;
            proxy_intercept_errors on;
            error_page 404 = /app/new;
        }

        location /off {
            memcache_session off;

            location /off/on {
                memcache_session sid;
            }
        }

        location /other {
            memcache_session other;
        }

        location /status {
            memcache_status;
        }

        location /ssi {
            ssi          on;
            default_type text/html;
        }
    }

%%APPLICATION%%

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->write_file('index.html', 'page');
$t->write_file($_, 'page') for 'off', 'other';
mkdir $t->testdir() . '/off.d';
$t->write_file('ssi',
	'[<!--#include virtual="/a" --><!--#include virtual="/b" -->]');
$t->write_file('a', 'a');
$t->write_file('b', 'b');
$t->run();

my $r;

###############################################################################

# R22: who brings no cookie gets none, and memcached is not asked

for my $request ('GET /index.html', 'HEAD /index.html', 'GET /', 'GET /none',
	'OPTIONS /index.html', 'GET /fallback', 'GET /status', 'GET /app/page',
	'GET /app/none', 'OPTIONS /app/page', 'GET /ssi')
{
	$r = http("$request HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a\x0d\x0a");
	is(header($r, 'Set-Cookie'), undef, "R22 $request - no cookie");
}
is(asked(), 0, 'R22 - nobody was asked');
is($m->stats()->{curr_items}, 0, 'R22 - nothing was stored');

# a new one, when the application begins it

$r = page('/app/new');
like(header($r, 'Set-Cookie'),
	qr/^sid=[0-9a-f]{32}; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
	'new - cookie');
my ($id) = header($r, 'Set-Cookie') =~ /sid=(\w+)/;
is(content($r), "200 offered $id", 'new - the one that was offered');
is(header($r, 'X-Accel-Session'), undef, 'new - said to nobody else');
is(controls($r), 'private, no-store', 'R22 new - private');
isnt(header(page('/app/new'), 'Set-Cookie') =~ /(sid=\w+)/, "sid=$id",
	'new - another one');
is(controls(page('/app/page')), 'public, max-age=3600', 'page - not private');
like(controls(page('/expires/new')), qr/^private, no-store\b/,
	'R22 new - private, whatever expires says');
is(header(page('/app/else'), 'Set-Cookie'), undef, 'another word');
is(header(page('/app/else'), 'X-Accel-Session'), undef, 'another word - hidden');
like(page('/moved/none'), qr/^Set-Cookie: sid=(\w+);.*^offered \1$/ms,
	'new - behind an internal redirect');

# one that is there

$m->set("session:$id", 'mary', 0);
is(ttl("session:$id"), -1, 'known - stored by an application');
$r = page('/index.html', "a=b; sid=$id; c=d");
is(header($r, 'X-Session'), 'mary', 'known - what it holds');
is(header($r, 'X-Id'), $id, 'known - id');
is(header($r, 'X-State'), 'found', 'known - state');
is(header($r, 'Set-Cookie'), undef, 'known - no cookie');
ok(wait_for(sub { ttl("session:$id") > 900 }), 'known - it lives on');
is(content(page('/app/page', "sid=$id")), "200 id $id",
	'known - the application has it');

# R22: at login there is a new ID, also where somebody else has planted one

is(header(page('/app/new', "sid=$id"), 'Set-Cookie'), undef,
	'known - new leaves it');
$r = page('/app/renew', "sid=$id");
like(header($r, 'Set-Cookie'), qr/^sid=\w{32};/, 'R22 renew - cookie');
unlike(header($r, 'Set-Cookie'), qr/$id/, 'R22 renew - another one');
$r = page('/app/new', 'sid=' . NONE);
is(header($r, 'X-State'), 'none', 'R22 planted - nobody knows it');
is(header($r, 'X-Id'), undef, 'R22 planted - no id');
like(header($r, 'Set-Cookie'), qr/^sid=\w{32};/, 'R22 planted - a new one');
unlike(header($r, 'Set-Cookie'), qr/${\NONE}/, 'R22 planted - not that one');
is($m->get('session:' . NONE), undef, 'R22 planted - not stored');

# R22: of several cookies, one is good

$m->set('session:' . KNOWN, 'known');
for my $cookies (
	['bad, good', 'sid=bad; sid=' . KNOWN],
	['good, bad', 'sid=' . KNOWN . '; sid=bad'],
	['unknown, good', 'sid=' . NONE . '; sid=' . KNOWN],
	['others', 'xsid=' . NONE . ';sidx=' . NONE . ';sid=' . KNOWN . ';'],
	['as many as are looked for', ('sid=' . NONE . '; ') x 7 . 'sid=' . KNOWN],
	['two lines', 'sid=' . NONE . "\x0d\x0aCookie: sid=" . KNOWN],
	['no ids', ('sid=' . uc(KNOWN) . '; ') x 50 . 'sid=' . KNOWN],
) {
	is(header(page('/index.html', $cookies->[1]), 'X-Id'), KNOWN,
		"R22 several - $cookies->[0]");
}
my $h2 = Test::Nginx::H2->new(port(8088));
is(($h2->replies($h2->request('GET', '/app/page', cookies => ['a=b',
	'sid=' . NONE, 'sid=' . KNOWN, 'c=d'])))[0], '200 id ' . KNOWN,
	'R22 several - HTTP/2');
$r = page('/index.html', ('sid=' . NONE . '; ') x 8 . 'sid=' . KNOWN);
is(header($r, 'X-State'), 'none', 'R22 several - one more');
$m->set('session:' . OTHER, 'other');
is(header(page('/index.html', 'sid=' . OTHER . '; sid=' . KNOWN), 'X-Session'),
	'other', 'several - the first that is known');

# what cannot be an ID is no key

my $asked = asked();

for my $bad (substr(NONE, 1), NONE . '0', uc NONE, 'g' . substr(NONE, 1),
	'../' x 10 . 'ab', "\x01" x 32, "\xff" x 32, 'a' x 5000)
{
	page('/index.html', "sid=$bad");
}
is(asked(), $asked, 'not a session - not asked for');

# R20: a session's line ends end up in no header

$m->set('session:' . KNOWN, "a\r\nX-Bad: b\0\x7f\tc\xff");
$r = page('/index.html', 'sid=' . KNOWN);
is(header($r, 'X-Session'), "aX-Bad: b\tc\xff", 'R20 control characters');
is(header($r, 'X-Bad'), undef, 'R20 control characters - no header');

# R22: off is off, for a location, and on again within it

$asked = asked();
$r = page('/off', 'sid=' . KNOWN . '; off=' . KNOWN);
is(header($r, 'Set-Cookie') // header($r, 'X-Id') // header($r, 'X-State'),
	undef, 'R22 off');
is(asked(), $asked, 'R22 off - not asked for');
is(header(page('/off/on', 'sid=' . KNOWN), 'X-Id'), KNOWN, 'R22 off - on again');
is(header(page('/other', 'sid=' . KNOWN), 'X-State'), 'none', 'another name');

# R22: what was said to one client is not said to the next

like(page('/cached/renew'), qr/^Set-Cookie: sid=/m, 'R22 cached - miss');
$r = page('/cached/renew', 'sid=' . KNOWN);
is(header($r, 'Set-Cookie') // header($r, 'X-Accel-Session'), undef,
	'R22 cached - hit');

# one session for all of a request

is(header(page('/', 'sid=' . KNOWN), 'X-Id'), KNOWN, 'index - its id');
like(page('/fallback', 'sid=' . KNOWN), qr/^session ${\KNOWN}/m,
	'named location');
$asked = asked();
$r = page('/ssi', 'sid=' . KNOWN);
is(content($r) . header($r, 'X-Id'), '200 [ab]' . KNOWN, 'subrequests');
is(asked(), $asked + 1, 'subrequests - asked once');

# an application that takes what it was not offered

$r = page('/stranger/new');
is(header($r, 'Set-Cookie'), undef, 'not offered');
like($t->read_file('error.log'), qr/\[error\].*"X-Accel-Session"\ of\ an
	\ application\ that\ was\ not\ given\ \$memcache_session_new/x,
	'not offered - logged');

# a client that goes away, and one that waits

$m->pause();
my $gone = start_page('sid=' . OTHER);
$gone->close();
my $slow = start_page('sid=' . OTHER);
$m->resume();
like(join('', <$slow>), qr/X-Session: other/, 'slow');

###############################################################################

sub start_page {
	my ($cookie) = @_;

	return http_start(join "\x0d\x0a", 'GET /index.html HTTP/1.0',
		'Host: localhost', "Cookie: $cookie", '', '');
}

# What caches are told, all of it.
sub controls {
	my ($r) = @_;
	return join ', ', $r =~ /^Cache-Control: (.*?)\x0d?$/mg;
}

# Seconds until an item expires, -1 for never.
sub ttl {
	my ($key) = @_;

	$m->send("mg $key t\r\n");
	return $m->line() =~ /^HD t(-?\d+)/ ? $1 : 'none';
}

sub asked { asked_of(8081) }

###############################################################################
