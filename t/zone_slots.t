#!/usr/bin/perl

# Tests for memcache module: workers of many configurations at a time in one
# memcache_zone, as long requests outlast reloads.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant RELOADS => 8;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(26);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:<size>;
    memcache_server 127.0.0.1:8081 max=1;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }

        location /metrics {
            memcache_status prometheus;
        }

        # a download that takes longer than the test
        location /slow {
            limit_rate 100;
        }
    }
}

EOF

$t->write_file('slow', 'x' x 100_000);
my $m = Test::Memcached->start($t, port(8081));

my ($need) = check_config($t, text('64k')) =~ /too small: (\d+) bytes/;

for my $size ('1m', $need) {
	reloads($size);
}

killed();

###############################################################################

# What a worker has now is nobody's when it is killed, also where nginx starts
# none in its place; what it has counted stays.
sub killed {
	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before2';
	$t->write_file_expand('nginx.conf', conf(text('1m')));
	quiet($t);
	$t->run();
	my $master = $t->read_file('nginx.pid') + 0;
	my ($old) = wait_for(sub { (workers($master))[0] }) or die "No worker\n";

	is(code(kv_get('k')), 404, 'killed - counted');
	$m->pause();
	my @held = map { kv_get('k', start => 1) } 1 .. 3;
	ok(wait_for(sub { server_status(port(8081))->{pending} == 3 }),
		'killed - pending');
	kill 'HUP', $master;
	wait_for(sub { grep { $_ != $old } workers($master) })
		or die "No reload\n";
	is(gauges(), '1 1 3', 'killed - the old one is there');

	kill 'KILL', $old;
	# nginx has to take note of it
	ok(wait_for(sub { @{status()->{workers}} == 1 }), 'killed - it is not');
	is(gauges(), '0 0 0', 'killed - nor is what it had');
	is(server_status(port(8081))->{operations}{get}, 4,
		'killed - what it has counted is');

	$m->resume();
	$t->todo_alerts();
	$t->stop();
}

sub gauges {
	my $server = server_status(port(8081));
	return join ' ', @{$server->{connections}}{qw/ open busy /},
		$server->{pending};
}

sub reloads {
	my ($size) = @_;
	my (@held, $lost, $fell);
	my ($gets, $last) = (0, 0);

	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before';
	$t->write_file_expand('nginx.conf', conf(text($size)));
	quiet($t);
	$t->run();
	my $master = $t->read_file('nginx.pid') + 0;
	wait_for(sub { workers($master) == 1 }) or die "No worker\n";

	for my $number (0 .. RELOADS) {
		$gets += code(kv_get("no$_")) == 404 for 1 .. 5;
		$gets += code($_) == 404 for http_many(map { ['GET', "no$_"] } 1 .. 5);

		my $counted = metric();
		$lost++ if $counted != $gets
			|| server_status(port(8081))->{operations}{get} != $gets;
		$fell++ if $counted < $last;
		$last = $counted;

		last if $number == RELOADS;
		push @held, http("GET /slow HTTP/1.0\r\nHost: localhost\r\n\r\n",
			start => 1);
		$held[-1]->sysread(my $some, 10);
		my ($old) = workers($master);
		kill 'HUP', $master;
		wait_for(sub {
			my @now = workers($master);
			return @now == 1 && $now[0] != $old;
		}) or die "No reload\n";
	}

	is($gets, 10 * (RELOADS + 1), "R46 $size: all answered");
	is($lost, undef, "R46 $size: all counted, whoever answers");
	is($fell, undef, "R46 $size: counters never fall");

	my $status = status();
	is($status->{scope}, 'zone', "R46 $size: of all workers");
	is(scalar(@{$status->{workers}}), RELOADS + 1, "R46 $size: and all there");
	is(scalar(() = messages($t) =~ /no room .* they count together/g) > 0,
		$size ne '1m', "R46 $size: room for the numbers of each");
	unlike(messages($t), qr/more servers/, "R46 $size: and for what they share");

	# what they have counted stays when they go

	my @all = children($master);
	my ($now) = workers($master);
	$_->close() for @held;
	ok(gone(grep { $_ != $now } @all), "R46 $size: they go");
	is(metric(), $gets, "R46 $size: their numbers stay");

	kill 'KILL', $now;
	wait_for(sub { my ($new) = workers($master); $new && $new != $now })
		or die "Not replaced\n";
	$gets += code(kv_get('no')) == 404;
	is(metric(), $gets, "R46 $size: and those of one that crashed");

	my @workers = map { $_->{pid} } @{status()->{workers}};
	is_deeply(\@workers, [workers($master)], "R46 $size: who is left");

	$t->todo_alerts();
	$t->stop();
}

sub text {
	my ($size) = @_;
	return $conf =~ s/<size>/$size/r;
}

# What Prometheus reads.
sub metric {
	my ($value) = http_get('/metrics')
		=~ /^memcache_operations_total\{[^}]*op="get"[^}]*\} (\d+)/m;
	return $value // -1;
}

###############################################################################
