#!/usr/bin/perl

# Tests for memcache module: which server has a key.  The engine is compared,
# key for key, with the clients that it can share a cluster with: stock nginx,
# libmemcached, PHP, apr_memcache and the crate "memcache".  All of them are
# the real ones.

###############################################################################

use warnings;
use strict;

use Compress::Zlib qw/ crc32 /;
use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache qw/ conf escape http_content /;
use Test::Peers;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# Lists of servers.  With 7 and 50 of them, and in "fractions", ketama's points
# depend on the precision that they are computed with.  In "uneven" one server
# is too light to get any.  The two of "shared" have a point in common in
# nginx's ring, those of "shared2" in ketama's.

my %lists = (
	one => ['10.0.0.1:11211'],
	two => ['10.0.0.1:11211', '10.0.0.2:11211'],
	three => [map { "10.0.0.$_:11211" } 1 .. 3],
	ports => [map { "10.0.0.1:$_" } 11210 .. 11216],
	fifty => [map { "10.1.$_.1:11211" } 1 .. 50],
	weights => ['10.0.0.1:11211=3', '10.0.0.2:11211', '10.0.0.3:11212=2'],
	fractions => [map { "10.2.0.$_:11211=" . ($_ * $_ % 17 + 1) } 1 .. 15],
	uneven => ['10.0.0.1:11211=500', '10.0.0.2:11211', '10.0.0.3:11211=7'],
	shared => ['10.3.2.128:11211', '10.3.5.16:11211'],
	reversed => ['10.3.5.16:11211', '10.3.2.128:11211'],
	shared2 => ['10.3.0.3:11211', '10.3.2.250:11211'],
	reversed2 => ['10.3.2.250:11211', '10.3.0.3:11211'],
	IPv6 => ['[2001:db8::1]:11211', '[2001:db8::1]:11212',
		'[2001:db8::2]:11211', '10.0.0.1:11211=2'],
	sockets => ['unix:/run/a.sock', 'unix:/run/b.sock=2',
		'unix:/run/c:1', '10.0.0.1:11211'],
	names => [map { "localhost:$_" } 11211 .. 11215],
	domains => ['cache1.example.com:11211', 'cache2.example.com:11212=2',
		'CACHE2.example.com:11212', 'cache:11211'],
);

my @equal = qw/ one two three ports fifty /;
my @weighted = qw/ weights fractions uneven IPv6 sockets /;
my @ketama = (@equal, @weighted, qw/ shared2 reversed2 names domains /);

# Peer, hash, lists.  nginx can be given only names that it can resolve, and
# counts every address of a name, which changes what "modulo" is taken of.

my @comparisons = (
	['nginx', 'modulo', [@equal, @weighted]],
	['nginx', 'consistent',
		[@equal, @weighted, qw/ shared reversed names /]],
	['libmemcached', 'modulo', [@equal, 'names']],
	['libmemcached', 'ketama', [@ketama]],
	['libmemcached', 'one_at_a_time', [@equal, 'names']],
	['php', 'one_at_a_time', [@equal, 'names']],
	['php', 'ketama', [@ketama]],
	['apr_memcache', 'modulo', [@equal, 'names']],
	['memcache_crate', 'rendezvous', [@equal, 'names']],
);

plan(skip_all => 'no module of ours is in this nginx, and it would be slow')
	if $ENV{VALGRIND_NGINX};

my $t = Test::Nginx->new()->has(qw/http proxy rewrite ssi upstream_hash/)
	->plan(2 + map { @{ $_->[2] } } @comparisons);

my $peers = Test::Peers->new($t);

my @zero = keys_of_hash_zero(3);
my @keys = (keys_of_all_shapes(), @zero);

$t->write_file_expand('nginx.conf', conf(nginx_conf()));
write_pages($t);
$t->run();

###############################################################################

cmp_ok(@keys, '>=', 10000, 'keys');

my %ours;

for (@comparisons) {
	my ($peer, $hash, $lists) = @$_;

	SKIP: {
	my $lacks = $peers->lacks($peer);
	skip $lacks, scalar @$lists if $lacks;

	for my $list (@$lists) {
		my $servers = $lists{$list};
		my @ours = @{ $ours{$hash}{$list} //= [$peers->ask('engine',
			'route', $hash, $servers, \@keys)] };
		my @theirs = $peer eq 'nginx' ? ask_nginx($t, $hash, $list)
			: $peers->ask($peer, 'route', $hash, $servers, \@keys);

		# apr_memcache takes a hash of 0 for 1; the others do not
		@ours[-@zero .. -1] = (1 % @$servers) x @zero
			if $peer eq 'apr_memcache';

		is(differences(\@ours, \@theirs), '', "$hash, $peer - $list");
	}
	}
}

