#!/usr/bin/perl

# Tests for memcache module: the formats of the diagnostic location.  Names
# that begin with a D and a number are rules for such an endpoint.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_content /;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# How many servers a client with many has.
use constant MANY => 300;

my $t = Test::Nginx->new()->has(qw/http gzip http_v2 rewrite/)->plan(93);

my $conf = conf(<<'EOF');

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
    worker_connections 8192;
}

http {
    %%TEST_GLOBALS_HTTP%%

    gzip_types * ;
    gzip_min_length 1;

    memcache_server 'unix:%%TESTDIR%%/a"b<u>&\\\'';
    memcache_server 'unix:%%TESTDIR%%/<valid>';
    memcache_server 'unix:%%TESTDIR%%/<invalid>';
    memcache_server 127.0.0.1:8081 weight=5;

    server {
        listen       127.0.0.1:8080;
        server_name  "<hostile>";

        location /status {
            memcache_status;
        }

        location /html {
            memcache_status html;
        }

        location = /json {
            memcache_status json;
        }

        location = /metrics {
            memcache_status prometheus;
        }

        location ~ ^/pattern {
            memcache_status json;
        }

        location /slash/ {
            memcache_status json;
        }

        location /gzip {
            gzip on;
            memcache_status;
        }

        location /named {
            error_page 418 = @named;
            return 418;
        }

        location @named {
            memcache_status json;
        }
    }

    server {
        listen       127.0.0.1:8083;

        <many>

        location /status {
            memcache_status;
        }
    }

    server {
        listen       127.0.0.1:8084 http2;

        memcache_hash consistent;
        memcache_failover next;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }
}

EOF

$conf =~ s/<valid>/k\xc3\xbc/;
$conf =~ s/<invalid>/\xff\xfe/;
$conf =~ s/<many>/join "\n", map {
	sprintf 'memcache_server 127.1.%d.%d:11211 max=1;', $_ >> 8, $_ & 255
} 1 .. MANY/e;

$t->write_file_expand('nginx.conf', $conf);
$t->run();

###############################################################################

my $json = JSON::PP->new->utf8;
my %many = (PeerAddr => '127.0.0.1:' . port(8083));

# which format

for (
	['/status', 'html'], ['/status/', 'html'], ['/html', 'html'],
	['/json', 'json'], ['/metrics', 'prometheus'], ['/pattern/x', 'json'],
	['/named', 'json'], ['/named?format=prometheus', 'prometheus'],
	['/status.json', 'json'], ['/status/json', 'json'],
	['/status.prometheus', 'prometheus'], ['/status.html', 'html'],
	['/status?format=json', 'json'], ['/json?format=html', 'html'],
	['/slash/', 'json'], ['/slash/prometheus', 'prometheus'],
	['/slash/html', 'html'], ['/slash/?format=html', 'html'],
	['/metrics?a=b&format=json&format=html', 'json'],
	['/status.json?format=prometheus', 'prometheus'],
) {
	my ($uri, $format) = @$_;
	is(format_of(http_get($uri)), $format, "D6 $uri");
}

