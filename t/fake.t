#!/usr/bin/perl

# Tests for memcache module: servers that break the protocol.  Names that
# begin with an F and a number are rows of the fault matrix.  In every row
# nobody ever gets what is another's, or a part of a value.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->plan(90)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_max_fails 65535;
    memcache_timeout 5s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_max_value 10k;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # one connection and no more
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 max=4;
        memcache_pipeline 1;

        location /kv/ {
            memcache_kv on;
        }
    }

    # an HTTP server
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8080;
        memcache_max_fails 3;

        location /kv/ {
            memcache_kv on;
        }
    }

    # a memcached without the meta protocol
    server {
        listen       127.0.0.1:8085;
        server_name  localhost;

        memcache_server 127.0.0.1:8086;
        memcache_max_fails 3;

        location /kv/ {
            memcache_kv on;
        }
    }

    # one that accepts and is silent
    server {
        listen       127.0.0.1:8087;
        server_name  localhost;

        memcache_server 127.0.0.1:8088;
        memcache_timeout 300ms;
        memcache_connect_timeout 300ms;

        location /kv/ {
            memcache_kv on;
        }
    }

    # the first one again, for less patience
    server {
        listen       127.0.0.1:8089;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 max=1;
        memcache_timeout 500ms;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

# what a get of "KIND" or "KIND:ANYTHING" is answered with
my %kind = (
	garbage => sub { "garbage\r\n" },
	number => sub { "12\r\n" },
	blank => sub { "\r\n" },
	nul => sub { "HD\0\r\n" },
	# in a flag that nobody has asked for, and that is not looked at
	hidden => sub { $_[0]->answer() =~ s/\r\n/ x\0y\r\n/r },
	carriage => sub { $_[0]->answer() =~ s/\r\n/ x\ry\r\n/r },
	feed => sub { $_[0]->answer() =~ s/\r\n/\n/r },
	long => sub { 'x' x 20000 },
	trailer => sub { $_[0]->answer() =~ s/\r\n\z/XX/r },
	end => sub { $_[0]->answer() =~ s/\r\n\z/\rX/r },
	short => sub { $_[0]->answer() =~ s/(?<=VA )\d+/2/r },
	large => sub { my $value = 'x' x 10241;
		$_[0]->answer() =~ s/VA \d+(.*\r\n)[^\n]*/VA 10241$1$value\r/r },
	length => sub { my $n = (split /:/, $_[0]{key}, 2)[1];
		$_[0]->answer() =~ s/(?<=VA )\d+/$n/r },
	opaque => sub { $_[0]->answer() =~ s/ O\w+/ O31337/r },
	plain => sub { $_[0]->answer() =~ s/ O\w+//r },
	word => sub { $_[0]->answer() =~ s/^\w+/HX/r },
	store => sub { $_[0]->line('NS') },
	classic => sub { "VALUE $_[0]{key} 0 1\r\nx\r\nEND\r\n" },
	twice => sub { ($_[0]->answer()) x 2 },
	unasked => sub { ($_[0]->answer(), \0.1, "HD O1\r\n") },
	lost => sub { $_[0]{kept}{lost}++ ? $_[0]->answer() : () },
	swapped => sub {
		my ($r) = @_;
		my $first = delete $r->{kept}{first};
		return ($r->answer(), $first) if defined $first;
		$r->{kept}{first} = $r->answer();
		return;
	},
	cut => sub { (without_end($_[0]), CLOSE) },
	rst => sub { (without_end($_[0]), RESET) },
	drip => sub { map { ($_, \0.001) } split //, $_[0]->answer() },
	slow => sub { map { ($_, \0.2) } split //, $_[0]->answer() },
	close => sub { ($_[0]->answer(), CLOSE) },
	finish => sub { ($_[0]->answer(), FINISH) },
	memory => sub { "SERVER_ERROR out of memory reading request\r\n" },
	error => sub { "ERROR\r\n" },
	client => sub { "CLIENT_ERROR bad command line format\r\n" },
);

Test::Memcached::Fake->start($t, port(8081), sub {
	my ($request) = @_;
	my ($kind) = split /:/, $request->{key};

	return $request->answer() if $request->{verb} ne 'mg'
		|| !$kind{$kind};
	return $kind{$kind}->($request);
});

Test::Memcached::Fake->start($t, port(8083), sub {
	my ($request) = @_;
	my $held = $request->{fake}{held} //= [];

	# the second connection and all others are refused
	return $request->{verb} eq 'mg' ? (\0.01, $request->answer())
		: $request->answer();
}, greeting => sub { $_[0] > 1
	? ("ERROR Too many open connections\r\n", RESET) : () });

Test::Memcached::Fake->start($t, port(8086), undef, raw => sub { "ERROR\r\n" });
Test::Memcached::Fake->start($t, port(8088), undef, raw => sub { () });

$t->run();

###############################################################################

is(code(kv_put('a', 'A')), 204, 'set');
is(content(kv_get('a')), '200 A', 'get');

# one bad answer to one get: an error, and the next ones are right

my @cases = (
	(map { ["F15 $_", $_] } qw/ garbage number blank word store classic /),
	(map { ["F16 length $_", "length:$_"] } qw/ 2147483648
		9223372036854775808 18446744073709551616 18446744073709551623 -1 0x10 +1 /,
		'1' x 30, ''),
	['F18 trailer', 'trailer'],
	['F18 end of the trailer', 'end'],
	['F18 too short a length', 'short'],
	['F19 no opaque', 'plain'],
	['F19 wrong opaque', 'opaque'],
	['F25 long line', 'long'],
	['F26 bare line feed', 'feed'],
	['F26 NUL', 'nul'],
	['F26 NUL in a flag', 'hidden'],
	['F26 CR in a flag', 'carriage'],
	['F27 SERVER_ERROR', 'memory'],
	['F29 ERROR', 'error'],
	['F29 CLIENT_ERROR', 'client'],
);

for (@cases) {
	my ($name, $key) = @$_;

	kv_put($key, 'a value');
	is(code(kv_get($key)), 502, $name);
	is(content(kv_get('a')), '200 A', "$name - get behind");
}

# what is larger than memcache_max_value is skipped

kv_put('large', 'a value');
is(code(kv_get('large')), 502, 'F17 too large a value');
is(content(kv_get('a')), '200 A', 'F17 too large a value - get behind');

# with others on the way: each gets its own, or an error

for (['F20 duplicated', 'twice'], ['F21 swapped', 'swapped'],
	['F19 missing', 'lost'], ['F22 unsolicited', 'unasked'],
	['F15 garbage', 'garbage'], ['F10 close', 'close'])
{
	my ($name, $kind) = @$_;
	my @keys = map { ("$kind:$_", "plainly$_") } 1 .. 5;

	kv_put($_, "<$_>") for @keys;
	my @got = map { content($_) } http_many(map { ['GET', $_] } @keys);
	is_deeply([grep { $got[$_] ne "200 <$keys[$_]>" && $got[$_] !~ /^502/ }
		0 .. $#keys], [], "$name among others");
	is(content(kv_get('a')), '200 A', "$name among others - get behind");
}

# cut off anywhere, in the value or before it, it is no answer

for my $kind ('cut', 'rst') {
	my @keys = map { "$kind:$_" } 1 .. 14, map { 3 * $_ } 5 .. 16;
	my $wrong = 0;

	for (@keys) {
		kv_put($_, "0123456789");
		$wrong++ if code(kv_get($_)) != 502;
		$wrong++ if content(kv_get('a')) ne '200 A';
	}

	is($wrong, 0, $kind eq 'cut' ? 'F7 cut off' : 'F8 reset');
}

# in small pieces

kv_put('drip', join "\r\n", 1 .. 20);
is(content(kv_get('drip')), '200 ' . join("\r\n", 1 .. 20), 'F13 in pieces');
kv_put('slow', 'x' x 100);
is(code(kv_get('slow', PeerAddr => '127.0.0.1:' . port(8089))), 504,
	'F12 too slow');

# a connection that the server ended is not used again

kv_put('close', 'c');
kv_put('finish', 'f');
is(join(' ', map { content(kv_get('close')) } 1 .. 5),
	join(' ', ('200 c') x 5), 'F10 closed');
is(join(' ', map { content(kv_get('finish')) } 1 .. 5),
	join(' ', ('200 f') x 5), 'F9 half closed');

# an answer that nobody waits for

kv_put('unasked', 'x');
is(content(kv_get('unasked')), '200 x', 'F22 unsolicited');
ok(wait_for(sub { server_status(port(8081))->{connections}{open} == 0 }),
	'F22 unsolicited - closed');
is(content(kv_get('a')), '200 A', 'F22 unsolicited - get behind');

# too many connections: those that there are do the work

my $limited = '127.0.0.1:' . port(8082);
is(code(kv_put('a', 'B', PeerAddr => $limited)), 204, 'F5 limit - set');
my @many = map { kv_get('a', PeerAddr => $limited, start => 1) } 1 .. 50;
is_deeply([map { content($_) } read_all(@many)],
	[('200 B') x 50], 'F5 limit - no get fails');

# other services

is(code(kv_get('a', PeerAddr => '127.0.0.1:' . port(8084))), 503,
	'F62 wrong service');
is(code(kv_get('a', PeerAddr => '127.0.0.1:' . port(8085))), 503,
	'F63 no meta protocol');
like(code(kv_get('a', PeerAddr => '127.0.0.1:' . port(8087))), qr/^50[34]$/,
	'F37 silent');

my $log = messages($t);
my ($http, $old) = map { '127.0.0.1:' . port($_) } 8080, 8086;

like($log, qr/"$http" is not a memcached server/, 'F62 logged');
like($log, qr/"$old" is not a memcached server|$old.*meta/, 'F63 logged');
like($log, qr/unexpected reply from "127.0.0.1:\d+", closing connection/,
	'F15 logged');
unlike($log, qr/unexpected reply.*(garbage|value)/,
	'F15 not quoted: it may be a value');

###############################################################################

# The answer to "KIND:NUMBER" without so many bytes at its end.
sub without_end {
	my ($request) = @_;
	return substr $request->answer(), 0, -(split /:/, $request->{key})[1];
}

###############################################################################
