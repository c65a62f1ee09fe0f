#!/usr/bin/perl

# Tests for memcache module: proxies with three memcacheds behind them, of which
# one ends.  twemproxy closes the connection of what it does not know (R29);
# memcached's own proxy speaks meta, and that of 1.6.45 closes at flush_all;
# mcrouter is a scripted one, see lib/Test/Memcached/Mcrouter.pm.

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
use Test::Memcached::Mcrouter;
use Test::Memcached::Proxy;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# a proxy: its name, what starts it on a port for servers on others, and the
# words of what it knows
my @proxies = (
	['twemproxy', sub { start_twemproxy(@_) }, ''],
	['twemproxy, ejects', sub { start_twemproxy(@_,
		auto_eject_hosts => 'true', server_failure_limit => 1,
		server_retry_timeout => 60000) }, 'ejects'],
	['mcrouter', sub { Test::Memcached::Mcrouter->start(@_) },
		'gat stats'],
	['old mcrouter', sub { Test::Memcached::Mcrouter->start(@_,
		unknown => qr/^gat/) }, 'stats'],
	map { my $version = $_; ["memcached $version", sub {
		start_memcached_proxy($version, @_) }, 'meta gat stats'] }
		memcached_proxies(),
);

my $meta = grep { $_->[2] =~ /meta/ } @proxies;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker')
	->plan(18 * @proxies + IN_TEXT * (@proxies - $meta) + 10 * $meta + 4);

my $blocks = join '', map { <<"EOF" } 0 .. $#proxies;
    server {
        listen       127.0.0.1:@{[8020 + $_]};
        server_name  localhost;
        memcache_server 127.0.0.1:@{[8040 + $_]};
        location /kv/ { memcache_kv on; }
        location = /kv/ { memcache_kv on; }
    }
EOF

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $blocks));

    memcache_retry 100ms;
    memcache_connect_timeout 5s;
    memcache_timeout 5s;
    client_body_buffer_size 2m;
    client_max_body_size 2m;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        memcache_server 127.0.0.1:8040;
        location /status { memcache_status; }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        memcache_server 127.0.0.1:8091;
        location /kv/ { memcache_kv on; }
    }

EOF

my @parts;

for my $i (0 .. $#proxies) {
	my @ports = map { port(8100 + 3 * $i + $_) } 0 .. 2;
	$parts[$i] = [map { Test::Memcached->start($t, $_) } @ports];
	$proxies[$i][1]->($t, port(8040 + $i), \@ports);
	$t->waitforsocket('127.0.0.1:' . port(8040 + $i))
		or die "Can't start $proxies[$i][0]\n";
}

$t->run();

###############################################################################

for my $i (0 .. $#proxies) {
	my ($name, undef, $knows) = @{$proxies[$i]};
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));

	$knows =~ /meta/ ? in_meta($name, @at)
		: in_text($name, 8020 + $i, 8040 + $i);

	like(content(kv_post('cow', 'gat=100', @at)),
		$knows =~ /gat/ ? qr/^200 <moo!>$/ : qr/^501 /, "$name - gat");
	is(code(kv_get('', @at, args => 'stats=0')),
		$knows =~ /stats/ ? 200 : 501, "$name - stats");
	is(code(kv_get('', @at, args => 'noop=0')), 204, "$name - noop");

	# a large value, and keys of which a proxy might hash a part

	my $large = 'x' x 1_040_000;
	is(code(kv_put('large', $large, @at)), 204, "$name - a large value");
	ok(http_content(kv_get('large', @at)) eq $large, "$name - it is there");

	my @keys = ('{a}', '{a}b', '{', '}{', 'a{}b', 'x' x 250);
	is(join(' ', map { kv_put($_, "<$_>", @at);
		http_content(kv_get($_, @at)) } @keys),
		join(' ', map { "<$_>" } @keys), "$name - keys");

	my $server = server_status(port(8040 + $i));
	is("$server->{state} $server->{protocol} $server->{connections}{failed} "
		. $server->{connections}{lost}, 'live '
		. ($knows =~ /meta/ ? 'meta' : 'text') . ' 0 0',
		"R29 $name - what it closes is no failure");

	under_load($name, @at);
	one_dead($i, $name, @at);
	flushed($name, @at);
}

# a server of twemproxy's that does not answer in time: it says so, and is live

my @at = (PeerAddr => '127.0.0.1:' . port(8081));
my $slow = Test::Memcached->start($t, port(8090));
start_twemproxy($t, port(8091), [port(8090)], timeout => 100);

is(code(kv_put('slow', 'x', @at)), 204, 'twemproxy, timeout - set');
$slow->pause();
is(join(' ', map { code(kv_get('slow', @at)) } 1 .. 5), '502 502 502 502 502',
	'twemproxy, timeout - its server hangs');
my $server = server_status(port(8091));
is("$server->{state} $server->{errors}{timeout} $server->{errors}{server}",
	'live 0 5', 'twemproxy, timeout - it is live itself');
$slow->resume();
is(wait_for(sub { content(kv_get('slow', @at)) eq '200 x' }), 1,
	'twemproxy, timeout - its server goes on');

###############################################################################

