#!/usr/bin/perl

# Tests for memcache module: what nginx's signals do under load, and workers
# that are killed.  Names that begin with an F and a number are rows of the
# fault matrix.

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

use constant TERMS => 20;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(43);

my $conf = faults_conf({ main => 'worker_processes 2;', http => <<'EOF' },
    memcache_timeout 60s;
    memcache_connect_timeout 60s;
    memcache_retry 100ms;
EOF
	8080 => 'memcache_server 127.0.0.1:8081 min=1 max=2;');

my $m = Test::Memcached->start($t, port(8081));

# masters that were not started by the test itself
my @daemons;

configure($t, $conf);

###############################################################################

# QUIT under load: what a worker has accepted is answered

$t->run();
my $load = Test::Nginx::Load->start($t);
my @all = (master($t), children(master($t)));

kill 'QUIT', $all[0];
ok(gone(@all), 'F47 QUIT - gone');
waitpid $all[0], 0;

my $seen = $load->stop();
is_deeply([grep { !/^(?:20[04]|refused|no answer)$/ } keys %$seen], [],
	'F47 QUIT - answered, or nobody there') or diag(explain($seen));
cmp_ok($seen->{200}, '>', 0, 'F47 QUIT - there was load');
cmp_ok($seen->{'no answer'} // 0, '<=', 2 * Test::Nginx::Load::TOGETHER,
	'F47 QUIT - lost are those that nobody had accepted');
is($m->open_connections(), 0, 'F47 QUIT - connections closed');

# TERM with operations in flight, many times: at once, without a fault, and
# nobody is called back