for my $uri (qw! /status?format= /status?format=xml /status?format=JSON
	/status.xml /statusjson /status/json/ /json?format=htm /slash/xml
	/status/"><script> /status?format=<script> !)
{
	my $r = http_get($uri);
	is(content($r), "404 There is no such format: html, json, prometheus.\n",
		"D6 unknown format - $uri");
}

is(format_of(http("GET /status HTTP/1.0\x0d\x0aHost: localhost\x0d\x0a"
	. "Accept: application/json\x0d\x0a\x0d\x0a")), 'html',
	'D6 no format by Accept');

# headers

for my $uri (qw! /html /json /metrics /status?format=xml !) {
	my $r = http_get($uri);
	is(header($r, 'Cache-Control'), 'no-store', "D5 not stored - $uri");
	is(header($r, 'X-Content-Type-Options'), 'nosniff',
		"D5 not sniffed - $uri");
	like(header($r, 'Content-Security-Policy'), qr/^default-src 'none';/,
		"D5 policy - $uri");
	is(header($r, 'Content-Length'), length http_content($r),
		"D5 length - $uri");
}

my $policy = header(http_get('/html'), 'Content-Security-Policy');
unlike($policy, qr/unsafe|\*|https?:/, 'D5 policy of the page is strict');
is(header(http_get('/html'), 'Content-Type'), 'text/html; charset=utf-8',
	'D4 charset');

# nothing is reflected

for my $format (qw/ html json prometheus /) {
	my $r = http("GET /status/$format?format=$format&key=%3Cscript%3E0&"
		. "<script>0 HTTP/1.0\x0d\x0aHost: \"><script>0\x0d\x0a"
		. "User-Agent: <script>0\x0d\x0aReferer: <script>0\x0d\x0a"
		. "X-Forwarded-For: <script>0\x0d\x0a\x0d\x0a");
	unlike($r, qr/<script>0|%3Cscript/i, "D5 nothing reflected - $format");
}

# hostile names

my $dir = $t->testdir();
my @names = (qq!unix:$dir/a"b<u>&\\'!, "unix:$dir/k\x{fc}",
	"unix:$dir/\x{fffd}\x{fffd}");

my $body = http_content(http_get('/json'));
my $page = $json->decode($body);
is_deeply([map { $_->{address} } @{$page->{clients}[0]{servers}}[0 .. 2]],
	\@names, 'D4 JSON - names as they are');
is($page->{clients}[0]{used_by}[0], '<hostile>', 'D4 JSON - server_name');
unlike($body, qr/[<>&']/, 'D4 JSON - harmless in HTML');

$body = http_content(http_get('/html'));
utf8::decode($body) or fail('UTF-8');
ok($body !~ /<u>/, 'D4 HTML - no element from a name');
ok($body !~ /<hostile>/, 'D4 HTML - no element from a server_name');
my @shown = map { s/&#(\d+);/chr $1/ger } $body =~ m!<h3[^>]*>([^<]*)</h3>!g;
is_deeply([@shown[0 .. 2]], \@names, 'D4 HTML - names as they are');

$body = http_content(http_get('/metrics'));
utf8::decode($body) or fail('UTF-8');
my @labels = map { s/\\(.)/$1/gr }
	$body =~ /^memcache_server_up\{cluster="<hostile>",server="((?:[^"\\]|\\.)*)"\} /mg;
is_deeply([@labels[0 .. 2]], \@names, 'D4 Prometheus - names as they are');

# labels are decided by the configuration

my %label = map { ($_ => 1) } $body =~ /[{,]([a-z_]+)="/g;
is_deeply([sort keys %label],
	[qw/ abi address class cluster le nginx op protocol server version /], 'D7 labels');
my $series = () = $body =~ /^memcache_/mg;
http_get("/metrics?key=$_") for 1 .. 20;
my $now = () = http_content(http_get('/metrics')) =~ /^memcache_/mg;
is($now, $series, 'D7 no more series with more requests');

SKIP: {
	skip 'promtool is not there', 2
		unless grep { -x "$_/promtool" } split /:/, $ENV{PATH};
	is(promtool($t, http_content(http_get('/metrics'))), "0\n",
		'D12 promtool check metrics');
	is(promtool($t, http_content(http_get('/status.prometheus', %many))),
		"0\n", 'D12 promtool check metrics - many');
}

# many servers: all of them, or it says how many are left out

$body = http_content(http_get('/status.json', %many));
my ($client) = grep { @{$_->{servers}} == MANY }
	@{$json->decode($body)->{clients}};
ok($client, 'D8 JSON - all servers');

$body = http_content(http_get('/status.prometheus', %many));
my $up = () = $body =~ /^memcache_server_up\{.*,server="127\.1\..*\} 1$/mg;
is($up, MANY, 'D8 Prometheus - all servers');
like($body, qr/^[^\n]+ \d+\n\z/m, 'D8 Prometheus - the last line is whole');

my $r = http_get('/status', %many);
$body = http_content($r);
like($body, qr/100 more servers are not shown/, 'D8 HTML - says what is not');
like($body, qr!</html>\s*\z!, 'D8 HTML - whole');
is(header($r, 'Content-Length'), length $body, 'D8 HTML - length');

# what clients send and filters do

$r = http("GET /json HTTP/1.0\x0d\x0aRange: bytes=0-9\x0d\x0a\x0d\x0a");
is(code($r), 200, 'D12 Range');

for my $condition ('If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT',
	'If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT',
	'If-None-Match: *', 'If-Match: "x"')
{
	is(code(http("GET /json HTTP/1.0\x0d\x0a$condition\x0d\x0a\x0d\x0a")),
		200, "D12 $condition");
}

my $port = port(8080);
my $plain = `curl -s http://127.0.0.1:$port/gzip`;
my $gzip = `curl -s --compressed http://127.0.0.1:$port/gzip`;
is(scrubbed($gzip), scrubbed($plain), 'D12 gzip');
like(`curl -s -D - -o /dev/null --compressed http://127.0.0.1:$port/gzip`,
	qr/^Content-Encoding: gzip/mi, 'D12 gzip - at work');
like(`curl -s --path-as-is 'http://127.0.0.1:$port/status/"><script>'`,
	qr/^There is no such format/, 'D12 path as it is');

my $h2 = 'http://127.0.0.1:' . port(8084) . '/status';
my $code = "-o /dev/null -w '%{http_version} %{http_code}'";
is(`curl -s --http2-prior-knowledge $code $h2`, '2 200', 'D12 HTTP/2');
is(`curl -s --http2-prior-knowledge -I $code $h2`, '2 200',
	'D12 HTTP/2 - HEAD');
is(`curl -s --http2-prior-knowledge -X POST $code $h2`, '2 405',
	'D12 HTTP/2 - POST');

# where a key goes to: cow and foo have the hashes 6612 and 3187 of 8

is_deeply(route('cow', 0), { client => 0, hash => 6612, point => 4,
	candidates => [3, 0, 1, 2], server => 3 }, 'key');
is_deeply(route('%63ow', 0), route('cow', 0), 'key - decoded');
is_deeply(route('foo', 0), { client => 0, hash => 3187, point => 3,
	candidates => [3, 0, 1, 2], server => 3 }, 'another key');
like(route('a' x 251, 0)->{error}, qr/251 bytes, the limit is 250/,
	'key - too long');
like(route('', 0)->{error}, qr/empty/, 'key - empty');
is(scalar @{route('cow', 1)->{candidates}}, 8, 'D8 key - not all candidates');
ok(!exists $json->decode(http_content(http_get('/json')))->{routes},
	'no key');

$r = http_content(http_get('/html?key=cow'));
my $address = '127.0.0.1:' . port(8081);
like($r, qr/This key goes to \Q$address\E\./, 'key - page');
like($r, qr/Its hash is 6612; 6612 modulo \d+, the sum of the weights, is 4\./, 'key - page, why');
unlike($r, qr/value="cow"|\bcow\b/, 'D5 key - not shown');

# and where no server is left that stands in for its own

my $kv = $h2 =~ s!status!kv/cow!r;
ok(wait_for(sub {
	`curl -s --http2-prior-knowledge $code $kv`;
	return !defined route('cow', 2)->{server};
}), 'key - goes nowhere');
is(scalar @{route('cow', 2)->{candidates}}, 4, 'key - all were asked');
like(http_content(http_get('/html?key=cow')),
	qr/belongs to [^,]+, which is not live: operations on it fail at once/,
	'key - goes nowhere, page');

###############################################################################

sub format_of {
	my ($r) = @_;
	my $type = header($r, 'Content-Type') // 'nothing';

	return 'html' if $type =~ m!^text/html!
		&& http_content($r) =~ /^<!DOCTYPE html>/;
	return 'json' if $type eq 'application/json'
		&& eval { $json->decode(http_content($r)) };
	return 'prometheus' if $type =~ m!^text/plain; version=0\.0\.4!
		&& http_content($r) =~ /^# HELP /;
	return "$type, " . code($r);
}

# The way of a key, in a client.
sub route {
	my ($key, $client) = @_;
	return $json->decode(http_content(http_get("/json?key=$key")))
		->{routes}[$client];
}

# What is the same of two pages.
sub scrubbed {
	return $_[0] =~ s/\d\d:\d\d:\d\d|\d+ s\b//gr;
}

# What promtool says to metrics, and then its exit status.
sub promtool {
	my ($t, $metrics) = @_;
	my $dir = $t->testdir();

	$t->write_file('metrics', $metrics);
	return `promtool check metrics <$dir/metrics 2>&1; echo \$?`;
}

###############################################################################
