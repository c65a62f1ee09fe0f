#!/usr/bin/perl

# Tests for examples/kv: what no read finds is not there for any other request
# either.  memcached keeps an item that was marked as stale, and the empty place
# of one that somebody was told to make, and takes both for items.

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

# Requests that find nothing, and do nothing.
my @nothing = (
	['GET', undef, 404],
	['POST', 'touch=5000', 404],
	['POST', 'touch=0', 404],
	['POST', 'touch=100', 404],
	['POST', 'gat=5000', 404],
	['POST', 'append', 404],
	['POST', 'prepend', 404],
	['POST', 'incr=1', 404],
	['POST', 'decr=1', 404],
	['PUT', 'ttl=5000', 412, 'If-Match: *'],
	['DELETE', undef, 412, 'If-Match: *'],
	['POST', 'invalidate&ttl=5000', 412, 'If-Match: *'],
);

# Requests that make an item where there is none, and what it is then.
my @create = (
	['PUT', 'ttl=5000', 201, '1', 'If-None-Match: *'],
	['PUT', 'ttl=5000', 204, '1'],
	['POST', 'incr=1&initial=7&ttl=5000', 200, '7'],
	['POST', 'decr=1&initial=7&ttl=5000', 200, '7'],
);

# What is there, how it is made, with a life of 1000 seconds, and what memcached
# says of it.
my %hidden = (
	stale => [sub {
		$m::m->set($_[0], '9', 3, 1000);
		kv_post($_[0], 'invalidate');
		return;
	}, '9 X'],
	'stale, leased' => [sub {
		$m::m->set($_[0], '9', 3, 1000);
		kv_post($_[0], 'invalidate');
		return header(kv_post($_[0], 'lease=50'), 'ETag');
	}, '9 Z X'],
	place => [sub {
		return header(kv_post($_[0], 'lease=1000'), 'ETag');
	}, ' Z'],
);

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(269)
	->write_file_expand('nginx.conf', kv_conf());

my $m = $m::m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

for my $name (sort keys %hidden) {
	my ($make, $is) = @{$hidden{$name}};

	for (@nothing) {
		my ($method, $args, $code, @headers) = @$_;
		my $request = join ' ', "$name - $method", $args // (), @headers;
		my $tag = $make->('k');

		is(code(kv_request($method, 'k', args => $args, value => '1',
			headers => \@headers)), $code, $request);
		is(code(kv_get('k')), 404, "$request - still nothing to read");

		my ($there, $ttl) = there('k');
		is(defined $tag ? $there : unmarked($there), $is,
			"$request - as it was");
		ok($ttl > 900 && $ttl <= 1000, "$request - lives as long");

		next unless defined $tag;
		is(code(kv_put('k', 'made', headers => ["If-Match: $tag"])), 204,
			"$request - whoever has the lease stores it");
	} continue {
		kv_delete('k');
	}

	for (@create) {
		my ($method, $args, $code, $value, @headers) = @$_;
		my $request = join ' ', "$name - $method", $args // (), @headers;
		my $tag = $make->('k');

		is(code(kv_request($method, 'k', args => $args, value => '1',
			headers => \@headers)), $code, $request);
		my ($now, $flags, $ttl) = $m->get('k');
		is("$now $flags", "$value 0", "$request - is an item");
		ok($ttl > 4900, "$request - lives as it says");

		next unless defined $tag;
		is(code(kv_put('k', 'made', headers => ["If-Match: $tag"])), 412,
			"$request - the lease is over");
	} continue {
		kv_delete('k');
	}

	# deleted, without a word, it is gone for whoever makes it, too

	my $tag = $make->('k');
	is(code(kv_delete('k')), 404, "$name - DELETE");
	is($m->get('k'), undef, "$name - DELETE, gone");
	is(code(kv_put('k', 'x', headers => ["If-Match: $tag"])), 412,
		"$name - DELETE, the lease is over") if $tag;

	# marked anew, for so long; a place is none, and lives no longer

	$tag = $make->('k');
	is(code(kv_post('k', 'invalidate&ttl=5000')),
		$name eq 'place' ? 404 : 204, "$name - invalidate");
	is(code(kv_get('k')), 404, "$name - invalidate, nothing to read");
	my (undef, $ttl) = there('k');
	ok($name eq 'place' ? $ttl <= 1000 : $ttl > 4900,
		"$name - invalidate, life");
	is(code(kv_put('k', 'x', headers => ["If-Match: $tag"])), 412,
		"$name - invalidate, the lease is over") if $tag;
	kv_delete('k');
}

