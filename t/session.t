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
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# One that nobody was given, and two that an application has chosen.
use constant NONE => '0123456789abcdef0123456789abcdef';
use constant { KNOWN => 'a' x 32, OTHER => 'b' x 32 };

my $t = Test::Nginx->new()->has(qw/http http_v2 proxy rewrite ssi/)
	->has_daemon('memcached')->plan(116);

my $globals = <<'EOF';

%%TEST_GLOBALS%%

<load>

daemon off;

events {
}

EOF

my $load = '%%LOAD_MEMCACHE%% %%LOAD_MEMCACHE_SESSION%%';

###############################################################################

# what "nginx -t" says

my $in = 'location / { memcache_session';

like(check($t, $_), qr/test is successful/, "good - $_")
	for 'memcache_session sid;', 'memcache_session sid 1h;',
	'memcache_session __Host-sid; memcache_timeout 1s;',
	'memcache_session off;';
like(check($t, '', $load, $_), qr/test is successful/, "good - $_")
	for "$in sid required; }", "$in sid 1h required; }",
	"memcache_session sid; $in off; }";

for my $bad ('sid 0', 'sid x', 'sid 69y', 'sid 200y') {
	like(check($t, "memcache_session $bad;"), qr/\[emerg\] .*
		"memcache_session"\ directive\ has\ an\ invalid\ time,\ it
		\ must\ be\ from\ 1s\ to\ 68y\ in/x, "bad - $bad");
}
like(check($t, 'memcache_session sid 1h no;'), qr/\[emerg\] .*
	has\ an\ invalid\ parameter,\ there\ is\ "required"\ in/x, 'bad - word');
like(check($t, "memcache_session $_;"), qr/\[emerg\] .*
	has\ an\ invalid\ name\ of\ a\ cookie\ in/x, "bad - $_")
	for 'a=b', '"a;b"', '"a b"', '"a\r\nb"', '"a,b"', "\xff", '""';
like(check($t, 'memcache_session off 1h;'), qr/has a parameter beside "off" in/,
	'bad - off');
like(check($t, "$_"), qr/has "required" outside of a location in/,
	'R22 bad - required for all') for 'memcache_session sid 1h required;',
	'server { memcache_session sid required; }';
like(check($t, 'memcache_session sid; memcache_session sid;'),
	qr/"memcache_session" directive is duplicate in/, 'bad - duplicate');
like(check($t, 'memcache_session off; memcache_session sid;'),
	qr/"memcache_session" directive is duplicate in/, 'bad - off and on');
like(check($t, 'memcache_session;'), qr/invalid number of arguments/,
	'bad - no name');
like(check($t, 'memcache_session sid;', '%%LOAD_MEMCACHE_SESSION%%'),
	qr/\[emerg\] .*"memcache_session" directive needs ngx_http_memcache_m/,
	'bad - without the module');

###############################################################################

my $text = $globals . <<'EOF';

http {
    %%TEST_GLOBALS_HTTP%%

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

    # the same where memcached is down
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;

        location / {
        }

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }

        location /required {
            memcache_session sid 1000s required;
        }

        # it is looked up before the request comes to the last two
        location /try {
            try_files /none @required;
        }

        location /missing {
            error_page 404 = @required;
        }

        location @required {
            memcache_session sid 1000s required;
            try_files /required =404;
        }

        location /status {
            memcache_status;
        }
    }

    # and where another server stands in for one that hangs
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8085 max=1;
        memcache_server 127.0.0.1:8087 max=1;
        memcache_failover next;
        memcache_timeout 200ms;
        memcache_connect_timeout 200ms;
        memcache_max_fails 1;

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }

        location /required/ {
            memcache_session sid 1000s required;
            proxy_pass http://127.0.0.1:8086/app/;
        }
    }

    # the application: it is offered an ID, and takes it or not
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_session off;
        add_header X-Accel-Session $accel always;
        add_header Cache-Control "public, max-age=3600";

        location / {
            set $accel "";
            return 200 "id $http_session_id";
        }

        location /app/new {
            set $accel new;
            return 200 "offered $http_session_new";
        }

        location /app/renew {
            set $accel renew;
            return 200 "offered $http_session_new";
        }

        location /app/else {
            set $accel RENEW;
            return 200 "offered $http_session_new";
        }

        location /app/none {
            set $accel "";
            return 404;
        }
    }
}

