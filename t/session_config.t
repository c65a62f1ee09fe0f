#!/usr/bin/perl

# Tests for examples/session: what "nginx -t" says to memcache_session.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->plan(36);

###############################################################################

my $load = '%%LOAD_MEMCACHE%% %%LOAD_MEMCACHE_SESSION%%';
my $in = 'location / { memcache_session';

like(check($t, $_), qr/test is successful/, "good - $_")
	for 'memcache_session sid;', 'memcache_session sid 1h;',
	'memcache_session __Host-sid; memcache_timeout 1s;',
	'memcache_session off;', 'memcache_session sid prefix=;',
	'memcache_session sid 1h prefix=' . 's' x 128 . ';';
like(check($t, '', $load, $_), qr/test is successful/, "good - $_")
	for "$in sid required; }", "$in sid 1h required; }",
	"$in sid 1h prefix=s: required; }",
	"memcache_session sid; $in off; }";

for my $bad ('sid 0', 'sid x', 'sid requierd', 'sid 1h no', 'sid 69y', 'sid 200y',
	'sid prefix=s: 1h', 'sid cluster=') {
	my ($word) = $bad =~ /(\S+)$/;
	like(check($t, "memcache_session $bad;"), qr/\[emerg\] .*
		invalid\ parameter\ "$word"\ in\ "memcache_session"\ directive,
		\ there\ are\ a\ time\ from\ 1s\ to\ 68y,\ "prefix=",\ "cluster="\ and
		\ "required",\ in\ this\ order\ in/x, "bad - $bad");
}
like(check($t, 'memcache_session sid prefix=' . 's' x 129 . ';'),
	qr/directive has a "prefix" of more than 128 bytes in/, 'bad - long prefix');
like(check($t, 'memcache_session sid prefix=$host;'),
	qr/directive takes no variables in "prefix" in/, 'bad - a variable');
like(check($t, 'memcache_session sid prefix=a prefix=b;'),
	qr/invalid parameter "prefix=b" in/, 'bad - two prefixes');
like(check($t, 'memcache_session on;'),
	qr/\[emerg\] .* needs the name of a cookie in place of "on" in/, 'bad - on');
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

# What "nginx -t" says to lines of the http block, and of a server block.
sub check {
	my ($t, $line, $modules, $server) = @_;

	$modules //= $load;

	return check_config($t, "%%TEST_GLOBALS%%\n$modules\n"
		. "daemon off;\nevents {\n}\n"
		. "http {\n%%TEST_GLOBALS_HTTP%%\n$line\n"
		. "server { listen 127.0.0.1:8080; memcache_server 127.0.0.1; "
		. ($server // '') . " }\n}\n");
}

###############################################################################
