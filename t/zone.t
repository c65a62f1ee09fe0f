#!/usr/bin/perl

# Tests for memcache module: what workers share with memcache_zone.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(51);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes %%WORKERS%%;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:%%SIZE%%;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 200ms;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        %%SERVERS%%

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }
    }
}

EOF

my $one = 'memcache_server 127.0.0.1:8081 min=1;';
my $two = 'memcache_server 127.0.0.1:8082 min=1;';

# too small a zone: the size that is said is enough, and less is not

my $said = check_config($t, configure(4, '64k', $one));
like($said, qr/\[emerg\].* zone "memcache" is too small: (\d+) bytes are needed in .*nginx\.conf:\d+$/m,
	'too small');
my ($need) = $said =~ /too small: (\d+) bytes/;

like(check_config($t, configure(4, $need, $one)), qr/test is successful/,
	'as large as needed');
like(check_config($t, configure(4, $need - 1, $one)), qr/is too small: $need/,
	'a byte less');
like(check_config($t, configure(8, $need, $one)), qr/is too small/,
	'more workers need more');
like(check_config($t, configure(4, $need, "$one $two")), qr/is too small/,
	'more servers need more');
like(check_config($t, configure(4, 1, $one)), qr/is too small: $need/,
	'a byte');

# what README.md says is enough, and is not much more than that

open my $f, '<', '../README.md' or die "README.md: $!\n";
my $readme = do { local $/; <$f> };
my ($fixed, $base, $per) = $readme =~ /A\s+zone\s+needs\s+(\d+)\s+KiB,\s+and\s+for
	\s+each\s+server\s+of\s+each\s+client\s+(\d+)\s+KiB,\s+and\s+(\d+)\s+KiB/x;

for ([1, 1], [1, 2], [2, 2], [8, 1], [16, 2], [64, 1]) {
	my ($workers, $servers) = @$_;
	my $enough = ($fixed + $servers * ($base + $workers * $per)) * 1024;
	check_config($t, configure($workers, 1, $servers == 1 ? $one : "$one $two"))
		=~ /too small: (\d+) bytes/;
	ok($1 <= $enough && $enough < $1 * 1.1,
		"$workers workers, $servers servers: $1 are needed, README says $enough");
}

# all workers together

my $m = Test::Memcached->start($t, port(8081));
my $n = Test::Memcached->start($t, port(8082));

$t->write_file_expand('nginx.conf', conf(configure(4, '4m', $one)))->run();

my $status = wait_for(sub {
	my $status = status();
	return $status if @{$status->{workers}} == 4
		&& $status->{clients}[0]{servers}[0]{connections}{open} == 4;
});
ok($status, 'D9 all workers, all connections');
is($status->{scope}, 'zone', 'D9 scope');
is_deeply([sort { $a <=> $b } map { $_->{pid} } @{$status->{workers}}],
	[worker_pids($t)], 'D9 their processes');
is(scalar(keys %{{ map { ($_->{slot} => 1) } @{$status->{workers}} }}), 4,
	'a slot for each');

my @keys = map { "key$_" } 1 .. 300;

http_many(map { ['PUT', $_, value => "<$_>"] } @keys);
http_many(map { ['GET', $_] } @keys, map { "no$_" } 1 .. 9);

# whoever answers, it is the sum

for (1 .. 8) {
	my $server = server_status(port(8081));
	is_deeply([@{$server->{operations}}{qw/ get set /},
		@$server{qw/ hits misses /}], [309, 300, 300, 9], "sum $_");
}

my $server = server_status(port(8081));
my $sum = 0;
$sum += $_->{operations} for @{$server->{workers}};
is($sum, 609, 'parts add up');
cmp_ok(scalar(grep { $_->{operations} } @{$server->{workers}}), '>', 1,
	'by several');
is($server->{latency}{count}, 609, 'latency');
is($server->{queue_time}{count}, 609, 'queue time');
is($server->{latency_by_kind}{store}{count}, 300, 'latency by kind');
my $seconds = 0;
$seconds += $_->{operations} for @{$server->{history}};
is($seconds, 609, 'the last minutes');

# a worker crashes: what it has counted stays

