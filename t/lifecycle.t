#!/usr/bin/perl

# Tests for memcache module: reloads under load, many of them.  Names that begin
# with an F and a number are rows of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Nginx::Lifecycle;
use Test::Nginx::Load;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# valgrind tells of one that is lost
use constant RELOADS => $ENV{VALGRIND_NGINX} ? 20 : 200;

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('memcached')
	->plan(16);

my $conf = faults_conf({ main => 'worker_processes 2;', http => <<'EOF' },
    # its manager and loader are processes too, but no workers
    proxy_cache_path %%TESTDIR%%/cache keys_zone=cache:1m;

    memcache_timeout 60s;
    memcache_connect_timeout 60s;
EOF
	8080 => 'memcache_server 127.0.0.1:8081 min=1 max=2;
		memcache_server 127.0.0.1:8082 min=1 max=2;');

$t->write_file_expand('nginx.conf', $conf);
quiet($t);

my @m = map { Test::Memcached->start($t, port($_)) } 8081, 8082;

$t->run();

###############################################################################

my $master = master($t);
ok(wait_for(sub { workers($master) == 2 }), 'two workers');
is(reload($t), 1, 'a reload');

# everything that a reload leaves behind is there once by now

my $load = Test::Nginx::Load->start($t);
reload($t) for 1 .. 10;
settled($master, 2);

my $before = baseline($master);
my $shared = shared_memory($master);
my $memory = Test::Nginx::Faults::memory($master);
my $done = 0;

$done += reload($t) for 1 .. RELOADS;
is($done, RELOADS, 'F45 reloads');
settled($master, 2);

# a configuration that is refused, again and again: the same workers go on

my @workers = workers($master);
my $refused = $conf =~ s/min=1/min=x/r;

$t->write_file_expand('nginx.conf', $refused);
quiet($t);

for my $n (1 .. 10) {
	kill 'HUP', $master;
	wait_for(sub { $n == (() = messages($t)
		=~ /\[emerg\] .*parameter "min=x"/g) });
}

is_deeply([workers($master)], \@workers, 'F46 bad configuration');
is(code(kv_get('key1')), 200, 'F46 bad configuration - next');
$t->write_file_expand('nginx.conf', $conf);
quiet($t);
is(reload($t), 1, 'F46 good configuration');

# a worker that was asked to leave is followed by another

@workers = workers($master);
kill 'QUIT', $workers[0];
ok(wait_for(sub { my @now = workers($master);
	@now == 2 && !grep { $_ == $workers[0] } @now }), 'F47 a worker quits');

my $seen = $load->stop();
is_deeply([grep { !/^20[04]$/ } keys %$seen], [],
	'F45 every request was answered, and with success')
	or diag(explain($seen));
cmp_ok($seen->{200}, '>', RELOADS, 'F45 there was load');

ok(settled($master, 2), 'F45 old workers are gone');
is(grown($before), '', 'F45 baseline of the master');
is(shared_memory($master), $shared, 'F45 shared memory of the master');

SKIP: {
	skip 'a sanitizer keeps what was freed', 1 unless memory_tells();

	cmp_ok(Test::Nginx::Faults::memory($master) - $memory, '<', 4096,
		'F45 memory of the master')
		or diag(Test::Nginx::Faults::memory($master));
}

ok(wait_for(sub { !grep { $_->open_connections() != 2 } @m }),
	'F45 one connection per worker and server');

$t->stop();

unlike(messages($t), qr/exited on signal|exited with code [^0]/,
	'F45 all exits without a fault');
unlike(messages($t), qr/open socket|aborting/, 'F45 all exits with all closed');

###############################################################################

# True when there are new workers.
sub reload {
	my ($t) = @_;
	my $master = master($t);
	my %old = map { ($_ => 1) } children($master);

	kill 'HUP', $master;
	my $new = wait_for(sub { 2 == grep { !$old{$_} } workers($master) });

	# many that exit at the same time would leave nothing for the others
	settled($master, 2) if $ENV{VALGRIND_NGINX};
	return $new ? 1 : 0;
}

###############################################################################
