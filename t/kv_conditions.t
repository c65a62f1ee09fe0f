#!/usr/bin/perl

# Tests for examples/kv: a condition is met, or nothing is done (R61); every
# request that changes something, with every header that makes it conditional.

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

# Each with what it answers if its condition is met, and the conditions that it
# knows besides "If-Match".
my @requests = (
	['PUT', undef, 204, 'If-Match', 'If-None-Match: *'],
	['DELETE', undef, 204, 'If-Match'],
	['POST', 'invalidate', 204, 'If-Match'],
	['POST', 'append', 204],
	['POST', 'prepend', 204],
	['POST', 'incr=1', 200],
	['POST', 'decr=1', 200],
	['POST', 'incr=1&initial=5', 200],
	['POST', 'touch=900', 204],
	['POST', 'gat=900', 200],
	['POST', 'lease=900', 200],
);

# What is not true of the item, and what nothing here knows.
my @conditions = (
	'If-Match: "1-00000000"',
	'If-Match: W/<etag>',
	'If-Match: "x", "y"',
	'If-Match: <cas>',
	'If-Match:',
	'If-None-Match: *',
	'If-None-Match: <etag>',
	'If-None-Match: "x", <etag>',
	'If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT',
	'If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT',
	'If-Range: "x"',
	'Content-Range: bytes 0-0/2',
);

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(2 * @requests * @conditions + 2 * @requests + 2 * 3 + 18)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

# a condition that does not hold

for (@requests) {
	my ($method, $args, $met, @knows) = @$_;
	my $request = join '?', $method, $args // ();

	for my $condition (@conditions) {
		my ($etag, $was) = item();
		my ($cas) = $etag =~ /"(\d+)/;
		my $header = $condition =~ s/<etag>/$etag/r =~ s/<cas>/"$cas"/r;
		my $r = kv_request($method, 'k', args => $args, value => '2',
			headers => [$header]);
		my $known = grep { index($condition, $_) == 0 } @knows;

		is(code($r), $known ? 412 : 400, "$request, $condition");
		is(state(), $was, "$request, $condition - nothing was done");
	}

	# one that does, where it is known
	my ($etag, $was) = item();
	my $r = kv_request($method, 'k', args => $args, value => '2',
		headers => ["If-Match: \"x\", $etag"]);
	is(code($r), @knows ? $met : 400, "$request - of several, one is met");
	is(state() eq $was, !@knows, "$request - done, if it knows the condition");
}

# and without an item

for (@requests[0 .. 2]) {
	my ($method, $args) = @$_;

	kv_delete('none');
	is(code(kv_request($method, 'none', args => $args, value => '2',
		headers => ['If-Match: *'])), 412, "$method - there is none");
	is($m->get('none'), undef, "$method - there is none, nothing was done");
}

# with one there is, whichever it is

item();
is(code(kv_post('k', 'invalidate', headers => ['If-Match: *'])), 204,
	'invalidate - there is one');
item();
is(code(kv_delete('k', headers => ['If-Match: *'])), 204,
	'delete - there is one');
is($m->get('k'), undef, 'delete - done');

# conditions that contradict each other, and flush_all

my ($etag, $was) = item();
for my $if_match ('*', $etag) {
	my @codes = map { code(kv_request($_->[0], 'k', args => $_->[1],
		value => '2', headers => ["If-Match: $if_match",
		'If-None-Match: *'])) } @requests;
	is(join(' ', @codes), join(' ', (400) x @requests), "both, $if_match");
	is(state(), $was, "both, $if_match - nothing was done");
}

for my $header ('If-Match: *', 'If-None-Match: *', 'If-Range: "x"') {
	my $r = kv_post('', 'flush_all=0', headers => [$header]);
	my ($name) = $header =~ /^(.*?):/;
	is(content($r), "400 $name is not known here: nothing was done\n",
		"flush_all, $header");
}
is(state(), $was, 'flush_all - nothing was done');

# the same header twice is refused by nginx

is(code(kv_put('k', '2', headers => ["If-Match: $etag", 'If-Match: "x"'])), 400,
	'twice');
is(state(), $was, 'twice - nothing was done');

# what a read depends on is nginx's to look at

is(code(kv_get('k', headers => ["If-None-Match: W/$etag"])), 304, 'get - weak');
is(code(kv_get('k', headers => ["If-None-Match: \"x\", $etag"])), 304,
	'get - list');
is(code(kv_get('k', headers => ["If-Match: W/$etag"])), 412, 'get - if match');
is(code(kv_get('k', headers => ["If-Match: $etag"])), 200, 'get - matches');
is(code(kv_get('k', headers => ['If-Unmodified-Since: '
	. 'Sat, 01 Jan 2050 00:00:00 GMT'])), 412, 'get - no date is known');

###############################################################################

# A new item that nobody has a lease on; its tag and its state.
sub item {
	$m->set('k', '1', 0, 5000);
	return (header(kv_get('k'), 'ETag'), state());
}

sub state {
	return content(kv_get('k')) . ' ' . (content(kv_get('k',
		args => 'inspect')) =~ s/ ttl=\d+/ ttl=${\ttl()}/r
		=~ s/ idle=\d+//r);
}

# Of a life, only whether it is the one that item() gives.
sub ttl {
	my (undef, undef, $ttl) = $m->get('k');
	return ($ttl // 0) > 4900 ? 'old' : 'new';
}

###############################################################################