my $slow = 0;
for (1 .. TERMS) {
	$t->run();
	my @all = (master($t), children(master($t)));
	$m->pause();
	my @open = map { kv_get("key$_", start => 1) } 1 .. 20;
	my @put = map { kv_put("put$_", 'x' x 50_000, start => 1) } 1 .. 5;

	kill 'TERM', $all[0];
	gone(@all) or $slow++;
	waitpid $all[0], 0;
	$m->resume();
	my @replies = read_all(@open, @put);
	$slow++ if grep { ($_ // '') ne '' } @replies;
}
is($slow, 0, 'F49 TERM - gone, and nothing else');

# whoever takes longer than a second is killed by nginx
$t->write_file('error.log', $t->read_file('error.log')
	=~ s/^.*\[alert\].* exited on signal 9\n//gmr) if $ENV{VALGRIND_NGINX};

unlike(messages($t), qr/exited on signal|exited with code [^0]/,
	'F49 TERM - without a fault');
ok(wait_for(sub { $m->open_connections() == 0 }),
	'F49 TERM - connections closed');

# USR1 under load: lines go to the new file, all of them

$t->run();
my $master = master($t);
$load = Test::Nginx::Load->start($t);
ok(settled($master, 2), 'F51 USR1 - started');

for my $n (1 .. 5) {
	rename $t->testdir() . '/error.log', $t->testdir() . "/error.log.$n";
	kill 'USR1', $master;
	ok(wait_for(sub { -e $t->testdir() . '/error.log' }),
		"F51 USR1 $n - a new file");
}

$seen = $load->stop();
is_deeply([grep { !/^20[04]$/ } keys %$seen], [], 'F51 USR1 - all answered')
	or diag(explain($seen));

# its connections were there before the first file was
my $old = -s $t->testdir() . '/error.log.5';
$m->kill_it();
ok(wait_for(sub { code(kv_get('key1')) eq '503' }), 'F51 USR1 - down');
ok(wait_for(sub { messages($t) =~ /connect\(\) failed .* memcache server/ }),
	'F51 USR1 - logged in the new file');
is(-s $t->testdir() . '/error.log.5', $old, 'F51 USR1 - not in the old one');

$m = Test::Memcached->start($t, port(8081));
ok(wait_for(sub { all_up($t) && $m->open_connections() >= 2
	&& !grep { code($_) ne '404' } get_all(8080, 1 .. 20) }),
	'F51 USR1 - next');
unlike(join('', map { $t->read_file("error.log.$_") } 1 .. 5), qr/\[alert\]/,
	'F51 USR1 - no alerts');

# a worker is killed: another comes, with connections of its own

my @workers = workers($master);
$load = Test::Nginx::Load->start($t);

for my $n (1 .. 5) {
	my @before = workers($master);
	kill 'KILL', $before[0];
	ok(wait_for(sub { 2 == grep { $_ != $before[0] } workers($master) }),
		"F52 killed $n - another worker");
}

$seen = $load->stop();
is_deeply([grep { !/^(?:20[04]|no answer)$/ } keys %$seen], [],
	'F52 killed - answered, or lost with the worker') or diag(explain($seen));
cmp_ok($seen->{'no answer'} // 0, '<=', 5 * Test::Nginx::Load::TOGETHER,
	'F52 killed - only what the worker had');
ok(wait_for(sub { $m->open_connections() <= 4 }), 'F52 killed - connections');
cmp_ok($m->connections(), '<=', 2 * (2 + 5), 'F52 killed - no herd');
is(code(kv_get('key1')), 200, 'F52 killed - next');

$t->stop();
is(expect_alerts($t, qr/worker process \d+ exited on signal 9/), '',
	'F52 killed - the only alerts');

# another binary: it is refused, it is taken back, and it takes over

configure($t, $conf =~ s/daemon off;/daemon on;/r);
$t->run();
# not the process that was started, which has left it to another
$master = wait_for(sub { $t->read_file('nginx.pid') =~ /^(\d+)/ && $1 });
ended($t);
push @daemons, $master;
ok(settled($master, 2), 'F50 daemon');
$load = Test::Nginx::Load->start($t);

configure($t, $conf =~ s/min=1/min=x/r);
kill 'USR2', $master;
ok(wait_for(sub { messages($t) =~ /\[emerg\] .*parameter "min=x"/ }),
	'F50 USR2 - refused');
ok(settled($master, 2), 'F50 USR2 - the old one goes on');

configure($t, $conf =~ s/daemon off;/daemon on;/r);
my $new = usr2($t, $master);
push @daemons, $new;
ok(settled($new, 2), 'F50 USR2 - both work');
kill 'QUIT', $new;
ok(gone($new), 'F50 USR2 - taken back');
ok(wait_for(sub { (eval { master($t) } // 0) == $master }), 'F50 USR2 - the old pid file');
ok(settled($master, 2), 'F50 USR2 - the old one has its workers');

$new = usr2($t, $master);
push @daemons, $new;
@workers = workers($master);
settled($new, 2);
kill 'QUIT', $master;
ok(gone($master, @workers), 'F50 USR2 - taken over');

$seen = $load->stop();
is_deeply([grep { !/^20[04]$/ } keys %$seen], [], 'F50 USR2 - all answered')
	or diag(explain($seen));
is(code(kv_get('key1')), 200, 'F50 USR2 - next');

# they are no children of the test, which would not wait for them
@all = ($new, children($new));
kill 'QUIT', $new;
ok(gone(@all), 'F50 the end');
@daemons = ();
unlike(messages($t), qr/exited on signal|exited with code [^01]/,
	'F50 without a fault');

###############################################################################

# Whatever has happened, no daemon stays.
END {
	my $status = $?;
	kill 'KILL', map { (children($_), $_) } @daemons;
	$? = $status;
}

sub configure {
	my ($t, $text) = @_;
	$t->write_file_expand('nginx.conf', $text);
	quiet($t);
}

# Whether every worker that has found memcached down has found it up again.
sub all_up {
	my ($t) = @_;
	my %lines;

	$lines{$_}++ for messages($t) =~ /memcache: server "[^"]*" is (down|up)/g;
	return ($lines{down} // 0) == ($lines{up} // 0);
}

# Starts another master beside this one, and returns its process.
sub usr2 {
	my ($t, $master) = @_;

	kill 'USR2', $master;
	return wait_for(sub { my $pid = eval { master($t) } // $master;
		$pid != $master && $pid });
}

###############################################################################
