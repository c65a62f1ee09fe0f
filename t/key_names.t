#!/usr/bin/perl

# Tests for memcache module: whatever bytes a key has, and whoever has made its
# item, every operation does the same (R1).  memcached names an item that it has
# made by itself, for a counter or a lease, with the bytes of its key as they
# are, where it was sent encoded.

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

my @versions = Test::Memcached->usable();
my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

my $servers = kv_servers(scalar @versions);

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $servers));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

EOF

my @keys = (
	['spaces', 'a b'],
	['a space at the end', 'a '],
	['a tab', "a\tb"],
	['a line end', "a\r\nb"],
	['a reply', "a\r\nHD O1\r\nVA 1 f0 c1 ka O2\r\n9"],
	['flags', ' k k O1 W b'],
	['0x7f', "\x7f"],
	['0xff', "\xff"],
	['all bytes', join '', map { chr } 1 .. 127],
	['186 bytes', ' ' x 186],
	['187 bytes', 'x' x 187],
	['250 bytes', 'x' x 250],
);

# who makes the item
my %makers = (
	counter => sub { kv_post(shift, 'incr=1&initial=5', @_) },
	lease => sub { kv_post(shift, 'lease=60', @_) },
	client => sub { kv_put(shift, '5', @_) },
);

# what is done with it
my %verbs = (
	get => sub { kv_get(@_) },
	keys => sub { kv_get('', args => 'keys='
		. escape(shift), @_) },
	head => sub { kv_head(@_) },
	inspect => sub { kv_get(shift, args => 'inspect', @_) },
	gat => sub { kv_post(shift, 'gat=60', @_) },
	touch => sub { kv_post(shift, 'touch=60', @_) },
	lease => sub { kv_post(shift, 'lease=60', @_) },
	recache => sub { kv_post(shift, 'lease=60&recache=90', @_) },
	incr => sub { kv_post(shift, 'incr=1', @_) },
	decr => sub { kv_post(shift, 'decr=1&initial=7', @_) },
	set => sub { kv_put(shift, 'v', @_) },
	add => sub { kv_put(shift, 'v', headers => ['If-None-Match: *'], @_) },
	replace => sub { kv_put(shift, 'v', headers => ['If-Match: *'], @_) },
	append => sub { kv_post(shift, 'append', value => '0', @_) },
	prepend => sub { kv_post(shift, 'prepend', value => '1', @_) },
	invalidate => sub { kv_post(shift, 'invalidate&ttl=60', @_) },
	delete => sub { kv_delete(@_) },
	cas => sub { my ($key, @at) = @_; kv_put($key, 'v', headers =>
		['If-Match: ' . etag($key, @at)], @at) },
);

$t->plan(@versions * (@keys + 6));

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $versions[$_]) } 0 .. $#versions;

$t->run();

###############################################################################

for my $i (0 .. $#versions) {
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));
	my $others = 0;

	kv_put('other', 'moo', @at);

	# a key that any memcached can have is the measure
	my $expected = matrix('plain', @at);

	is($expected->{'counter, get, get'}, '200 5, then 200 5',
		"$versions[$i] - plain, made by memcached");
	is($expected->{'lease, get, get'}, '404, then 404',
		"$versions[$i] - plain, a place");

	for (@keys) {
		my ($name, $key) = @$_;
		is_deeply(matrix($key, @at), $expected,
			"R1 $versions[$i] - $name");
		$others += content(kv_get('other', @at)) eq '200 moo';
	}

	# another client has stored a text key encoded
	$memcacheds[$i]->send("ms Y293 3 b\r\nmoo\r\n");
	$memcacheds[$i]->line();
	is(join(' ', map { content($_) } kv_get('cow', @at),
		kv_post('cow', 'gat=60', @at), kv_post('cow', 'lease=60', @at)),
		'200 moo 200 moo 200 moo', "R1 $versions[$i] - stored encoded");

	# nginx refuses a NUL in a path, but not in arguments
	my $m = $memcacheds[$i];
	$m->send("ma YQBi b N60 J5\r\n");
	$m->line();
	$m->set("a\0c", '5');
	is(content(kv_get('', args => 'keys=a%00b,a%00c', @at)), '200 55',
		"R1 $versions[$i] - a NUL");

	is($others, @keys, "R1 $versions[$i] - no other request is hurt");
	is($memcacheds[$i]->connections() . ' '
		. log_of($t, port(8040 + $i)), '1 ', "R1 $versions[$i] - one connection");
}

###############################################################################

# What each verb does with an item of each maker, and what is there then.
sub matrix {
	my ($key, @at) = @_;
	my %results;

	for my $maker (sort keys %makers) {
		for my $verb (sort keys %verbs) {
			kv_delete($key, @at);
			$makers{$maker}->($key, @at);
			my @answers = ($verbs{$verb}->($key, @at),
				kv_get($key, @at),
				kv_post($key, 'lease=60', @at));
			$results{"$maker, $verb, get"} = join ', then ',
				map { result($_) } @answers[0, 1];
			$results{"$maker, $verb, lease"} = result($answers[2]);
		}
	}

	return \%results;
}

# Without what is another one each time.
sub result {
	my ($r) = @_;
	my ($code, $body) = (code($r), http_content($r) // '');

	return $code if $body =~ /<html>/ || $body eq '';
	$body =~ s/(cas|idle|ttl)=\d+/$1=N/g;
	return "$code $body";
}

# The version of an item, or of its place.
sub etag {
	my ($key, @at) = @_;
	return header(kv_get($key, @at), 'ETag') // '"1"';
}

# What the log says of a server's troubles.
sub log_of {
	my ($t, $port) = @_;
	return join '; ', grep { /:$port"/ && /down|lost|unexpected/ }
		split /\n/, messages($t);
}

###############################################################################