EOF

$text =~ s/<load>/$load/;

my $m = Test::Memcached->start($t, port(8081));

$t->write_file_expand('nginx.conf', conf($text));
$t->write_file('index.html', 'page');
$t->write_file($_, 'page') for 'off', 'other', 'required';
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
cmp_ok(ttl("session:$id"), '>', 900, 'known - it lives on');
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

# R22: without memcached

for my $uri ('/index.html', '/status', '/app/page', '/required', '/try',
	'/missing')
{
	$r = page($uri, '', 8082);
	is(code($r), 200, "R22 down, $uri - without a cookie");
	$r = page($uri, "sid=$id", 8082);
	is(code($r), $uri =~ /required|try|missing/ ? 503 : 200, "R22 down, $uri");
	is(header($r, 'Set-Cookie'), undef, "R22 down, $uri - no cookie");
}
is(header(page('/index.html', "sid=$id", 8082), 'X-State'), 'unknown',
	'R22 down - state');

# a client that goes away, and one that waits

$m->pause();
my $gone = start_page('sid=' . OTHER);
$gone->close();
my $slow = start_page('sid=' . OTHER);
$m->resume();
like(join('', <$slow>), qr/X-Session: other/, 'slow');

###############################################################################

# R42: a server hangs, and the one that stands in for it knows no sessions

my @m = map { Test::Memcached->start($t, port($_)) } 8085, 8087;
my $home = kept(@m);
my $before = page('/app/page', "sid=$home", 8084);
is(header($before, 'X-State'), 'found', 'R42 before');

my %seen;
$m[0]->pause();

# until it is down and the other one has been asked for a while
my $enough = 0;
ok(wait_for(sub {
	$r = page('/app/new', "sid=$home", 8084);
	$seen{header($r, 'X-State')}++;
	$seen{cookie}++ if header($r, 'Set-Cookie');
	$enough++ if asked_of(8087) > 3;
	return $enough > 20;
}), 'R42 down - the other one is asked');
is(join(' ', sort keys %seen), 'unknown', 'R42 down - nobody knows, no cookie');
is(code(page('/required/page', "sid=$home", 8084)), 503, 'R42 down - required');
like(header(page('/app/renew', "sid=$home", 8084), 'Set-Cookie'), qr/^sid=/,
	'R42 down - a login works');
like(header(page('/app/new', '', 8084), 'Set-Cookie'), qr/^sid=/,
	'R42 down - a new one');

$m[0]->resume();
ok(wait_for(sub { header(page('/app/new', "sid=$home", 8084), 'X-State')
	eq 'found' }), 'R42 back - the session is there');

###############################################################################

sub page {
	my ($uri, $cookie, $port) = @_;

	return http(join("\x0d\x0a", "GET $uri HTTP/1.0", 'Host: localhost',
		$cookie ? "Cookie: $cookie" : (), '', ''),
		PeerAddr => '127.0.0.1:' . port($port // 8080));
}

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

# How many sessions were looked for.
sub asked { asked_of(8081) }

sub asked_of {
	return server_status(port($_[0]))->{operations}{get_and_touch};
}

# A session that is kept by the first of the servers: the second does not miss it.
sub kept {
	my ($first, $second) = @_;

	for my $n (1 .. 50) {
		my $id = sprintf '%032x', $n;
		$first->set("session:$id", 'mary');
		return $id if header(page('/app/page', "sid=$id", 8084),
			'X-State') eq 'found';
	}

	die "No session\n";
}

# What "nginx -t" says to lines of the http block, and of a server block.
sub check {
	my ($t, $line, $modules, $server) = @_;
	my $text = $globals . "http {\n%%TEST_GLOBALS_HTTP%%\n$line\n"
		. "server { listen 127.0.0.1:8080; memcache_server 127.0.0.1; "
		. ($server // '') . " }\n}\n";

	$modules //= $load;
	$text =~ s/<load>/$modules/;
	return check_config($t, $text);
}

###############################################################################