# an item that is there, and even one that is empty, is there for all

for my $value ('', '9') {
	for (@nothing) {
		my ($method, $args, undef, @headers) = @$_;
		my $n = $args && $args =~ /^(?:in|de)cr/;

		$m->set('k', $value, 0, 1000);
		my $code = code(kv_request($method, 'k', args => $args, value => '1',
			headers => \@headers));
		is($code, $n && $value eq '' ? 409 : $n || $method eq 'GET'
			|| ($args // '') =~ /^gat/ ? 200 : 204,
			join ' ', "there, '$value' - $method", $args // (), @headers);
	}
	$m->set('k', $value);
	is(code(kv_put('k', '1', headers => ['If-None-Match: *'])), 412,
		"there, '$value' - PUT If-None-Match: *");
	is($m->get('k'), $value, "there, '$value' - kept");
}

# many at a time miss none

$m->set('n', 0);
$m->set('list', '');
http_many(map { (['POST', 'n', args => 'incr=1'],
	['POST', 'list', args => 'append', value => 'x']) } 1 .. 50);
is($m->get('n'), '50', 'many count');
is($m->get('list'), 'x' x 50, 'many append');

# what is marked while many change it is not there afterwards

for my $args ('append', 'prepend', 'incr=1') {
	my $found = 0;

	for (1 .. 10) {
		$m->set('k', 9);
		http_many((map { ['POST', 'k', args => $args, value => 1] } 1 .. 10),
			['POST', 'k', args => 'invalidate', value => ''],
			(map { ['POST', 'k', args => $args, value => 1] } 1 .. 10),
			['PUT', 'k', value => 'x', headers => ['If-Match: *']]);
		# what was stored before has been marked, and what came later finds
		# nothing
		$found++ if code(kv_get('k')) != 404;
		kv_delete('k');
	}

	is($found, 0, "marked while many ?$args");
}

# many who touch a place at once do not take each other's time for its own

for my $args ('touch=0', 'gat=0', 'touch=5000') {
	kv_post('placed', 'lease=1000');
	http_many(map { ['POST', 'placed', args => $args, value => ''] } 1 .. 10);
	my (undef, $ttl) = there('placed');
	ok($ttl > 0 && $ttl <= 1000, "many $args a place") or diag($ttl);
	kv_delete('placed');
}

# of many who create one does

my @codes = map { code($_) } http_many(map { ['PUT', 'one', value => $_,
	headers => ['If-None-Match: *']] } 1 .. 20);
is(join(' ', sort @codes), join(' ', 201, (412) x 19), 'many create');

kv_post('lot', 'lease=1000');
@codes = map { code($_) } http_many(map { ['PUT', 'lot', value => $_,
	headers => ['If-None-Match: *']] } 1 .. 20);
is(join(' ', sort @codes), join(' ', 201, (412) x 19),
	'many create over a place');

###############################################################################

# What memcached has: the value and the marks; and how long it lives.
sub there {
	my ($key) = @_;

	# behind what hands a lease back, on the one connection
	kv_get('another');
	$m->send("mg $key s v t\r\n");
	my ($size, $ttl, $marks) = $m->line() =~ /^VA (\d+) s\d+ t(-?\d+)(.*)/
		or return 'none';
	my $value = substr $m->take($size + 2), 0, $size;

	return ("$value$marks", $ttl);
}

# Whoever reads first is appointed: here the test.
sub unmarked { $_[0] =~ s/ W$//r }

###############################################################################
