#!/usr/bin/perl

# Tests for examples/kv: what is wrong with a request is said to whoever sent it,
# and in a line of the error log, at level info.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->write_file_expand('nginx.conf', kv_conf(<<'EOF'));
memcache_max_value 2m;
    client_max_body_size 2m;
EOF

my $long = 'k' x 251;
my $u32 = 'a number from 0 to 4294967295';
my $u64 = 'a number from 0 to 18446744073709551615';
my $days = 'from 1 to 2592000';

# method, key, arguments, status, what is said
my @cases = (
	['POST', 'k', 'incr=-1', 400, "the argument incr has to be $u64"],
	['POST', 'k', 'incr=', 400, "the argument incr has to be $u64"],
	['POST', 'k', 'incr=1&initial=x', 400, "the argument initial has to be $u64"],
	['PUT', 'k', 'ttl=abc', 400, "the argument ttl has to be $u32"],
	['PUT', 'k', 'ttl=-1', 400, "the argument ttl has to be $u32"],
	['PUT', 'k', 'ttl=4294967296', 400, "the argument ttl has to be $u32"],
	['PUT', 'k', 'tll=1', 400, 'the argument tll is not right here'],
	['POST', 'k', 'lease=', 400, "the argument lease has to be $u32"],
	['POST', 'k', 'lease=0', 400, "the argument lease has to be $days"],
	['POST', 'k', 'touch=1&gat=1', 400, 'touch and gat are two actions'],
	['POST', 'k', undef, 400, 'POST needs an action: append, prepend, incr, '
		. 'decr, touch, gat, lease, invalidate, flush_all'],
	['POST', 'k', 'flush_all=0', 400, 'flush_all is for a server, and not for '
		. 'a key'],
	['POST', '', 'flush_all=0&delay=2592001', 400,
		'the argument delay has to be from 0 to 2592000'],
	['GET', '', undef, 400, 'there is no key, and no list of keys'],
	['GET', '', 'keys=', 400, 'there is no key, and no list of keys'],
	['GET', '', 'keys=' . join(',', (1) x 101), 400,
		'101 keys were asked for, 100 are the most'],
	['GET', '', "keys=cow,$long", 400, 'the key of 251 bytes is too long: with '
		. 'memcache_prefix, 250 are the most, or 186 with spaces or control '
		. 'characters, unless memcache_long_keys makes it shorter'],
	['GET', '', 'keys=cow,', 400, 'the key is empty'],
	['GET', $long, undef, 400, 'the key of 251 bytes is too long: with '
		. 'memcache_prefix, 250 are the most, or 186 with spaces or control '
		. 'characters, unless memcache_long_keys makes it shorter'],
	['PUT', '', undef, 400, 'the key is empty'],
	['DELETE', '', undef, 400, 'the key is empty'],
	['GET', 'k', 'incr=1', 405, 'GET and HEAD change nothing, this is for POST'],
	['PATCH', 'k', undef, 405, 'there is no such method here'],
	['POST', 'text', 'incr=1', 409, 'the item is no number'],
);

my $m = Test::Memcached->start($t, port(8081));

$t->plan(2 * @cases + 4)->run();

###############################################################################

$m->set('text', 'moo');

for (@cases) {
	my ($method, $key, $args, $status, $why) = @$_;
	my $name = join ' ', $method, map { length > 40 ? substr($_, 0, 40) . '...'
		: $_ } $key, $args // ();

	my $mark = length messages($t);
	is(content(kv_request($method, $key, args => $args,
		$method eq 'GET' ? () : (value => ''))),
		"$status $why: nothing was done\n", $name);
	like(substr(messages($t), $mark),
		qr/\[info\] .* memcache: \Q$why\E: nothing was done, client: /,
		"$name - log");
}

is(content(kv_put('k', 'v', headers => ['X-Memcache-Flags: abc'])),
	"400 X-Memcache-Flags has to be $u32: nothing was done\n", 'flags');

# what memcached does not take deletes what was there

$m->set('k', 'old');
is(content(kv_put('k', 'x' x 1500000)), '413 SERVER_ERROR object too large for '
	. "cache: an item that was there is deleted\n", 'too large for memcached');
is(code(kv_get('k')), 404, 'too large for memcached - it is');

# nothing was done

is(content(kv_get('text')), '200 moo', 'as it was');

###############################################################################
