#!/usr/bin/perl

# Tests for memcache module: servers that speak the text protocol.  memcached
# before 1.6.10 has other meta commands and runs the value of a store that it
# refuses (R2), memcached may be told to be spoken to in text, and twemproxy closes
# the connection of all that it does not know (R29).

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

# a server: its name, the protocol, and what it does not do
my @servers = (
	(map { [$_, 'auto'] } Test::Memcached->usable(1)),
	[(Test::Memcached->usable())[0], 'text'],
);

# three of a proxy, of which one ends
my @behind = 8050 .. 8052;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker')->plan(32 * @servers + 38);

my $blocks = join '', map { <<"EOF" } 0 .. $#servers;
    server {
        listen       127.0.0.1:@{[8020 + $_]};
        server_name  localhost;
        memcache_server 127.0.0.1:@{[8040 + $_]};
        memcache_protocol $servers[$_][1];
        location /kv/ { memcache_kv on; }
        location = /kv/ { memcache_kv on; }
    }
EOF

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $blocks));

    memcache_retry 100ms;
    memcache_connect_timeout 5s;
    memcache_timeout 5s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        location /status { memcache_status; }
        location /metrics { memcache_status prometheus; }

        # a proxy
        memcache_server 127.0.0.1:8060;
        location /kv/ { memcache_kv on; }
        location = /kv/ { memcache_kv on; }
    }

    # meta where it can be, by default
    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        memcache_server 127.0.0.1:8049;
        location /kv/ { memcache_kv on; }
    }

    # an old one, a new one and a proxy
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;
        memcache_server 127.0.0.1:8048;
        memcache_server 127.0.0.1:8047;
        memcache_server 127.0.0.1:8062;
        location /kv/ { memcache_kv on; }
    }

EOF

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $servers[$_][0]) } 0 .. $#servers;
my $new = Test::Memcached->start($t, port(8049));
my @mixed = (Test::Memcached->start($t, port(8047)),
	Test::Memcached->start($t, port(8048), version => $servers[0][0]));
my @parts = map { Test::Memcached->start($t, port($_)) } @behind;

start_twemproxy($t, 8060, @behind);
start_twemproxy($t, 8062, @behind);

$t->run();

###############################################################################

for my $i (0 .. $#servers) {
	my ($version, $protocol) = @{$servers[$i]};
	all("$version $protocol", 8020 + $i, 8040 + $i);
	on_server("$version $protocol", 8020 + $i);

	# memcached 1.6.45 takes the key for an option, and answers nothing

	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));
	is(code(kv_delete('noreply', @at)), 501,
		"$version $protocol - noreply is no key to delete");
	is(code(kv_put('noreply', 'moo', @at)), 204,
		"$version $protocol - but one to set");
	like(kv_get('noreply', @at), qr/\r\n\r\nmoo$/,
		"$version $protocol - and to get");

	my $server = server_status(port(8040 + $i));
	is("$server->{state} $server->{protocol} $server->{version} "
		. "$server->{connections}{failed}", "live text $version 0",
		"$version $protocol - status");
}

# new ones are spoken to in meta

my @at = (PeerAddr => '127.0.0.1:' . port(8081));
is(code(kv_put('a b', 'moo', @at)), 204, 'auto - binary key');
is(server_status(port(8049))->{protocol}, 'meta', 'auto - meta');

# twemproxy

@at = ();
all('twemproxy', 8080, 8060);

for my $on ('stats=0', 'flush_all=0') {
	my $method = $on =~ /^stats/ ? 'GET' : 'POST';
	is(code(kv_request($method, '', args => $on, @at)), 501,
		"twemproxy - $on");
}
is(code(kv_get('', args => 'noop=0', @at)), 204, 'twemproxy - noop');

my $server = server_status(port(8060));
is("$server->{state} $server->{protocol} $server->{connections}{failed} "
	. $server->{connections}{lost}, 'live text 0 0',
	'R29 twemproxy - what it closes is no failure');
like(messages($t), qr/"127\.0\.0\.1:@{[port(8060)]}" speaks the text protocol/,
	'R29 twemproxy - said in the log');
is_deeply([grep { /\[(?:error|warn|alert|crit|emerg)\]/
	&& !/invalid key|is buffered to/ } messages($t)], [],
	'nothing to complain about');

like(messages($t), qr/\[info\] .*memcache: server 127\.0\.0\.1:@{[port(8060)]} speaks text: it does not know stats: nothing was done, client/,
	'twemproxy - what it does not know is said in the log');

# many at once, each gets its own

my @keys = map { "many-$_" } 1 .. 200;
is(join(' ', map { code(kv_put($_, "<$_>", @at)) } @keys),
	join(' ', (204) x @keys), 'R29 twemproxy - many sets');
my @answers = http_many(map { ['GET', $_] } @keys);
is(scalar(grep { http_content($answers[$_]) ne "<$keys[$_]>" } 0 .. $#keys), 0,
	'R29 twemproxy - many gets at once');

# one of those behind it ends

my ($other) = grep { $parts[0]->classic_get($_) } @keys;
my ($mine) = grep { $parts[1]->classic_get($_) } @keys;
$parts[0]->kill_it();

like(code(kv_get($other, @at)) . code(kv_put($other, 'x', @at)),
	qr/^50\d50\d$/, 'R29 twemproxy - one behind it is dead');
is(content(kv_get($mine, @at)), "200 <$mine>", 'R29 twemproxy - others are not');
is(server_status(port(8060))->{state}, 'live', 'R29 twemproxy - it is live');

# all kinds in one cluster

@at = (PeerAddr => '127.0.0.1:' . port(8083));
@keys = map { "mixed-$_" } 1 .. 60;
my %codes;
$codes{code(kv_put($_, "<$_>", @at))}++ for @keys;
my @kept = grep { content(kv_get($_, @at)) eq "200 <$_>" } @keys;
is($codes{204}, @kept, 'a mixed cluster - what was stored is there');
cmp_ok(scalar @kept, '>', 30, 'a mixed cluster - most of it');
is(scalar(grep { server_status(port($_))->{operations}{set} } 8047, 8048, 8062),
	3, 'a mixed cluster - all have some');

like(http_get('/metrics'), qr/^memcache_server_protocol_info\{[^}]*protocol="text"\} 1/m,
	'metrics');

