#!/usr/bin/perl

# Tests for memcache module: memcacheds that are too old for the meta protocol,
# where that has to be spoken, and what resembles memcached (R2).  memcached before
# 1.6.10 answers "mn" as newer ones do, but has other meta commands, and runs the
# value of a store that it refuses: it is sent nothing but a greeting.  With the
# text protocol all of them work, see text.t.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# bodies that are commands, and other operations
my @bodies = ('flush_all', "flush_all\r\nset cow 0 0 1\r\nX", 'delete cow',
	"set cow 0 0 3\r\nbad", "\r\n", 'x' x 5000);
my @others = (['GET', 'cow'], ['DELETE', 'cow'], ['DELETE', 'a b'],
	['POST', 'n', args => 'incr=1&initial=5'], ['HEAD', 'cow']);

# what is no memcached, or not wholly: what it says that it is, and what it
# answers to "ms"
my %others = (
	'1.6.18' => sub { "CLIENT_ERROR bad command line format\r\nERROR\r\n" },
	'df-v1.31.0' => sub { "CLIENT_ERROR bad command line format\r\n" },
	'1.6.0 DF' => sub { $_[0]->answer() },
	'1.6.9' => sub { die 'it is not to be tried' },
	'1.4.39-clone' => sub { die 'it is not to be tried' },
);
my @names = sort keys %others;

my @versions = Test::Memcached->usable(1);

# from 1.6.10 to 1.6.12, "md" says that any version is another one: a fake, and
# those that there are
my @partly = ('fake', grep { /^1\.6\.1[012]$/ } Test::Memcached->usable());

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(5 * @versions + 5 * @partly + 13);

my $servers = kv_servers(@versions + @names + @partly, '');

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' . $servers));

    memcache_protocol meta;
    memcache_retry 100ms;
    memcache_connect_timeout 5s;
    memcache_timeout 5s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        location /status { memcache_status; }
    }

EOF

my @memcacheds = map { Test::Memcached->start($t, port(8040 + $_),
	version => $versions[$_]) } 0 .. $#versions;
my $log = $t->testdir() . '/asked';

for my $i (0 .. $#names) {
	my $version = $names[$i];

	Test::Memcached::Fake->start($t, port(8040 + @versions + $i), sub {
		my ($request) = @_;
		open my $f, '>>', "$log.$i" or die "Can't write $log.$i: $!\n";
		print $f "$request->{verb}\n";
		return $request->answer();
	}, version => $version, tries => sub {
		my ($request) = @_;
		return $request->{verb} eq 'ms'
			? $others{$version}->($request) : $request->answer();
	});
}

my $from = @versions + @names;
Test::Memcached::Fake->start($t, port(8040 + $from), sub {
	my ($request) = @_;
	my $compares = grep { /^C/ } @{$request->{flags}};

	return $request->line('EX') if $request->{verb} eq 'md' && $compares;
	return $request->answer();
}, version => '1.6.12');
Test::Memcached->start($t, port(8040 + $from + $_), version => $partly[$_])
	for 1 .. $#partly;

$_->classic_set('cow', 'moo') for @memcacheds;
my @received = map { $_->received() } @memcacheds;

$t->run();

###############################################################################

for my $i (0 .. $#versions) {
	my ($version, $m) = ($versions[$i], $memcacheds[$i]);
	my $at = '127.0.0.1:' . port(8020 + $i);
	my $address = '127.0.0.1:' . port(8040 + $i);
	my @codes = map { code(kv_put('cow', $_, PeerAddr => $at)) } @bodies;

	push @codes, map { my ($method, $key, @more) = @$_;
		code(kv_request($method, $key, @more, PeerAddr => $at)) } @others;
	is_deeply(\@codes, [(503) x (@bodies + @others)],
		"R2 $version - nothing is done");

	is($m->classic_get('cow') . ' ' . $m->stats()->{cmd_flush}, 'moo 0',
		"R2 $version - nothing is run");
	is(($m->received() - $received[$i]) % length("version\r\nmn\r\n"), 0,
		"R2 $version - only greetings are sent");

	like(messages($t), qr/"\Q$address\E" is memcached \Q$version\E, which is too old: 1\.6\.10 or later is needed/,
		"R2 $version - logged");

	my $server = server_status($address);
	is("$server->{state} $server->{version} $server->{last_error}{class}"
		. ": $server->{last_error}{text}", "down $version too_old: "
		. "memcached $version is too old: 1.6.10 or later is needed",
		"R2 $version - status");
}

# deletes of a version

for my $i (0 .. $#partly) {
	my @at = (PeerAddr => '127.0.0.1:' . port(8020 + $from + $i));
	kv_put('cow', 'moo', @at);
	my @if = (headers => ['If-Match: ' . header(kv_get('cow', @at), 'ETag')]);
	is(code(kv_delete('cow', @if, @at)) . ' '
		. code(kv_post('cow', 'invalidate', @if, @at)), '501 501',
		"R2 $partly[$i] - not supported");
	like(messages($t), qr/127\.0\.0\.1:@{[port(8040 + $from + $i)]} is memcached before 1\.6\.13: it does not compare/,
		"R2 $partly[$i] - said in the log");
	is(content(kv_get('cow', @at)), '200 moo', "R2 $partly[$i] - still there");
	is(code(kv_delete('cow', @at)), 204, "R2 $partly[$i] - delete");
	is(server_status(port(8040 + $from + $i))->{errors}{unsupported}, 2,
		"R2 $partly[$i] - counted");
}

# scripted ones

for my $i (0 .. $#names) {
	my $at = '127.0.0.1:' . port(8020 + @versions + $i);
	my $good = $names[$i] eq '1.6.0 DF';

	is(code(kv_put('cow', 'flush_all', PeerAddr => $at)),
		$good ? 204 : 503, "R2 $names[$i] - set");
	is_deeply([grep { !/^(?:version|mn)$/ } asked($i)], $good ? ['ms'] : [],
		"R2 $names[$i] - asked");
}

like(http_get('/status'), qr/memcached 1\.6\.9 is too old: 1\.6\.10 or later is needed/,
	'R2 page');
like(messages($t), qr/ does not speak memcached's protocol: it answered "CLIENT_ERROR bad command line fo"/,
	'R2 dialect - logged');
is(scalar(grep { /is too old.*[^\n\x20-\x7e]/ } messages($t)), 0, 'R2 escaped');

###############################################################################

sub asked {
	my ($i) = @_;
	open my $f, '<', "$log.$i" or return;
	my @verbs = <$f>;
	chomp @verbs;
	return @verbs;
}

###############################################################################