# Each gets its own, all at once.
sub under_load {
	my ($name, @at) = @_;
	my @keys = map { "many-$_" } 1 .. 200;

	my @codes = map { code($_) } read_all(map { kv_put($_, "<$_>", @at,
		start => 1) } @keys);
	is_deeply([grep { $_ ne 204 } @codes], [], "R29 $name - many sets");

	my @answers = map { content($_) } read_all(map { $_ % 4
		? kv_get($keys[$_], @at, start => 1)
		: kv_post('count', 'incr=1&initial=1', @at, start => 1)
		} 0 .. $#keys);
	is_deeply([grep { $answers[$_] ne "200 <$keys[$_]>" } grep { $_ % 4 }
		0 .. $#keys], [], "R29 $name - many gets");
	is(join(' ', sort { $a <=> $b } map { /^200 (\d+)$/ }
		@answers[grep { $_ % 4 == 0 } 0 .. $#keys]),
		join(' ', 1 .. 50), "R29 $name - many counts between them");
	is(http_content(kv_get('', @at, args => 'keys='
		. join ',', @keys[0 .. 99])), join('', map { "<$_>" } @keys[0 .. 99]),
		"R29 $name - a get of many");
}

# One of those behind it ends.
sub one_dead {
	my ($i, $name, @at) = @_;
	my @keys = map { "many-$_" } 1 .. 200;
	my ($dead, @live) = @{$parts[$i]};
	my @lost = grep { defined $dead->classic_get($_) } @keys;
	my @kept = grep { my $key = $_;
		grep { defined $_->classic_get($key) } @live } @keys;
	my $ejects = $proxies[$i][2] =~ /ejects/;

	$dead->kill_it();

	like(code(kv_get($lost[0], @at)), $ejects ? qr/^(?:502|404)$/ : qr/^502$/,
		"R29 $name - one behind it is dead");
	is(join(' ', map { (code(kv_get($_, @at)), code(kv_put($_, 'x', @at))) }
		@lost[1 .. 4]), join(' ', ($ejects ? (404, 204) : (502, 502)) x 4),
		"R29 $name - its keys " . ($ejects ? 'move' : 'fail'));

	# where keys move, others do, too
	is(scalar(grep { my $got = content(kv_get($_, @at));
		$got ne "200 <$_>" && !($ejects && $got =~ /^404 /) } @kept), 0,
		"R29 $name - no other key fails");

	is(code(kv_delete($lost[5], @at)), $ejects ? 404 : 502,
		"R29 $name - a delete");

	my $server = server_status(port(8040 + $i));
	is("$server->{state} $server->{connections}{lost}", 'live 0',
		"R29 $name - it is live itself");
}

# None of them does that, and all go on.
sub flushed {
	my ($name, @at) = @_;

	like(code(kv_post('', 'flush_all=0', @at)), qr/^50[12]$/,
		"$name - flush_all");
	my @codes = map { code(kv_put("after-$_", 'x', @at)) } 1 .. 20;
	cmp_ok(scalar(grep { $_ == 204 } @codes), '>', 5, "$name - goes on");
}

# What a proxy that speaks meta does.
sub in_meta {
	my ($name, @at) = @_;
	my $tag = sub { 'If-Match: ' . header(kv_get($_[0], @at), 'ETag') };

	is(code(kv_put('cow', 'moo', @at, args => 'ttl=100',
		headers => ['X-Memcache-Flags: 7'])), 204, "$name - set");
	is(code(kv_put('cow', 'moo!', @at, headers => [$tag->('cow')])), 204,
		"$name - compare and swap");
	is(code(kv_put('cow', 'no', @at, headers => ['If-Match: "1-1"'])), 412,
		"$name - compare and swap, another version");
	is(code(kv_post('cow', 'append', @at, value => '>')) . code(
		kv_post('cow', 'prepend', @at, value => '<')) . content(
		kv_get('cow', @at)), '204204200 <moo!>', "$name - extend");
	is(join(' ', map { content(kv_post('n', $_, @at)) =~ s/^404\K.*//sr } 'incr=1',
		'incr=1&initial=5&ttl=60', 'incr=2&initial=5', 'decr=3', 'decr=100'),
		'404 200 5 200 7 200 4 200 0', "$name - count");
	is(code(kv_put("a b\t", 'bin', @at)) . content(kv_get("a b\t", @at)),
		'204200 bin', "$name - binary keys");
	is(join(' ', map { header(kv_post('made', 'lease=100', @at),
		'X-Memcache-Lease') } 1 .. 2), 'won lost', "$name - leases");

	kv_put('old', 'was', @at);
	kv_post('old', 'invalidate', @at);
	my $stale = kv_post('old', 'lease=100', @at);
	is(content($stale) . ' ' . header($stale, 'X-Memcache-Stale'), '200 was 1',
		"$name - stale items");
	like(content(kv_get('cow', @at, args => 'inspect')),
		qr/^200 size=6 flags=\d .* stale=false leased=false/,
		"$name - metadata");
	is(code(kv_delete('n', @at, headers => ['If-Match: "1-1"'])) . code(
		kv_delete('n', @at, headers => [$tag->('n')])), '412204',
		"$name - delete of a version");
}

###############################################################################
