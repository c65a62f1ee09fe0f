#!/usr/bin/perl

# Tests for memcache module: the page of the diagnostic location in a browser.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir("$FindBin::Bin/.."); $FindBin::Bin .= '/..'; }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Browser;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('chromium')->has_daemon('chromedriver')->plan(52);

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

        memcache_server 127.0.0.1:8081 min=1;
        memcache_server 127.0.0.1:8082 min=1;
        memcache_retry 1s;

        location /kv/ {
            memcache_kv on;
        }

        location = /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  '<img src=x>';

        memcache_server 'unix:%%TESTDIR%%/a"<u>b</u>&\'.sock';

        location = /status {
            memcache_status;
        }
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);

my @m = map { Test::Memcached->start($t, port($_)) } 8081, 8082;

$t->run();

my $page = 'http://127.0.0.1:' . port(8080) . '/status';
my $browser = Test::Browser->start($t, port(8090));

###############################################################################

# as it is opened

ok(wait_for(sub {
	server_status($_)->{connections}{open} == 1 or return for port(8081),
		port(8082);
	return 1;
}), 'servers are connected');

$browser->open($page);

is($browser->text('h1'), 'memcache', 'page');
is($browser->js('return document.title'), 'memcache', 'title');
like($browser->text('.headline'), qr/2 of 3 servers answer/, 'summary');
is($browser->text('#client-0'), 'localhost', 'servers that use it');
my $address = '127.0.0.1:' . port(8081);
is($browser->text(row(1) . ' th'), $address, 'server');
like($browser->text(row(1) . ' .state'), qr/live$/, 'server - state');
like($browser->text(column(1, 'Connections')), qr/^1 of 8 /,
	'server - connections');

# live numbers, in place: elements, the focus, and what is typed stay

