#!/usr/bin/perl

# Tests for memcache module: its interface, as a sibling in C uses it that was
# compiled with this header or an earlier one.

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

# sizes of the structures in ABI 1.0, 1.1, and, of results, 1.2
use constant { OP_1_0 => 120, OP => 128, SERVER_1_0 => 64, RESULT => 96 };

use constant { OK => 0, MISS => 1, NOT_STORED => 2, EXISTS => 3, INVALID => 36 };

use constant { INITIAL => 1, GET => 1, SET => 3, ADD => 4, REPLACE => 5,
	PREPEND => 7, DELETE => 8, VERSION => 12, LEASE => 13,
	APPEND => 6, INCR => 9, DECR => 10, INVALIDATE => 14, INSPECT => 15, NOOP => 16, STATS => 17,
	FLUSH_ALL => 18 };

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'abi');

$t->plan(74)->write_file_expand('nginx.conf', http_conf(<<'EOF', 'abi.so'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            abi;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

my $r;

###############################################################################

# with structures of 1.0, whatever is behind them

$r = call(op => SET, key => 'k', value => 'moo', size => OP_1_0);
is($r->{status}, OK, '1.0 - set');
is($m->get('k'), 'moo', '1.0 - stored');
$r = call(op => GET, key => 'k', size => OP_1_0);
is("$r->{status} $r->{value}", '0 moo', '1.0 - get');
like(call(op => VERSION, size => OP_1_0)->{value}, qr/^1\./, '1.0 - version');
is(call(op => DELETE, key => 'k', cas => 999999, size => OP_1_0)->{status},
	EXISTS, '1.0 - delete');

# in between there was never a version, but it does no harm
is(call(op => GET, key => 'k', size => OP_1_0 + 4)->{status}, OK,
	'between 1.0 and 1.1');

for my $size (0, 8, OP_1_0 - 8, OP_1_0 - 1) {
	is(call(op => GET, key => 'k', size => $size)->{refused}, INVALID,
		"$size bytes");
}

# with those of a later version, of which more is not known here

$r = call(op => GET, key => 'k', size => OP + 32);
is("$r->{status} $r->{value}", '0 moo', 'later');

# a place for a server

$r = call(place => SERVER_1_0);
is("$r->{status} $r->{size} $r->{written}",
	join(' ', OK, SERVER_1_0, SERVER_1_0), 'server');
$r = call(place => SERVER_1_0 + 64);
is("$r->{status} $r->{size} $r->{written}",
	join(' ', OK, SERVER_1_0 + 64, SERVER_1_0), 'server - a larger one');
is(call(place => SERVER_1_0 - 1)->{status}, INVALID, 'server - too small');
is(call(place => SERVER_1_0, server => 1)->{status}, INVALID,
	'server - there is none');

# leases

$r = call(op => LEASE, key => 'new', ttl => 1000);
is_deeply([@$r{qw/ size status lease stale value /}],
	[RESULT, MISS, 1, 0, ''], 'lease - won');
cmp_ok($r->{cas}, '>', 0, 'lease - version');

my $cas = $r->{cas};
$r = call(op => LEASE, key => 'new', ttl => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [MISS, 2, 0, ''],
	'lease - lost');
$r = call(op => LEASE, key => 'new', ttl => 1000, size => OP_1_0);
is_deeply([@$r{qw/ status lease /}], [MISS, 2], 'lease - 1.0');
is(call(op => SET, key => 'new', value => 'moo', ttl => 100, cas => $cas)
	->{status}, OK, 'lease - stored');
$r = call(op => LEASE, key => 'new', ttl => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [OK, 0, 0, 'moo'],
	'lease - none');

# what 1.0 has not got is 0, not what happens to be there
$r = call(op => LEASE, key => 'new', ttl => 1000, size => OP_1_0);
is_deeply([@$r{qw/ status lease /}], [OK, 0], 'recache - none by 1.0');
$r = call(op => LEASE, key => 'new', ttl => 1000, recache => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [OK, 1, 0, 'moo'],
	'recache - won');
$r = call(op => LEASE, key => 'new', ttl => 1000, recache => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [OK, 0, 0, 'moo'],
	'recache - good for others');

is(call(op => INVALIDATE, key => 'new', cas => $cas)->{status}, EXISTS,
	'invalidate - not the version');
is(call(op => INVALIDATE, key => 'new', ttl => 500)->{status}, OK,
	'invalidate');
like(call(op => INSPECT, key => 'new')->{ttl}, qr/^(500|49\d)$/,
	'invalidate - ttl');
is(call(op => INVALIDATE, key => 'new')->{status}, OK, 'invalidate again');
like(call(op => INSPECT, key => 'new')->{ttl}, qr/^(500|4[89]\d)$/,
	'invalidate again - ttl stays');
is(call(op => GET, key => 'new')->{status}, MISS, 'stale - get');
$r = call(op => LEASE, key => 'new', ttl => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [OK, 1, 1, 'moo'],
	'stale - won');
cmp_ok($r->{cas}, '>', $cas, 'stale - version');
$r = call(op => LEASE, key => 'new', ttl => 1000);
is_deeply([@$r{qw/ status lease stale value /}], [OK, 2, 1, 'moo'],
	'stale - lost');
cmp_ok($r->{cas}, '>', 0, 'stale - lost, version');
is(call(op => INVALIDATE, key => 'none')->{status}, MISS,
	'invalidate - missing');

is(call(op => LEASE, key => 'new', ttl => $_)->{refused}, INVALID,
	"lease - for $_ seconds") for 0, 2592001, 4294967295;
is(call(op => LEASE, key => 'none', ttl => 2592000)->{status}, MISS,
	'lease - for 30 days');
$r = call(op => LEASE, key => 'none', ttl => 100);
is_deeply([@$r{qw/ status lease /}], [MISS, 2], 'lease - lost');
is(call(op => SET, key => 'none', value => 'x', cas => $r->{cas})->{status},
	OK, 'lease - taken by the version of who lost');
is(call(op => LEASE, key => 'k', ttl => 1, recache => 2592001)->{refused},
	INVALID, 'recache - above 30 days');
is(call(op => LEASE, key => 'k', ttl => 1, recache => 2592000)->{status},
	OK, 'recache - 30 days');

# metadata

$m->set('m', 'four', 7);
$r = call(op => INSPECT, key => 'm');
is_deeply([@$r{qw/ status flags length ttl fetched stale leased value /}],
	[OK, 7, 4, 4294967295, 0, 0, 0, ''], 'inspect');
cmp_ok($r->{cas}, '>', 0, 'inspect - version');
call(op => GET, key => 'm');
call(op => INVALIDATE, key => 'm', ttl => 1000);
call(op => LEASE, key => 'm', ttl => 1000);
$r = call(op => INSPECT, key => 'm');
is_deeply([@$r{qw/ status length fetched stale leased /}],
	[OK, 4, 1, 1, 1], 'inspect - leased');
is(call(op => INSPECT, key => 'none2')->{status}, MISS, 'inspect - missing');

# one version of an item

$m->set('v', '7');
$r = call(op => GET, key => 'v');
my $old = $r->{cas};
for my $op (APPEND, PREPEND) {
	is(call(op => $op, key => 'v', value => '1', cas => $old + 1000)->{status},
		EXISTS, "$op, cas - another version");
	is(call(op => $op, key => 'novalue', value => '1', cas => $old)->{status},
		NOT_STORED, "$op, cas - missing");
}
is(call(op => APPEND, key => 'v', value => '1', cas => $old)->{status}, OK,
	'append, cas');
is(call(op => INCR, key => 'v', delta => 5, cas => $old)->{status}, EXISTS,
	'incr, cas - another version');
$r = call(op => INCR, key => 'v', delta => 5,
	cas => call(op => INSPECT, key => 'v')->{cas});
is("$r->{status} $r->{number}", '0 76', 'incr, cas');
$r = call(op => DECR, key => 'v', delta => 6,
	cas => call(op => INSPECT, key => 'v')->{cas});
is("$r->{status} $r->{number}", '0 70', 'decr, cas');
is(call(op => INCR, key => 'novalue', delta => 5, cas => $old)->{status}, MISS,
	'incr, cas - missing');

# servers

is(call(op => NOOP)->{status}, OK, 'noop');
is(call(op => NOOP, server => 1)->{refused}, INVALID, 'noop - no such server');
like(call(op => STATS)->{value}, qr/^pid \d+\n.*\nthreads 2\n.*\n$/s, 'stats');
is(call(op => FLUSH_ALL, ttl => 2592001)->{refused}, INVALID,
	'flush_all - above 30 days');
is(call(op => FLUSH_ALL, ttl => 2592000)->{status}, OK,
	'flush_all - in 30 days');
is($m->get('k'), 'moo', 'flush_all - not yet');
is(call(op => FLUSH_ALL)->{status}, OK, 'flush_all');
ok(wait_for(sub { !defined $m->get('k') }), 'flush_all - gone');

# fields that an operation has not got

is(call(op => GET, key => 'k', recache => 1)->{refused}, INVALID,
	'recache - get');
is(call(op => LEASE, key => 'k', ttl => 1, cas => 1)->{refused}, INVALID,
	'cas - lease');
is(call(op => INSPECT, key => 'k', cas => 1)->{refused}, INVALID,
	'cas - inspect');
is(call(op => $_, key => 'k', value => 'x', cas => 1)->{refused}, INVALID,
	"cas - $_") for ADD, REPLACE;
is(call(op => INCR, key => 'k', cas => 1, options => INITIAL)->{refused},
	INVALID, 'cas - incr with an initial number');
is(call(op => FLUSH_ALL, recache => 1)->{refused}, INVALID,
	'recache - flush_all');
is(call(op => LEASE, key => 'k', ttl => 1, options => 1)->{refused}, INVALID,
	'options - lease');
is(call(op => LEASE, key => 'k', ttl => 1, reserved => 1)->{refused}, INVALID,
	'reserved');
is(call(op => 19, key => 'k')->{refused}, INVALID, 'no such operation');

###############################################################################

# What the sibling says, as a hash.
sub call {
	my (%args) = @_;
	my $text = http_content(http_get('/?' . join '&',
		map { "$_=$args{$_}" } sort keys %args)) // '';
	my ($numbers, $value) = split / value=/, $text, 2;

	return { $numbers =~ /(\w+)=(\d+)/g,
		defined $value ? (value => $value) : () };
}

###############################################################################