is(join(' ', grep { used($ours{consistent}{$_}) != @{ $lists{$_} } }
	@equal, @weighted), '', 'every server has keys');

###############################################################################

# Short and long, of characters that other clients send as they are, and of
# some that are hashed by all of them, but not sent.
sub keys_of_all_shapes {
	return (map { chr } 33 .. 126, 128 .. 255),
		(map { "key$_" } 1 .. 4000),
		(map { sprintf 'session:%08x-%04x', $_ * 2654435761 % 2**32, $_ }
			1 .. 3000),
		(map { "page//example.com/?a=$_&b=\"\$c\"#%41" } 1 .. 1500),
		(map { "k\xc3\xbch \xe7\x89\x9b $_" } 1 .. 100),
		(map { $_ x 3 } 0 .. 999),
		# these are on points of "fifty", in nginx's ring and in ketama
		(map { "point$_" } 176645, 1921816, 952540, 1671099),
		(map { sprintf '%s:%d', 'x' x $_, $_ } 1 .. 246);
}

# Keys whose hash is 0 in "modulo".
sub keys_of_hash_zero {
	my ($count) = @_;
	my @found;

	for (my $n = 0; @found < $count; $n++) {
		push @found, "zero$n" if !((crc32("zero$n") >> 16) & 0x7fff);
	}

	return @found;
}

# How many keys are on different servers, and the first of them.
sub differences {
	my ($ours, $theirs) = @_;
	my ($first, @others) = grep { $ours->[$_] ne ($theirs->[$_] // 'none') }
		0 .. $#keys;

	return '' unless defined $first;
	return 1 + @others . ' of ' . @keys . ', such as '
		. escape($keys[$first]) . ": $ours->[$first] here, "
		. ($theirs->[$first] // 'none') . ' there';
}

sub used {
	my ($numbers) = @_;
	my %used = map { ($_ => 1) } @$numbers;
	return scalar keys %used;
}

###############################################################################

# nginx is asked by pages of server-side includes.  Each is a request to an
# upstream, of which the error log says what server was chosen: nobody can be
# connected from the address that is bound, since it is of another family, and
# not ours.

use constant PAGE => 250;

sub nginx_conf {
	return <<"EOF";

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    access_log off;
    error_log  %%TESTDIR%%/chosen.log crit;

    @{[ map { upstream('modulo', $_), upstream('consistent', $_) }
        grep { $_ ne 'domains' } sort keys %lists ]}

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location ~ ^/page(?<page>\\d+)/(?<upstream>\\w+)\$ {
            ssi on;
            ssi_value_length 1024;
            default_type text/html;
            alias %%TESTDIR%%/\$page.html;
        }

        location ~ "^/\\d+/(?<key>(?s:.*))\$" {
            proxy_pass http://\$upstream;
            proxy_bind 2001:db8::1;
        }
    }
}

EOF
}

sub upstream {
	my ($hash, $list) = @_;
	my $word = $hash eq 'modulo' ? '' : $hash;
	my @servers = map { my ($address, $weight) = split /=/;
		"server $address weight=@{[ $weight // 1 ]};" }
		@{ $lists{$list} };

	return "upstream ${hash}_$list { hash \$key $word; @servers }\n";
}

sub write_pages {
	my ($t) = @_;

	for (my $n = 0; $n < @keys; $n += PAGE) {
		my $last = $n + PAGE > @keys ? $#keys : $n + PAGE - 1;
		$t->write_file("$n.html", join '', map {
			"<!--#include virtual=\"/$_/" . escape($keys[$_])
			. '" -->' } $n .. $last);
	}
}

sub ask_nginx {
	my ($t, $hash, $list) = @_;
	my ($n, %number, @chosen) = (0);

	for (@{ $lists{$list} }) {
		my ($address) = split /=/;
		$number{$_} = $n for $address, $address =~ s/localhost/[::1]/r,
			$address =~ s/localhost/127.0.0.1/r;
		$n++;
	}

	$t->write_file('chosen.log', '');
	http_get("/page$_/${hash}_$list")
		for grep { $_ % PAGE == 0 } 0 .. $#keys;

	my $log = $t->read_file('chosen.log');

	$chosen[$1] = $number{$2} // $2 while $log
		=~ m!subrequest: "/(\d+)/.*?upstream: "http://(\S+?):?/\1/!g;

	return @chosen;
}

###############################################################################
