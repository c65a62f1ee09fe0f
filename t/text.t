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
use Test::Nginx::Text;
use Test::Memcached;
use Test::Memcached::Proxy;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# a server: its name, the protocol, and what it does not do
my @servers = (
	(map { [$_, 'auto'] } Test::Memcached->usable(1)),
	[(Test::Memcached->usable())[0], 'text'],
);

# those of a proxy
my @behind = 8050 .. 8052;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker')->plan((IN_TEXT + 12) * @servers + IN_TEXT + 14);

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
Test::Memcached->start($t, port($_)) for @behind;

start_twemproxy($t, port($_), [map { port($_) } @behind]) for 8060, 8062;

$t->run();

###############################################################################

for my $i (0 .. $#servers) {
	my ($version, $protocol) = @{$servers[$i]};
	in_text("$version $protocol", 8020 + $i, 8040 + $i);
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
in_text('twemproxy', 8080, 8060);

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
like(messages($t), qr/"127\.0\.0\.1:@{[port(8060)]}" speaks the text protocol: it has .*; the server does not know gats, stats/,
	'R29 twemproxy - said in the log');
is_deeply([grep { /\[(?:error|warn|alert|crit|emerg)\]/
	&& !/invalid key|is buffered to/ } messages($t)], [],
	'nothing to complain about');

like(messages($t), qr/\[info\] .*memcache: server 127\.0\.0\.1:@{[port(8060)]} speaks text: it does not know stats: nothing was done, client/,
	'twemproxy - what it does not know is said in the log');

my ($no) = grep { $_ } map { $_->{error} }
	@{status('/status?format=json&key=a%20b')->{routes}};
like($no, qr/^server 127\.0\.0\.1:\d+ speaks text: it takes no keys with spaces/,
	'a key that its server does not take - status');

# all kinds in one cluster

@at = (PeerAddr => '127.0.0.1:' . port(8083));
my @keys = map { "mixed-$_" } 1 .. 60;
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

###############################################################################
