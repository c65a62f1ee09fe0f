#!/usr/bin/perl

# Tests for memcache module: what memcache_max_value allows by default is what a
# memcached takes by default, with every key and all that can be stored with a
# value; and what memcached finds too large is the client's fault (R19).

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

my $servers = join '', map { <<"EOF" } 0 .. $#versions;
    server {
        listen       127.0.0.1:@{[8020 + $_]};
        server_name  localhost;
        memcache_server 127.0.0.1:@{[8040 + $_]} max=1;
        location /kv/ { memcache_kv on; }
    }

    server {
        listen       127.0.0.1:@{[8060 + $_]};
        server_name  localhost;
        memcache_server 127.0.0.1:@{[8040 + $_]} max=1;
        memcache_max_value 4m;
        location /kv/ { memcache_kv on; }
    }
EOF

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $servers));

    client_max_body_size 8m;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

EOF

use constant MOST => 1023 * 1024;

my @keys = (['a short key', 'k'], ['a long key', 'x' x 250],
	['an encoded key', ' ' x 186]);

# every store, and whether it is to find an item
my %stores = (
	set => sub { kv_put(@_) },
	add => sub { my ($key, $value, @at) = @_;
		kv_delete($key, @at); kv_put($key, $value,
			headers => ['If-None-Match: *'], @at) },
	replace => sub { kv_put(@_[0, 1], headers => ['If-Match: *'],
		@_[2 .. $#_]) },
	append => sub { kv_post($_[0], 'append', value => $_[1],
		@_[2 .. $#_]) },
	prepend => sub { kv_post($_[0], 'prepend', value => $_[1],
		@_[2 .. $#_]) },
);

$t->plan(@versions * (2 * @keys + 4));

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $versions[$_]) } 0 .. $#versions;

$t->run();

###############################################################################

for my $i (0 .. $#versions) {
	my ($version, $m) = ($versions[$i], $memcacheds[$i]);
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));
	my @more = (PeerAddr => '127.0.0.1:' . port(8060 + $i));
	my $value = 'v' x MOST;

	for (@keys) {
		my ($name, $key) = @$_;
		is(code(kv_put($key, $value, headers =>
			['X-Memcache-Flags: 4294967295'], args => 'ttl=60',
			@at)), 204, "R19 $version - the largest, $name");
		is(length http_content(kv_get($key, @at)), MOST,
			"R19 $version - it is there, $name");
		kv_delete($key, @at);
	}

	is(code(kv_put('k', "v$value", @at)), 413, "R19 $version - larger");

	# memcached refuses it: the connection goes on, and the old item is gone
	my %told = map { kv_put('k', 'old', @more);
		($_ => code($stores{$_}->('k', 'v' x (2 * MOST), @more))) }
		keys %stores;

	is_deeply([@told{qw/ set add replace /}], [(413) x 3],
		"R19 $version - too large for memcached");
	like(join(' ', @told{qw/ append prepend /}), qr/^(?:413|502) (?:413|502)$/,
		"R19 $version - too large to append");
	is($m->connections(), 2, "R19 $version - one connection each");
}

###############################################################################
