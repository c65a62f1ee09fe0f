package Test::Nginx::Text;

# What servers and proxies that speak the text protocol do for the REST store.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use Test::More;

use Test::Nginx;
use Test::Nginx::Memcache;

our @EXPORT = qw/ in_text IN_TEXT /;

# The tests that in_text() makes.
use constant IN_TEXT => 23;

###############################################################################

# What all of them do, and what none of them does.
sub in_text {
	my ($name, $port, $server) = @_;
	my @at = (PeerAddr => '127.0.0.1:' . port($port));
	my $tag = sub { 'If-Match: ' . header(kv_get($_[0], @at), 'ETag') };

	is(code(kv_get('cow', @at)), 404, "$name - miss");
	is(code(kv_put('cow', 'moo', @at, args => 'ttl=100',
		headers => ['X-Memcache-Flags: 7'])), 204, "$name - set");
	my $found = kv_get('cow', @at);
	is(content($found) . ' ' . header($found, 'X-Memcache-Flags'),
		'200 moo 7', "$name - get");
	is(code(kv_put('cow', 'new', @at, headers => ['If-None-Match: *'])), 412,
		"$name - add, there");
	is(code(kv_put('calf', 'new', @at, headers => ['If-None-Match: *'])), 201,
		"$name - add");
	is(code(kv_put('cow', 'moo!', @at, headers => [$tag->('cow')])), 204,
		"$name - compare and swap");
	is(code(kv_put('cow', 'no', @at, headers => ['If-Match: "1-1"'])), 412,
		"$name - compare and swap, another version");
	is(code(kv_post('cow', 'append', @at, value => '>')) . code(
		kv_post('cow', 'prepend', @at, value => '<')), '204204', "$name - extend");
	is(content(kv_get('cow', @at)), '200 <moo!>', "$name - extended");
	is(code(kv_post('none', 'append', @at, value => '>')), 404,
		"$name - append, not there");
	is(join(' ', map { content(kv_post('n', $_, @at)) =~ s/^404\K.*//sr } 'incr=1',
		'incr=1&initial=5&ttl=60', 'incr=2&initial=5', 'decr=3', 'decr=100'),
		'404 200 5 200 7 200 4 200 0', "$name - count");
	is(code(kv_post('calf', 'incr=1', @at)), 409, "$name - no number");
	is(code(kv_delete('n', @at)) . code(kv_delete('n', @at)), '204404',
		"$name - delete");
	is(code(kv_post('calf', 'touch=100', @at)) . code(
		kv_post('none', 'touch=100', @at)), '204404', "$name - touch");
	is(content(kv_get('', @at, args => 'keys=cow,none,calf')),
		'200 <moo!>new', "$name - several");

	is(join(' ', map { code(kv_post('cow', $_, @at)) } 'lease=10',
		'invalidate'), '501 501', "$name - neither leases nor stale items");
	my $why = "server 127.0.0.1:@{[port($server)]} speaks text: it has no metadata";
	like(kv_get('cow', @at, args => 'inspect'),
		qr/ 501 .*\r\n\r\n\Q$why\E: nothing was done$/s, "$name - metadata");
	is(code(kv_delete('cow', @at, headers => [$tag->('cow')])), 501,
		"$name - delete of a version");
	$why =~ s/metadata/stale items/;
	like(kv_post('cow', 'invalidate', @at),
		qr/ 501 .*\r\n\r\n\Q$why\E: nothing was done$/s, "$name - stale items");
	$why =~ s/it has no .*/it takes no keys with spaces or control characters/;
	like($_, qr/ 400 .*\r\n\r\n\Q$why\E: nothing was done$/s,
		"$name - binary keys") for kv_get('a b', @at),
		kv_put("a\r\nflush_all", 'x', @at), kv_get('', @at, args => 'keys=cow,a%20b');
	is(content(kv_get('cow', @at)), '200 <moo!>', "$name - nothing was done");
}

###############################################################################

1;
