#!/usr/bin/perl

# Tests for memcache module: what a sibling must not do, or may do to one's
# surprise.  The rows are those of the list of misuse, A1 to A23; those that are
# not here need no sibling (A15), one in Rust (A14), or are elsewhere: A1 in
# abi.t and api/src/sys/layout.rs, A5 in clients.t, A18 is A16's release, A20 is
# A8's clients, A21 in fake.t and the engine.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_start /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { OK => 0, MISS => 1, TIMEOUT => 18, BUSY => 19,
	SERVER_DOWN => 20, SHUTDOWN => 24, INVALID_KEY => 25, TOO_LARGE => 26,
	NOT_AVAILABLE => 32, WRONG_THREAD => 34, STALE => 35, INVALID => 36 };

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'misuse');

my $text = <<'EOF';

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%

load_module %%TESTDIR%%/misuse.so;

daemon off;
thread_pool default threads=2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    # it has a manager and a loader
    proxy_cache_path %%TESTDIR%%/cache keys_zone=one:1m;

    memcache_server 127.0.0.1:8081 max=1 min=1;
    memcache_server 127.0.0.1:8082 max=1;
    memcache_timeout 60s;
    memcache_connect_timeout 60s;
    memcache_max_value 1m;
    memcache_queue 100;
    memcache_pipeline 10;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            misuse;
        }

        location /status {
            memcache_status;
        }
    }
}

EOF

$t->plan(128);

###############################################################################

my ($m, $n) = map { Test::Memcached->start($t, port($_)) } 8081, 8082;
my $m_connects = $m->connections();

# A2: where there is no client

my $none = sub {
	my ($status) = @_;
	return join ' ', "submit=$status", "many=$status", "cancel=$status",
		'servers=0', "server=$status", 'max=0', "enabled=$status",
		"subset=$status", "key=$status", "retain=$status";
};
my $refused = $none->(NOT_AVAILABLE);

my $said = check_config($t, $text);
like($said, qr/in postconfiguration: conf=32 $refused/,
	'A2 - postconfiguration');
like($said, qr/misuse without a directive: require=36$/m,
	'A2 - require() where no directive is');
like($said, qr/in init_module: $refused/, 'A2 - init_module, nginx -t');
like($said, qr/test is successful/, 'A2 - nginx -t');
is($m->connections(), 0, 'A2 - nothing was opened');

$t->write_file_expand('nginx.conf', conf($text));
$t->run();

# A3: the cache's processes

ok(wait_for(sub { 2 == (() = $t->read_file('error.log')
	=~ /in helper: $refused/g) }), 'A3 - cache manager and loader');
ok(wait_for(sub { $m->connections() >= 1 }), 'A3 - min');
is($m->connections(), 1, 'A3 - min, of the worker alone');

# A4: another thread, and another process

is(ask('a4'), "request=34 " . $none->(WRONG_THREAD), 'A4 - a pool of threads');
is(ask('a4_fork'), "request=34 " . $none->(WRONG_THREAD), 'A4 - a child');
is(ask('other'), ' 1', 'A4 - the worker goes on');

# A6: a call outlives its caller

