#!/usr/bin/perl

# Tests for memcache module: an operation that memcached refuses ends alone
# (R18).  Started with -F it does not know flush_all, as its proxy does not, which
# closes the connection in 1.6.45.

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
my @proxies = grep { has_proxy($_) } @versions;
my @all = ((map { ["$_ -F", $_] } @versions), map { ["$_ proxy", $_] } @proxies);

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(3 * @all + 2);

my $servers = kv_servers(scalar @all);

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $servers));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

EOF

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $versions[$_], '-F') } 0 .. $#versions;

if (@proxies) {
	Test::Memcached->start($t, port(8060));
	$t->write_file_expand('proxy.lua', <<'EOF');
function mcp_config_pools()
    return mcp.pool({ mcp.backend('b', '127.0.0.1', '%%PORT_8060%%') })
end

function mcp_config_routes(pool)
    local f = mcp.funcgen_new()
    local h = f:new_handle(pool)
    f:ready({ f = function(c)
        return function(r) return c:enqueue_and_wait(r, h) end
    end })
    mcp.attach(mcp.CMD_ANY_STORAGE, f)
end
EOF
	push @memcacheds, map { Test::Memcached->start($t,
		port(8040 + @versions + $_), version => $proxies[$_], '-o',
		'proxy_config=' . $t->testdir() . '/proxy.lua') } 0 .. $#proxies;
}

$t->run();

###############################################################################

for my $i (0 .. $#all) {
	my ($name) = @{$all[$i]};
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $i));
	my (@flushed, @others);

	# where it closes each time, a new connection may have to wait
	my $closes = $name =~ /^1\.6\.45 proxy/;
	my $rounds = $closes ? 2 : 20;

	# many at once, so that they share writes
	for my $round (1 .. $rounds) {
		my @started = map { (kv_put("$round:$_", 'moo', start => 1, @at),
			kv_post('', 'flush_all=0', start => 1, @at)) } 1 .. 5;
		my @codes = map { code($_) }
			read_all(@started);
		push @others, @codes[grep { $_ % 2 == 0 } 0 .. $#codes];
		push @flushed, @codes[grep { $_ % 2 == 1 } 0 .. $#codes];
	}

	is_deeply(\@flushed, [(502) x ($rounds * 5)], "R18 $name - refused");
	is_deeply(\@others, [(204) x ($rounds * 5)],
		"R18 $name - nothing else is");
	$closes ? is(code(kv_get('1:1', @at)), 200, "R18 $name - it is live")
		: is($memcacheds[$i]->connections(), 1,
			"R18 $name - one connection");
}

# other reasons

my @at = (PeerAddr => '127.0.0.1:' . port(8020));
kv_put('text', 'moo', @at);
is(code(kv_post('text', 'incr=1', @at)), 409, 'R18 incr of a text');
unlike(join("\n", grep { !/refused a request/ } split /\n/, messages($t)),
	qr/ lost|is down/, 'R18 nothing else is lost');

###############################################################################

sub has_proxy {
	my ($version) = @_;
	my %versions = Test::Memcached->versions();
	open my $f, '-|', @{$versions{$version}}, '-h' or return;
	return scalar grep { /proxy_config/ } <$f>;
}

###############################################################################
