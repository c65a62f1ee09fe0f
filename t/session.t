#!/usr/bin/perl

# Tests for examples/session: a cookie, and a session in memcached.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_start /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# One that nobody was given.
use constant NONE => '0123456789abcdef0123456789abcdef';

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('memcached')
	->plan(40);

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

like(check($t, 'memcache_session sid;'), qr/test is successful/, 'a name');
like(check($t, 'memcache_session sid 1h optional;'), qr/test is successful/,
	'all that there is');
for my $bad ('sid 0', 'sid x') {
	like(check($t, "memcache_session $bad;"), qr/\[emerg\] .*
		"memcache_session"\ directive\ has\ an\ invalid\ time,\ it
		\ must\ be\ 1s\ or\ longer\ in/x, "bad - $bad");
}
like(check($t, 'memcache_session sid 1h no;'), qr/\[emerg\] .*
	has\ an\ invalid\ parameter,\ there\ is\ "optional"\ in/x, 'bad - word');
like(check($t, 'memcache_session sid; memcache_session sid;'),
	qr/"memcache_session" directive is duplicate in/, 'bad - duplicate');
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

    memcache_session sid 1000s;
    add_header X-Id $memcache_session_id always;
    add_header X-Session $memcache_session always;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
        }

        location /fallback {
            try_files /none @named;
        }

        location @named {
            return 200 "session $memcache_session_id";
        }

        location /status {
            memcache_status;
        }

        location /ssi {
            ssi          on;
            default_type text/html;
        }

        location /optional {
            memcache_session sid 1000s optional;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;

        location / {
        }

        location /optional {
            memcache_session sid 1000s optional;
        }
    }
}

EOF

$text =~ s/<load>/$load/;

my $m = Test::Memcached->start($t, port(8081));

$t->write_file_expand('nginx.conf', conf($text));
$t->write_file('index.html', 'page');
$t->write_file('optional', 'page');
$t->write_file('ssi',
	'[<!--#include virtual="/a" --><!--#include virtual="/b" -->]');
$t->write_file('a', 'a');
$t->write_file('b', 'b');
$t->run();

# a new one

my $r = page('/index.html');
like(header($r, 'Set-Cookie'),
	qr/^sid=[0-9a-f]{32}; Path=\/; Secure; HttpOnly; SameSite=Lax$/,
	'new - cookie');
my ($id) = header($r, 'Set-Cookie') =~ /sid=(\w+)/;
is(header($r, 'X-Id'), $id, 'new - id');
is(header($r, 'X-Session'), undef, 'new - empty');
is(content($r), '200 page', 'new - page');
is($m->get("session:$id"), '', 'new - stored');
cmp_ok(ttl("session:$id"), '>', 900, 'new - expiry');
isnt(header(page('/index.html'), 'X-Id'), $id, 'new - another one');

# one that is there

$m->set("session:$id", 'mary', 0);
is(ttl("session:$id"), -1, 'known - stored by an application');
$r = page('/index.html', "a=b; sid=$id; c=d");
is(header($r, 'X-Session'), 'mary', 'known - what it holds');
is(header($r, 'X-Id'), $id, 'known - id');
is(header($r, 'Set-Cookie'), undef, 'known - no cookie');
cmp_ok(ttl("session:$id"), '>', 900, 'known - it lives on');

# what a client says becomes no session, and what cannot be an ID no key

my $asked = asked();

for my $bad (NONE, substr(NONE, 1), NONE . '0', uc NONE, 'g' . substr(NONE, 1),
	'../' x 10 . 'ab', "\x01" x 32, "\xff" x 32, 'a' x 5000)
{
	my $name = length $bad > 40 ? 5000 : $bad =~ s/[^ -~]/?/gr;
	my $r = page('/index.html', "sid=$bad");
	my $new = header($r, 'X-Id') // '';

	ok($new =~ /^[0-9a-f]{32}$/ && $new ne $bad
		&& $r =~ /Set-Cookie: sid=$new;/, "not a session - $name");
}
is($m->get('session:' . NONE), undef, 'not a session - not stored');
is(asked() - $asked, 1, 'not a session - one was asked for');

# one session for all of a request

$r = page('/');
is(scalar(() = $r =~ /^Set-Cookie:/mg), 1, 'index - one cookie');
is(header($r, 'X-Id'), ($r =~ /sid=(\w+)/)[0], 'index - its id');
like(page('/fallback'), qr/sid=(\w+);.*^session \1/ms, 'named location');
$r = page('/ssi', "sid=$id");
is(content($r) . header($r, 'X-Id'), "200 [ab]$id", 'subrequests');

# without memcached

$r = page('/index.html', '', 8082);
is(code($r), 503, 'down');
is(header($r, 'Set-Cookie'), undef, 'down - no cookie');
$r = page('/optional', "sid=$id", 8082);
is(content($r), '200 page', 'down - optional');
is(header($r, 'X-Id'), undef, 'down - optional, no session');

# a client that goes away, and one that waits

$m->pause();
my $gone = start_page("sid=$id");
$gone->close();
my $slow = start_page("sid=$id");
$m->resume();
like(join('', <$slow>), qr/X-Session: mary/, 'slow');

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

# Seconds until an item expires, -1 for never.
sub ttl {
	my ($key) = @_;

	$m->send("mg $key t\r\n");
	return $m->line() =~ /^HD t(-?\d+)/ ? $1 : 'none';
}

# How many sessions were looked for.
sub asked {
	return server_status(port(8081))->{operations}{get_and_touch};
}

# What "nginx -t" says to a line of the http block.
sub check {
	my ($t, $line, $modules) = @_;
	my $text = $globals . "http {\n%%TEST_GLOBALS_HTTP%%\n$line\n"
		. "server { listen 127.0.0.1:8080; memcache_server 127.0.0.1; }\n}\n";

	$modules //= $load;
	$text =~ s/<load>/$modules/;
	return check_config($t, $text);
}

###############################################################################
