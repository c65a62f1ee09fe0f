#!/usr/bin/perl

# Tests for memcache module: clients that go away while their operations are
# in flight.

###############################################################################

use warnings;
use strict;

use Test::More;

use Socket qw/ SOL_SOCKET SO_LINGER /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(13)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_timeout 60s;
    memcache_connect_timeout 60s;

%%KV_SERVER%%

EOF

my $m = Test::Memcached->start($t, port(8081), '-I', '2m');

$t->run();

###############################################################################

my @keys = map { "key$_" } 1 .. 60;
my %value = map { ($keys[$_] => "$keys[$_]." x ($_ % 10 ? 1 : 20000)) }
	0 .. $#keys;

$m->set($_, $value{$_}) for @keys;

is(content(kv_get('key2')), "200 $value{key2}", 'before');

for my $how ('closed', 'reset') {
	$m->pause();

	my @stay = map { kv_get($_, start => 1) } @keys[0 .. 19];
	my @leave = ((map { kv_get($_, start => 1) } @keys),
		(map { kv_put("left$_", "$how $_ " x 5000, start => 1) } 1 .. 20),
		(map { kv_post("n$_", 'incr=1&initial=5', start => 1) } 1 .. 20),
		kv_get('', args => 'keys=' . join(',', @keys), start => 1));
	my @more = map { kv_get($_, start => 1) } @keys[20 .. 39];

	ok(wait_for(sub { waiting() >= 40 + 60 + 20 + 20 + 60 }),
		"F43 $how - all in flight");

	for my $s (@leave) {
		setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0)
			if $how eq 'reset';
		close $s;
	}

	ok(wait_for(sub { cancelled($how) }), "F43 $how - cancelled");

	$m->resume();

	is_deeply([map { content($_) }
		read_all(@stay, @more)],
		[map { "200 $value{$_}" } @keys[0 .. 39]],
		"F43 $how - the others are answered");
	is_deeply([map { content($_) } http_many(map { ['GET', $_] } @keys)],
		[map { "200 $value{$_}" } @keys], "F43 $how - afterwards");
	is(waiting(), 0, "F43 $how - nothing is left");
}

is($m->connections(), 1, 'connections');

# aborted before anything was sent

close http("PUT /kv/x HTTP/1.0\x0d\x0aContent-Length: 100\x0d\x0a\x0d\x0aabc",
	start => 1);
is(code(kv_get('x')), 404, 'F43 half a body');

###############################################################################

sub waiting {
	my $server = server_status(port(8081));
	return $server->{pending} + $server->{queued};
}

# Aborted requests are over: those that stay are all that is still open.
sub cancelled {
	my ($how) = @_;
	my $n = server_status(port(8081))->{errors}{cancelled};
	return $n >= ($how eq 'closed' ? 1 : 2) * (60 + 20 + 20 + 60);
}

###############################################################################