###############################################################################

# What all of them do, and what none of them does.
sub all {
	my ($name, $port, $server) = @_;
	my @at = (PeerAddr => '127.0.0.1:' . port($port));
	my $tag = sub { 'If-Match: ' . header(kv_get($_[0], @at), 'ETag') };

	is(code(kv_get('cow', @at)), 404, "$name - miss");
	is(code(kv_put('cow', 'moo', @at, args => 'ttl=100',
		headers => ['X-Memcache-Flags: 7'])), 204, "$name - set");
	my $found = kv_get('cow', @at);
	is(content($found) . ' ' . header($found, 'X-Memcache-Flags'),
		'200 moo 7', "$name - get");
	is(code(kv_put('cow', 'new', @at, headers => ['If-None-Match: *'])), 412,
		"$name - add, there");
	is(code(kv_put('calf', 'new', @at, headers => ['If-None-Match: *'])), 201,
		"$name - add");
	is(code(kv_put('cow', 'moo!', @at, headers => [$tag->('cow')])), 204,
		"$name - compare and swap");
	is(code(kv_put('cow', 'no', @at, headers => ['If-Match: "1-1"'])), 412,
		"$name - compare and swap, another version");
	is(code(kv_post('cow', 'append', @at, value => '>')) . code(
		kv_post('cow', 'prepend', @at, value => '<')), '204204', "$name - extend");
	is(content(kv_get('cow', @at)), '200 <moo!>', "$name - extended");
	is(code(kv_post('none', 'append', @at, value => '>')), 404,
		"$name - append, not there");
	is(join(' ', map { content(kv_post('n', $_, @at)) =~ s/^404\K.*//sr } 'incr=1',
		'incr=1&initial=5&ttl=60', 'incr=2&initial=5', 'decr=3', 'decr=100'),
		'404 200 5 200 7 200 4 200 0', "$name - count");
	is(code(kv_post('calf', 'incr=1', @at)), 409, "$name - no number");
	is(code(kv_delete('n', @at)) . code(kv_delete('n', @at)), '204404',
		"$name - delete");
	is(code(kv_post('calf', 'touch=100', @at)) . code(
		kv_post('none', 'touch=100', @at)), '204404', "$name - touch");
	is(content(kv_get('', @at, args => 'keys=cow,none,calf')),
		'200 <moo!>new', "$name - several");

	is(join(' ', map { code(kv_post('cow', $_, @at)) } 'lease=10',
		'invalidate'), '501 501', "$name - neither leases nor stale items");
	my $why = "server 127.0.0.1:@{[port($server)]} speaks text: it has no metadata";
	like(kv_get('cow', @at, args => 'inspect'),
		qr/ 501 .*\r\n\r\n\Q$why\E: nothing was done$/s, "$name - metadata");
	is(code(kv_delete('cow', @at, headers => [$tag->('cow')])), 501,
		"$name - delete of a version");
	is(join(' ', map { code($_) } kv_get('a b', @at),
		kv_put("a\r\nflush_all", 'x', @at)), '400 400', "$name - binary keys");
	is(content(kv_get('cow', @at)), '200 <moo!>', "$name - nothing was done");
}

# What some of them do.
sub on_server {
	my ($name, $port) = @_;
	my @at = (PeerAddr => '127.0.0.1:' . port($port));
	my @bodies = ("flush_all", "flush_all\r\nset cow 0 0 3\r\nbad", "\r\n",
		'x' x 100_000, "END\r\nVALUE cow 0 3 1\r\nbad\r\nEND");

	is(content(kv_post('cow', 'gat=100', @at)), '200 <moo!>', "$name - gat");
	is(code(kv_post('none', 'gat=100', @at)), 404, "$name - gat, miss");
	like(kv_get('', @at, args => 'stats=0'), qr/^pid \d+$/m, "$name - stats");
	is(code(kv_get('', @at, args => 'noop=0')), 204, "$name - noop");
	my @kept = map { kv_put('body', $_, @at); http_content(kv_get('body', @at)) }
		@bodies;
	is_deeply(\@kept, \@bodies, "R2 $name - values are values");
	is(content(kv_get('cow', @at)), '200 <moo!>', "R2 $name - nothing is run");
	is(code(kv_post('', 'flush_all=0', @at)), 204, "$name - flush_all");
	is(code(kv_get('cow', @at)), 404, "$name - all is gone");
}

sub start_twemproxy {
	my ($t, $port, @ports) = @_;
	my $lines = join '', map { "  - 127.0.0.1:$_:1\n" } @ports;

	$t->write_file_expand("nutcracker-$port.yml", <<"EOF");
pool:
  listen: 127.0.0.1:$port
  hash: md5
  distribution: ketama
  auto_eject_hosts: false
  timeout: 1000
  servers:
$lines
EOF

	$t->run_daemon('nutcracker', '-c', $t->testdir() . "/nutcracker-$port.yml",
		'-o', $t->testdir() . '/nutcracker.log', '-a', '127.0.0.1',
		'-s', port($port + 1));
	$t->waitforsocket('127.0.0.1:' . port($port))
		or die "Can't start nutcracker; Debian's package is nutcracker\n";
}

###############################################################################
