#!/usr/bin/perl

# Tests for memcache module: servers that refuse what is written, or do not
# read it, and the bounds of what may wait for them.  Names that begin with an
# F and a number are rows of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(47)
	->write_file_expand('nginx.conf', faults_conf({ http => <<'EOF' },
    memcache_timeout 20s;
    memcache_connect_timeout 5s;
    memcache_max_fails 65535;
    memcache_retry 100ms;
    client_max_body_size 10m;
    client_body_buffer_size 8m;
EOF
	8080 => 'memcache_server 127.0.0.1:8081 max=1; memcache_max_value 4m;',
	8001 => 'memcache_server 127.0.0.1:8002 max=1; memcache_max_value 8m;',
	8003 => 'memcache_server 127.0.0.1:8002 max=1; memcache_timeout 2s;',
	8004 => 'memcache_server 127.0.0.1:8002 max=1; memcache_timeout 3s;
		memcache_queue 10; memcache_pipeline 1;',
	8005 => 'memcache_server 127.0.0.1:8006 max=1; memcache_pipeline 1;',
	8007 => 'memcache_server 127.0.0.1:8006 min=1 smax=2 max=4 ttl=1s;
		memcache_pipeline 1;',
	8008 => 'memcache_server 127.0.0.1:8009 max=1; memcache_pipeline 4096;
		memcache_queue 8192;',
	8010 => 'memcache_server 127.0.0.1:8011 max=1; memcache_pipeline 4096;
		memcache_queue 8192;',
	8012 => 'memcache_server 127.0.0.1:8011 max=1; memcache_pipeline 8;
		memcache_queue 8192;'));

# what "KIND:ANYTHING" does when the line of a store has come
my %early = (
	refuse => sub { "SERVER_ERROR out of memory storing object\r\n" },
	lie => sub { $_[0]->line('HD') },
	gone => sub { ("SERVER_ERROR out of memory\r\n", CLOSE) },
	reset => sub { ("SERVER_ERROR out of memory\r\n", RESET) },
);

my $fake = Test::Memcached::Fake->start($t, port(8002), sub {
	my ($request) = @_;
	my ($kind) = split /:/, $request->{key};

	return $request->answer() if $request->{verb} =~ /^(?:version|mn)$/;
	return if $kind eq 'mute';
	return ($request->answer(), DEAF, \0.5, HEAR) if $kind eq 'pause';
	return ($request->answer(), DEAF) if $kind eq 'deaf';
	return $request->answer();
}, buffer => 4096, header => sub {
	my ($request) = @_;
	my ($kind) = split /:/, $request->{key};
	return $early{$kind} ? $early{$kind}->($request) : ();
});

my $small = Test::Memcached->start($t, port(8081));
my $m = Test::Memcached->start($t, port(8006));
my @stingy = ('-o', 'read_buf_mem_limit=1', '-t', 8);
my $stingy = Test::Memcached->start($t, port(8009), @stingy);
my $meagre = Test::Memcached->start($t, port(8011), @stingy, '-R', 1000);

$t->run();

my $worker = first_worker($t);

###############################################################################

# too large for the server: the connection stays, and the old value is gone

is(code(kv_put('a', value('a', 1))), 204, 'F27 set');
is(code(kv_put('a', value('a', 2, 2_000_000))), 413, 'F27 too large');
is(code(kv_get('a')), 404, 'F27 too large - the old value is gone');
is(code(kv_put('a', value('a', 3))), 204, 'F27 too large - next');
is($small->connections(), 1, 'F27 too large - same connection');

# an answer to a store while its value is still being written

is(code(kv_put('plain', value('plain', 1), at(8001))), 204, 'set');

for (['refused', 'refuse', 502], ['done', 'lie', 502],
	['refused and closed', 'gone', '50[23]'],
	['refused and reset', 'reset', '50[23]'])
{
	my ($name, $kind, $codes) = @$_;

	my @puts = map { kv_put("$kind:$_", value("$kind:$_", 1, 6_000_000),
		at(8001), start => 1) } 1 .. 3;
	my @gets = map { kv_get('plain', at(8001), start => 1) } 1 .. 3;

	is_deeply([grep { !/^$codes$/ } map { code($_) }
		read_all(@puts)], [], "F28 $name early");
	is_deeply([unhonest([('plain') x 3],
		read_all(@gets))], [],
		"F28 $name early - others");
	is(content(kv_get('plain', at(8001))), '200 ' . value('plain', 1),
		"F28 $name early - next");
}

is(waiting(port(8002)), 0, 'F28 nothing pending');

# small buffers, and a server that does not read for a while

# more than the kernel takes before anybody reads it
my @keys = map { "key$_" } 1 .. 6;
my $before = baseline($worker);

kv_put('pause', 'x', at(8001));
is_deeply([map { code($_) } read_all(
	map { kv_put($_, value($_, 1, 2_000_000), at(8001), start => 1) } @keys)],
	[(204) x @keys], 'F31 partial writes');
is_deeply([map { content($_) } get_all(8001, @keys)],
	[map { '200 ' . value($_, 1, 2_000_000) } @keys],
	'F31 partial writes - all there');

# both write, and neither has room

my @both = map { (kv_get($keys[$_], at(8001), start => 1),
	kv_put("put$_", value("put$_", 1, 2_000_000), at(8001), start => 1)) }
	0 .. $#keys;
my @replies = read_all(@both);

is_deeply([map { $_ % 2 ? code($replies[$_]) : content($replies[$_]) }
	0 .. $#replies], [map { ('200 ' . value($_, 1, 2_000_000), 204) } @keys],
	'F33 both ends write');
is_deeply([map { content($_) } get_all(8001, map { "put$_" } 0 .. $#keys)],
	[map { '200 ' . value("put$_", 1, 2_000_000) } 0 .. $#keys],
	'F33 both ends write - all there');
is(grown($before), '', 'F33 baseline');

# nothing is read any more: so much may wait, and no longer than its deadline

kv_put('deaf', 'x', at(8003));

my $value = value('lost', 1, 1_000_000);
my @codes = map { code($_) } read_all(
	map { kv_put('lost', $value, at(8003), start => 1) } 1 .. 80);

is_deeply([grep { !/^50[34]$/ } @codes], [], 'F32 not read');
cmp_ok(scalar(grep { $_ == 503 } @codes), '>', 0, 'F32 not read - bounded');
cmp_ok(scalar(grep { $_ == 504 } @codes), '>', 0, 'F32 not read - timed out');
ok(wait_for(sub { content(kv_get('plain', at(8003)))
	eq '200 ' . value('plain', 1) }), 'F32 not read - next');
$before->{$worker}{fds}++;
is(grown($before), '', 'F32 not read - baseline');

# so many are under way, so many wait, and the others are told at once

ok(wait_for(sub { code(kv_get('nothing', at(8004))) eq '404' }), 'F34 before');
@codes = map { code($_) } get_all(8004, map { "mute:$_" } 1 .. 100);
is(scalar(grep { $_ == 504 } @codes), 8 + 10, 'F34 full - in time');
is(scalar(grep { $_ == 503 } @codes), 82, 'F34 full - at once');
ok(wait_for(sub { code(kv_get('nothing', at(8004))) eq '404' }),
	'F34 full - next');

# one connection for many

$m->set($_, value($_, 1)) for @keys;
is_deeply([map { content($_) } get_all(8005, (@keys) x 50)],
	[map { '200 ' . value($_, 1) } (@keys) x 50], 'F35 one for all');
is($m->connections(), 2, 'F35 one for all - and one that is kept open');

# those that are idle above smax go, those up to smax stay

for (1 .. 2) {
	get_all(8007, (@keys) x 20);
	ok(wait_for(sub { $m->open_connections() == 1 + 2 }), "F36 idle $_ - go");
}
is_deeply([map { code($_) } get_all(8007, (@keys) x 20)],
	[(200) x (@keys * 20)], 'F36 idle - used again');

# a server with little memory for replies: there are never too many of them

$stingy->set($_, value($_, 1)) for @keys;
my $page = join '', map { value($_, 1) } (@keys) x 16;
@replies = read_all(map { kv_get('', at(8008),
	args => 'keys=' . join(',', (@keys) x 16), start => 1) } 1 .. 50);
is_deeply([grep { $_ ne "200 $page" } map { content($_) } @replies], [],
	'F56 little memory for replies');
is($stingy->connections(), 1, 'F56 little memory for replies - kept');

# it answers so many requests at once that the memory is not enough, and hangs
# up: an error, and no part of an answer

$meagre->set($_, value($_, 1)) for @keys;
my $mark = log_mark($t);
@replies = read_all(map { kv_get('', at(8010),
	args => 'keys=' . join(',', (@keys) x 16), start => 1) } 1 .. 50);
is_deeply([grep { $_ ne "200 $page" && !/^50[234] / } map { content($_) }
	@replies], [], 'F56 out of memory - whole, or an error');
cmp_ok($meagre->stats()->{response_obj_oom}, '>', 0,
	'F56 out of memory - it was');
cmp_ok(log_lines($t, $mark, qr/:@{[port(8011)]}" lost/), '>', 0,
	'F56 out of memory - logged');
cmp_ok($meagre->connections(), '<', 50, 'F56 out of memory - not asked for ever');
ok(wait_for(sub { content(kv_get('key1', at(8010)))
	eq '200 ' . value('key1', 1) }), 'F56 out of memory - next');
is(waiting(port(8011)), 0, 'F56 out of memory - nothing pending');

# fewer replies on their way are no trouble to it

@replies = read_all(map { kv_get('', at(8012),
	args => 'keys=' . join(',', (@keys) x 16), start => 1) } 1 .. 50);
is_deeply([grep { $_ ne "200 $page" } map { content($_) } @replies], [],
	'F56 out of memory - not with a shorter pipeline');

###############################################################################
