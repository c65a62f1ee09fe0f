#!/usr/bin/perl

# Tests for memcache module: how long items live (R3).  memcached reads moments
# of 31 bits: a life beyond January 2038 is not to be one that is over, or an
# error.

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

my @ttls = (60, 2592000, 2592001, 340000000, 360000000, 2147483646, 2147483647,
	2147483648, 4294967295);

# every way to say how long an item lives
my %doors = (
	set => sub { kv_put('k', '5', args => "ttl=$_[0]", @_[1 .. $#_]) },
	add => sub { kv_put('k', '5', args => "ttl=$_[0]",
		headers => ['If-None-Match: *'], @_[1 .. $#_]) },
	initial => sub { kv_post('k', "incr=1&initial=5&ttl=$_[0]",
		@_[1 .. $#_]) },
	touch => sub { existing(@_[1 .. $#_]);
		kv_post('k', "touch=$_[0]", @_[1 .. $#_]) },
	gat => sub { existing(@_[1 .. $#_]);
		kv_post('k', "gat=$_[0]", @_[1 .. $#_]) },
	invalidate => sub { existing(@_[1 .. $#_]);
		kv_post('k', "invalidate&ttl=$_[0]", @_[1 .. $#_]) },
);

$t->plan(@versions * (keys(%doors) + 3));

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $versions[$_]) } 0 .. $#versions;

$t->run();

###############################################################################

for my $i (0 .. $#versions) {
	my ($version, $m) = ($versions[$i], $memcacheds[$i]);
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));

	for my $door (sort keys %doors) {
		my %lives;

		for my $ttl (@ttls) {
			kv_delete('k', @at);
			my $code = code($doors{$door}->($ttl, @at));
			my $left = left($m, 'k');
			my $wanted = wanted($ttl);

			# some seconds may have passed
			$lives{$ttl} = "$code, " . ($left // 'gone')
				if $code !~ /^20/ || !defined $left
				|| abs($left - $wanted) > 30;
		}

		is_deeply(\%lives, {}, "R3 $version - $door");
	}

	# for ever is for ever, and what has another bound says so
	kv_put('k', '5', @at);
	is(left($m, 'k'), -1, "R3 $version - for ever");
	is(code(kv_post('k', 'lease=2592001', @at)) . ' '
		. code(kv_post('', 'flush_all=0&delay=2592001', @at)), '400 400',
		"R3 $version - 30 days at most");
	is($m->connections(), 1, "R3 $version - one connection");
}

###############################################################################

sub existing { kv_put('k', '5', args => 'ttl=90', @_) }

# Seconds that are to be left of this life.
sub wanted {
	my ($ttl) = @_;
	my $most = 0x7fffffff - time();
	return $ttl < $most ? $ttl : $most;
}

# Seconds that memcached says are left, undef if there is no item.
sub left {
	my ($m, $key) = @_;
	$m->send("mg $key t\r\n");
	return $m->line() =~ /^HD t(-?\d+)/ ? $1 : undef;
}

###############################################################################