my @before = worker_pids($t);
$t->todo_alerts();
kill 'KILL', $before[0];
ok(wait_for(sub {
	my @now = worker_pids($t);
	return @now == 4 && $now[-1] != $before[-1];
}), 'a worker is killed and replaced');
ok(wait_for(sub { @{status()->{workers}} == 4 }), 'in its slot');
is(server_status(port(8081))->{operations}{get}, 309, 'nothing is lost');
is(server_status(port(8081))->{operations}{set}, 300, 'nor counted twice');
http_many(map { ['GET', $_] } @keys);
is(server_status(port(8081))->{operations}{get}, 609, 'and it goes on');

# a reload: the same server goes on, another one begins

reload($t, configure(4, '4m', "$one $two"));
$server = server_status(port(8081));
is($server->{operations}{get}, 609, 'reload');
is(server_status(port(8082))->{operations}{get}, 0, 'reload - another server');
http_many(map { ['GET', $_] } @keys);
is(server_status(port(8081))->{operations}{get}
	+ server_status(port(8082))->{operations}{get}, 909, 'reload - both');

reload($t, configure(4, '4m', $two));
is(server_status(port(8081)), undef, 'reload - the first is gone');
cmp_ok(server_status(port(8082))->{operations}{get}, '>', 0,
	'reload - the second is not');

# more workers: larger memory, with what was counted in the smaller

my $gets = server_status(port(8082))->{operations}{get};
reload($t, configure(8, '4m', $two));
ok(wait_for(sub { @{status()->{workers}} == 8 }), 'reload - more workers');
is(server_status(port(8082))->{operations}{get}, $gets,
	'reload - more workers go on');

# a larger zone is another one

reload($t, configure(4, '8m', $one));
is(server_status(port(8081))->{operations}{get}, 0, 'reload - another zone');

# the server is killed: one finds out, all know, one probes

my $failed = server_status(port(8081))->{connections}{failed};

$m->kill_it();
ok(wait_for(sub {
	kv_get('key1');
	my $server = server_status(port(8081));
	return $server->{state} eq 'down'
		&& !grep { $_->{state} eq 'live' && !$_->{open} }
		@{$server->{workers}};
}), 'no worker without a connection is shown as live');
ok(wait_for(sub {
	http_many(map { ['GET', $_] } @keys[0 .. 49]);
	my $server = server_status(port(8081));
	return $server->{state} eq 'down'
		&& !grep { $_->{state} ne 'down' } @{$server->{workers}};
}), 'all workers know it');
is(lines($t, '" is down'), 1, 'a line for all');

# it would be probed after 0.2, 0.6 and 1.4 seconds, by each of four

my $end = time() + 3;
http_many(map { ['GET', $_] } @keys[0 .. 49]) while time() < $end;
my $connects = server_status(port(8081))->{connections}{failed} - $failed;
cmp_ok($connects, '>=', 2, 'it is probed');
cmp_ok($connects, '<=', 8, 'by one at a time');

Test::Memcached->start($t, port(8081));
ok(wait_for(sub {
	http_many(map { ['GET', $_] } @keys[0 .. 49]);
	my $server = server_status(port(8081));
	return $server->{state} eq 'live'
		&& !grep { $_->{state} ne 'live' } @{$server->{workers}};
}), 'all workers know that it is back');
is(lines($t, '" is up'), 1, 'a line for all again');

is(join("\n", grep { / \[alert\] / && !/ exited on signal 9$/ }
	split /\n/, messages($t)), '', 'no alert but the one of the crash');

###############################################################################

sub configure {
	my ($workers, $size, $servers) = @_;
	my %all = (WORKERS => $workers, SIZE => $size, SERVERS => $servers);
	return $conf =~ s/%%(WORKERS|SIZE|SERVERS)%%/$all{$1}/gr;
}

# Reloads, and waits until only new workers are there.
sub reload {
	my ($t, $text) = @_;
	my %old = map { ($_ => 1) } worker_pids($t);

	$t->write_file_expand('nginx.conf', conf($text));
	$t->reload();

	wait_for(sub {
		my @now = worker_pids($t);
		return @now && !grep { $old{$_} } @now;
	}) or diag('the reload takes too long');
}

# How many lines of the log have this.
sub lines {
	my ($t, $text) = @_;
	return scalar(() = messages($t) =~ /$text/g);
}

###############################################################################