is(ask('a6'), 'submit=0 ran=0', 'A6 - submitted');
ok(wait_for(sub { ask('ran') eq 'ran=1' }), 'A6 - the handler ran');
is($m->get('outlives') // $n->get('outlives'), 'v' x 100000, 'A6 - copied');

# A7: a request that ends takes its calls along

$_->pause() for $m, $n;
my $s = http_start("GET /?do=a7 HTTP/1.0\x0d\x0a\x0d\x0a");
ok(wait_for(sub { total('pending') >= 40 }), 'A7 - under way');
$s->close();
ok(wait_for(sub { total('errors', 'cancelled') >= 40 }), 'A7 - cancelled');
$_->resume() for $m, $n;
ok(wait_for(sub { total('pending') == 0 }), 'A7 - the replies were swallowed');
is(ask('ran'), 'ran=0', 'A7 - no handler ran');
is(ask('other'), ' 1', 'A7 - in step');

# A8: handles that are none (A20 as well: no other cycle's are looked at)

for my $round (1, 2) {
	my @lines = split /\n/, ask('a8');

	is($lines[0], $none->(INVALID) =~ s/retain=\d+/retain=35/r,
		"A8 - NULL, $round") if $round == 1;
	my @stale = grep { $_ eq $none->(STALE) } @lines;
	is(scalar @stale, 8, "A8 - clients that are none, $round");
	is($lines[-1], 'calls=' . join(',', (STALE) x 6) . ' call=0',
		"A8 - calls that are none, $round");
}

# A9: cancel

is(ask('a9'), 'first=1 own=35 other=0 again=35 last=1 late=35 ran=0',
	'A9 - one\'s own, another\'s, again, and too late');

# A10: submit in a handler

is(ask('a10'), 'last=1', 'A10 - a thousand, one after the other');

# A11: and two for each, without end

is(ask('a11'), OK, 'A11 - begins');
for (1 .. 5) {
	is(ask('other') =~ / 1|refused 19/ ? 'answered' : 'not', 'answered',
		"A11 - others are served, $_");
}
my ($before) = ask('ran') =~ /(\d+)/;
ok(wait_for(sub { (ask('ran') =~ /(\d+)/)[0] > $before + 1000 }),
	'A11 - it goes on');
cmp_ok(max_of('queued'), '<=', 100, 'A11 - within the queue');
ask('a11', stop => 1);
ok(wait_for(sub { total('pending') + total('queued') == 0 }), 'A11 - ends');
is(ask('other'), ' 1', 'A11 - the worker goes on');

# A12: a handler ends the request that others are bound to

is(code(http_get('/?do=a12')), 204, 'A12 - ended');
is(ask('ran'), 'ran=0', 'A12 - the others did not run');
is(code(http_many("GET /?do=a12 HTTP/1.0\x0d\x0a\x0d\x0a")), 204, 'A12 - again')
	for 1 .. 3;

# A13: a handler that takes its time delays others, and does no other harm

is(ask('a13'), ' 1 1 1', 'A13 - blocks');
cmp_ok(status()->{clients}[0]{longest_handlers_ms}, '>=', 300, 'A13 - is seen');

# A16: values beyond their handler

$_->set('small', 'small value') for $m, $n;
$_->set('large', 'L' x 500000) for $m, $n;
for my $key (qw/ small large /) {
	my $value = $m->get($key);
	my $crc = crc($value);

	is(ask('a16', key => $key), 'retain=0 again=0 copy=35 null=36 none=35',
		"A16 - $key, retained");
	for (1 .. 5) {
		is(ask('other'), ' 1', "A16 - $key, others, $_");
	}
	is(ask('a16_later'), join(' ', 'late=35', 'length=' . length $value,
		"crc=$crc", 'released=0', 'other=' . length $value,
		"crc=$crc"), "A16 - $key, is still there");
}

# A17: arguments.  What is refused sends nothing.

my $received = $m->received() + $n->received();

for ([INVALID, 'op', 0, 12 + 8, -1], [INVALID, 'size', 0, 8, 119],
	[INVALID, 'handler', 0], [INVALID, 'options', 1, 2, 8, -1],
	[INVALID, 'key-null', 1, 250, 8192], [INVALID_KEY, 'key-null', 0, 8193, -1],
	[INVALID_KEY, 'key', 0, 251, 252, 65536, 9223372036854775807, -1],
	[INVALID_KEY, 'key-byte', 0, 9, 10, 13, 32, 127],
	[INVALID, 'value-null', 1, 1048576],
	[TOO_LARGE, 'value-null', 1048577, -1],
	[TOO_LARGE, 'value', 1048577, 9223372036854775807, -1],
	[INVALID, 'cas', 1], [INVALID, 'request', 0], [INVALID, 'call', 0],
	[INVALID, 'server', 2, 4294967296, -1], [INVALID, 'op-null', 0],
	[INVALID, 'op-odd', 0], [INVALID, 'server-null', 0],
	[INVALID, 'server-index', 2, -1], [INVALID, 'enabled-index', 2, -1],
	[INVALID, 'client-null', 0], [INVALID, 'request-null', 0],
	[INVALID, 'request-none', 0], [INVALID, 'conf-null', 0],
	[INVALID, 'require-null', 0],
	[INVALID, 'subset-null', 0], [INVALID, 'subset-length', 0, 3, -1],
	[INVALID, 'key-of', 0], [INVALID, 'many-null', 0],
	[INVALID, 'many-keys', 0], [INVALID, 'many-key', 0],
	[INVALID, 'many-size', 0, 71], [INVALID, 'many-options', 1, 4],
	[INVALID, 'many-handler', 0])
{
	my ($status, $what, @numbers) = @$_;

	is(join(' ', map { ask('a17', what => $what, n => $_) } @numbers),
		join(' ', ($status) x @numbers), "A17 - $what, @numbers");
}

is($m->received() + $n->received(), $received, 'A17 - nothing was sent');
is(total(qw/ errors too_large /), 5, 'A17 - what is too large is counted');

# and what is none of these is accepted

for (['set', 0], ['key', 1, 250], ['key-byte-fits', 0, 13, 32, 127],
	['key-byte', 128, 255], ['value', 0, 1, 1024], ['value-null', 0],
	['ttl', 0, 1, 2592000, 2592001, 4294967295], ['flags', 4294967295],
	['timeout', 0, 1000, 86400000, 4294967295, 9223372036854775807, -1],
	['server', 0, 1], ['incr', 0])
{
	my ($what, @numbers) = @$_;

	like(join(' ', map { ask('a17', what => $what, n => $_) } @numbers),
		qr/^ok [01]( ok [01])*$/, "A17 - $what, @numbers");
}

# A22: a time of none is the configured one, and a long one has an end

$_->pause() for $m, $n;
is(ask('a22', timeout => 1), ' 18', 'A22 - a millisecond');
is(ask('a22', timeout => 300), ' 18', 'A22 - 300 ms');
$s = http_start("GET /?do=a22&timeout=-1 HTTP/1.0\x0d\x0a\x0d\x0a");
ok($s, 'A22 - for as long as there is');
$_->resume() for $m, $n;
like(join('', <$s>), qr/ [01]$/, 'A22 - answered');

# A23: there is no share for each sibling.  One that takes all the room of a
# server leaves none for others there, who are told so at once, and all of it on
# other servers.

$m->pause();
my $r = ask('a23', timeout => 60000);
is($r, 'accepted=' . (10 * 8 + 100) . ' next=19', 'A23 - so many, and no more');
is(ask('other', server => 0), 'refused 19', 'A23 - there, at once');
is(ask('other', server => 1), ' 1', 'A23 - elsewhere');
$m->resume();
ok(wait_for(sub { total('pending') + total('queued') == 0 }), 'A23 - done');
is(ask('other', server => 0), ' 1', 'A23 - there is room again');

# A19: a reload and the end of a worker with calls under way

my ($old) = worker_pids($t);
$m->pause();
$n->pause();
$s = http_start("GET /?do=a22 HTTP/1.0\x0d\x0a\x0d\x0a");
ok(wait_for(sub { total('pending') == 1 }), 'A19 - under way');
kill 'HUP', $t->read_file('nginx.pid');
ok(wait_for(sub { $t->read_file('error.log')
	=~ /gracefully shutting down/ }), 'A19 - reload');
$m->resume();
$n->resume();
like(join('', <$s>), qr/ 1$/, 'A19 - answered by the old worker');
ok(wait_for(sub { !grep { $_ == $old } worker_pids($t) }), 'A19 - it exits');
is(ask('other'), ' 1', 'A19 - the new one');

# exit_process, of the sibling after that of the module, and before it

ends($t, 'module first', SHUTDOWN);
$text =~ s/(%%LOAD_MEMCACHE%%)\s*(load_module \S+misuse\.so;)/$2 $1/;
$t->write_file_expand('nginx.conf', conf($text));
$t->run();
ends($t, 'sibling first', OK);

###############################################################################

# What the sibling says.
sub ask {
	my ($do, %args) = @_;

	return http_content(http_get("/?do=$do" . join '',
		map { "&$_=$args{$_}" } sort keys %args)) // 'no answer';
}

# A worker ends with a call under way.
sub ends {
	my ($t, $name, $status) = @_;
	my $pid = wait_for(sub { (worker_pids($t))[-1] });

	$_->pause() for $m, $n;
	is(ask('a19'), OK, "A19 - $name, under way");
	# a worker that is about to wait for events heeds a signal only after that
	ok(wait_for(sub { kill 'TERM', $pid;
		!grep { $_ == $pid } worker_pids($t) }), "A19 - $name, exited");
	$_->resume() for $m, $n;
	like($t->read_file('error.log'), qr/exit_process: $status\n/,
		"A19 - $name, exit_process");
	unlike($t->read_file('error.log'), qr/misuse: handler ran/,
		"A19 - $name, no handler runs");
	unlike($t->read_file('error.log'), qr/exited on signal/,
		"A19 - $name, nothing died");
	$t->stop();
}

# A number of all servers, by its path.
sub numbers {
	my (@path) = @_;
	my @servers = @{status()->{clients}[0]{servers}};

	return map { my $at = $_; $at = $at->{$_} for @path; $at } @servers;
}

sub total {
	my $sum = 0;
	$sum += $_ for numbers(@_);
	return $sum;
}

sub max_of { return (sort { $b <=> $a } numbers(@_))[0] }

# As nginx computes it, in hexadecimal.
sub crc {
	my ($text) = @_;
	my @table = map { my $c = $_; $c = $c & 1 ? 0xedb88320 ^ ($c >> 1)
		: $c >> 1 for 1 .. 8; $c } 0 .. 255;
	my $crc = 0xffffffff;

	$crc = $table[($crc ^ $_) & 255] ^ ($crc >> 8) for unpack 'C*', $text;
	return sprintf '%08x', $crc ^ 0xffffffff;
}

###############################################################################