$browser->js('window.mine = document.querySelector(arguments[0]);
	document.querySelector("#key").focus()', column(1, 'Operations'));
$browser->type('#key', 'co');

kv_put('cow', 'moo');
kv_get('cow') for 1 .. 24;
kv_get('foo') for 1 .. 10;

ok(wait_for(sub { $browser->text(column(1, 'Operations')) =~ /\b25 in all\b/
	&& $browser->text(column(1, 'Hits')) =~ /^100\.0 % 0 missed$/
	&& $browser->text(column(2, 'Hits')) =~ /^0\.0 % 10 missed$/ }),
	'live numbers');
ok($browser->js('return mine.isConnected'), 'live numbers - in place');
is($browser->js('return document.activeElement.id + document.activeElement.value'),
	'keyco', 'live numbers - focus and input stay');

# what belongs to a server, by its name

ok(!$browser->js('return document.querySelector("#server-0-0").checkVisibility()'),
	'details - closed');
$browser->click(row(1) . ' th a');
ok($browser->js('return document.querySelector("#server-0-0").checkVisibility()'),
	'details - open');
like($browser->text('#server-0-0'), qr/min, smax, max per worker 1, 2, 8/,
	'details');
my $updated = $browser->text('#updated time');
ok(wait_for(sub { $browser->text('#updated time') ne $updated }), 'refreshed');
ok($browser->js('return document.querySelector("#server-0-0").checkVisibility()'),
	'details - stay open');

is_deeply([$browser->complaints()], [], 'no complaints');

# a server that is killed turns red, says so in words, and returns

my $quiet = colour(1);
$m[0]->kill_it();
ok(wait_for(sub {
	kv_get($_) for 'cow', 'foo';
	return $browser->text('.headline') =~ /\Q$address\E is down since [\d:]+ UTC/;
}), 'down - in words');
like($browser->text(row(1) . ' .state'), qr/down$/, 'down - state');
my $red = colour(1);
like($red, qr/^rgb\(25\d, 23\d, 23\d\)$/, 'down - red');
isnt($red, $quiet, 'down - not as before');
like($browser->js('return document.title'), qr/is down since/, 'down - title');
is($browser->js('return document.querySelector(".headline").getAttribute("role")'),
	'status', 'down - said to screen readers');
$browser->theme('dark');
like(colour(1), qr/^rgb\([45]\d, 2\d, 2\d\)$/, 'down - red in the dark');
$browser->theme('light');

$m[0] = Test::Memcached->start($t, port(8081));
ok(wait_for(sub { $browser->text(row(1) . ' .state') =~ /live$/ }), 'up again');
is(colour(1), $quiet, 'up again - as before');
like($browser->text('.headline'),
	qr/\Q$address\E is live since [\d:]+ UTC: \d+ operations failed/,
	'up again - in words');

# nginx reads its configuration again, goes, and returns

my ($worker) = $browser->text('#updated') =~ /(\d+)/;
$t->reload();
ok(wait_for(sub { $browser->text('#updated') !~ /\b$worker\b/ }), 'reload');
ok($browser->js('return mine.isConnected'), 'reload - in place');
ok(!$browser->js('return document.querySelector("#connection").checkVisibility()'),
	'reload - no alarm');
is_deeply([$browser->complaints()], [], 'reload - no complaints');

$t->stop();
ok(wait_for(sub { $browser->text('#connection')
	=~ /cannot be refreshed: nginx does not answer.* is from [\d:]+ UTC/ }),
	'unreachable - said');
ok($browser->js('return document.querySelector("#connection").checkVisibility()'),
	'unreachable - seen');
$t->run();
ok(wait_for(sub { !$browser->js('return document.querySelector("#connection")
	.checkVisibility()') }), 'reachable again');
# failed requests, which the browser notes
$browser->complaints();

# the form

$browser->open($page);
$browser->type('#key', "cow\x{e007}");
ok(wait_for(sub { ($browser->text('.way') // '')
	=~ /^This key goes to 127\.0\.0\.1:\d+\. Its hash is 6612/ }), 'form');

# hostile names are text

$browser->open('http://127.0.0.1:' . port(8083) . '/status');
is($browser->text('tr:has(> th > a[href="#server-1-0"]) th'),
	'unix:' . $t->testdir() . '/a"<u>b</u>&\'.sock', 'hostile name');
is($browser->text('#client-1'), '<img src=x>', 'hostile server_name');
ok(!$browser->js('return document.querySelector("main u, main img")'),
	'hostile names - no elements');

# on a phone: nothing sticks out, and it is still a table for screen readers

for my $width (390, 320) {
	$browser->size($width, 800);
	cmp_ok($browser->js('return document.documentElement.scrollWidth'), '<=',
		$width, "phone - $width");
}

my %role;
$role{$_->{role}{value}}++ for
	@{$browser->devtools('Accessibility.getFullAXTree')->{nodes}};
ok($role{table} && $role{row} && $role{columnheader} && $role{rowheader}
	&& $role{cell}, 'phone - a table all the same');

is_deeply([$browser->complaints()], [], 'no complaints');

# without JavaScript

$browser->devtools('Emulation.setScriptExecutionDisabled',
	value => JSON::PP::true);
$browser->open($page);
my $document = $browser->devtools('DOM.getDocument');
like($browser->devtools('DOM.getOuterHTML',
	nodeId => $document->{root}{nodeId})->{outerHTML},
	qr!<meta http-equiv="refresh".*<td[^>]*>.*</html>!s, 'without JavaScript');
$browser->devtools('Emulation.setScriptExecutionDisabled',
	value => JSON::PP::false);

# nothing came from elsewhere; and the policy would have kept it out

my @elsewhere = grep { !m!^(?:http://127\.0\.0\.1:\d+/|(?:data|chrome):)! }
	$browser->requests();
is_deeply(\@elsewhere, [], 'nothing from elsewhere');

$browser->open($page);
$browser->js('document.body.insertAdjacentHTML("beforeend",
	"<p style=\'color: red\'><img src=\'/x.png\'>")');
my $complaints = join ' ', $browser->complaints();
like($complaints, qr/Policy directive[^"']+["']style-src/, 'policy - style');
like($complaints, qr/Policy directive[^"']+["']img-src/, 'policy - image');

# sixty servers on a phone are some screens, and the worst is the first

my $servers = join '', map { "memcache_server unix:%%TESTDIR%%/$_.sock;\n" }
	1 .. 59;
$t->stop();
$t->write_file_expand('nginx.conf', $conf =~ s/(?=memcache_retry)/$servers/r);
$m[1]->kill_it();
$t->run();
$browser->size(400, 800);
ok(wait_for(sub { server_status(port(8082))->{state} eq 'down' }), 'one is down');
$browser->open($page);
like($browser->text(row(1) . ' .state'), qr/down$/, 'R55 sixty - the worst is the first');
is($browser->js('return document.querySelectorAll("#client-0 ~ table tbody tr")
	.length'), 61, 'R55 sixty - all are there');
cmp_ok($browser->js('return document.documentElement.scrollHeight'), '<', 61 * 120,
	'R55 sixty - some screens');
cmp_ok($browser->js('return document.documentElement.scrollWidth'), '<=', 400,
	'R55 sixty - nothing sticks out');
$browser->click(row(2) . ' th a');
ok($browser->js('return document.querySelector(".details:target")
	.checkVisibility()'), 'R55 sixty - the rest is behind the name');

$browser->stop();

###############################################################################

# The row of a server of the first client.
sub row {
	my ($number) = @_;
	return "#client-0 ~ table tbody tr:nth-child($number)";
}

sub column {
	my ($number, $name) = @_;
	return row($number) . qq! td[data-label="$name"]!;
}

sub colour {
	my ($number) = @_;
	return $browser->js('return getComputedStyle(document.querySelector(
		arguments[0])).backgroundColor', row($number));
}

###############################################################################
