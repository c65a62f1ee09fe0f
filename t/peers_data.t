#!/usr/bin/perl

# Tests for memcache module: a cluster that is shared with other clients.
# What one writes, the other reads, on real memcacheds: stock nginx,
# libmemcached, PHP, twemproxy, apr_memcache and the crate "memcache".

###############################################################################

use warnings;
use strict;

use IO::Socket::INET;
use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Memcached::Proxy;
use Test::Peers;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http memcached rewrite upstream_hash/)
	->has_daemon('memcached');

my @tcp = map { "127.0.0.1:$_" } 8081 .. 8083;
my $socket = 'unix:' . $t->testdir() . '/memcached.sock';

# Port of nginx, hash, servers, peers, other directives.  A word behind the name of
# a peer is its hash_tag, or its prefix.
my @clusters = (
	[8084, 'modulo', [@tcp], ['apr_memcache', 'libmemcached', 'nginx']],
	[8085, 'modulo', weights(2, 1, 3), ['nginx']],
	[8086, 'consistent', weights(1, 3, 2), ['nginx']],
	[8087, 'ketama', weights(3, 1, 2), ['libmemcached', 'php', 'twemproxy']],
	[8088, 'ketama', [@tcp, "$socket=2"], ['libmemcached', 'php']],
	[8095, 'one_at_a_time', [@tcp], ['libmemcached', 'php']],
	[8089, 'rendezvous', [@tcp], ['memcache_crate']],
	[8092, 'ketama', weights(3, 1, 2), ['twemproxy {}'],
		'memcache_hash_tag "{}";'],
	[8093, 'ketama', weights(3, 1, 2), ['php p:'],
		'memcache_prefix p:; memcache_hash_prefix off;'],
);

my $pairs = map { @{ $_->[3] } } @clusters;
my $silent = grep { $_ eq 'nginx' } map { @{ $_->[3] } } @clusters;

$t->plan($pairs * 3 - $silent)
	->write_file_expand('nginx.conf', conf(nginx_conf(@clusters)));

my @m = ((map { Test::Memcached->start($t, port($_)) } 8081 .. 8083),
	Test::Memcached->start($t, 0, socket => $socket =~ s/unix://r));

my @weighted = map { /:(\d+)=(\d+)/ ? port($1) . ":$2" : () }
	@{weights(3, 1, 2)};
start_twemproxy($t, port(8090), \@weighted);
start_twemproxy($t, port(8094), \@weighted, hash_tag => '"{}"');

$t->run();

###############################################################################

my $peers = Test::Peers->new($t);

for (@clusters) {
	my ($port, $hash, $list, $names, $directives) = @$_;
	my ($prefix) = ($directives // '') =~ /memcache_prefix (.*?);/;
	my $servers = [map { real($_) } @$list];
	my @at = (PeerAddr => '127.0.0.1:' . port($port));

	for my $peer (@$names) {
		my @keys = $peer =~ /{/ ? tagged($port)
			: map { "$port:$peer:$_" =~ s/ //r } 1 .. 200;
		my @others = map { "$_:theirs" } @keys;
		my $name = "$hash, $peer, " . @$servers . ' servers';

		SKIP: {
		my $lacks = $peers->lacks($peer);
		skip $lacks, 3 if $lacks;

		kv_put($_, "<$_>", @at) for @keys;
		is(found(\@keys, ask($peer, 'get', \@at, $hash, $servers,
			\@keys)), @keys, "$name - it reads what we write");
		is(holders([map { ($prefix // '') . $_ } @keys], @m), @$servers,
			"$name - all have keys");

		# memcached_pass does not write
		next if $peer eq 'nginx';

		ask($peer, 'set', \@at, $hash, $servers, \@others);
		is(found(\@others, map { http_content(kv_get($_, @at)) }
			@others), @others, "$name - we read what it writes");
		}
	}
}

###############################################################################

sub weights {
	my @weights = @_;
	return [map { "$tcp[$_]=$weights[$_]" } 0 .. $#weights];
}

# With the port that stands behind its number here, as the configuration has it.
sub real {
	my ($server) = @_;
	return $server =~ s/(?<=^127\.0\.0\.1:)(8\d{3})/port($1)/er;
}

# Keys with a tag, with two, with an empty one, and with half of one.
sub tagged {
	my ($name) = @_;
	return map { ("{$_}$name", "$name\{$_}{cow}", "$name\{}$_", "{$name:$_") }
		1 .. 50;
}

# How many values are those of their keys.
sub found {
	my ($keys, @values) = @_;
	return scalar grep { ($values[$_] // '') eq "<$keys->[$_]>" }
		0 .. $#$keys;
}

# How many memcacheds have any of the keys.
sub holders {
	my ($keys, @memcacheds) = @_;
	return scalar grep { my $m = $_;
		grep { defined $m->get($_) } @$keys } @memcacheds;
}

sub ask {
	my ($peer, $action, $at, $hash, $servers, $keys) = @_;

	return map { http_content(http_get("/stock/$_", @$at)) } @$keys
		if $peer eq 'nginx';

	my ($name, $word) = split ' ', $peer;
	return ask_twemproxy($action, $keys, $word ? 8094 : 8090)
		if $name eq 'twemproxy';
	return $peers->ask($name, $action, join(' ', $hash, $word // ()),
		$servers, $keys);
}

###############################################################################

# It is asked in memcached's old protocol, like all that it is put before.
sub ask_twemproxy {
	my ($action, $keys, $port) = @_;
	my $s = IO::Socket::INET->new(Proto => 'tcp',
		PeerAddr => '127.0.0.1:' . port($port))
		or die "Can't connect to nutcracker: $!\n";
	my @values;

	local $/ = "\r\n";

	for my $key (@$keys) {
		my $value = "<$key>";

		print $s $action eq 'get' ? "get $key\r\n"
			: "set $key 0 0 " . length($value) . "\r\n$value\r\n";

		chomp(my $line = <$s> // '');

		if ($line =~ /^VALUE /) {
			chomp($line = <$s> // '');
			<$s>;
		}

		push @values, $line;
	}

	return @values;
}

###############################################################################

sub nginx_conf {
	my (@clusters) = @_;

	return <<"EOF";

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    @{[ map { cluster(@$_) } @clusters ]}
}

EOF
}

sub cluster {
	my ($port, $hash, $servers, undef, $directives) = @_;
	my @ours = map { 'memcache_server ' . (s/=/ weight=/r) . ';' } @$servers;
	my @stock = map { 'server ' . (s/=/ weight=/r) . ';' } @$servers;
	my $word = $hash eq 'consistent' ? $hash : '';

	return <<"EOF";
    upstream stock$port {
        hash \$memcached_key $word;
        @stock
    }

    server {
        listen       127.0.0.1:$port;
        server_name  localhost;

        memcache_hash $hash;
        @ours
        @{[ $directives // '' ]}

        location /kv/ {
            memcache_kv on;
        }

        location ~ ^/stock/(.*) {
            set \$memcached_key \$1;
            memcached_pass stock$port;
        }
    }
EOF
}

###############################################################################
