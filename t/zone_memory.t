#!/usr/bin/perl

# Tests for memcache module: memory of memcache_zone is used by those whom it
# belongs to, through reloads and crashes.

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

use constant SERVER_DOWN => 20;

my $t = Test::Nginx->new()->has(qw/http proxy/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'clients');

$t->plan(39);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

<load>

daemon off;
worker_processes 1;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:<size>;
    memcache_retry 60s;
    client_body_timeout 120s;
    client_header_timeout 120s;

    <http>

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        <servers>

        location /kv/ {
            memcache_kv on;
        }

        location /late {
            clients;
        }

        location /status {
            memcache_status json;
        }
    }
}

EOF

my $load = "%%MEMCACHE_GLOBALS%%\nload_module %%TESTDIR%%/clients.so;\n";
my $late = 'clients_conf late;';
my @keys = map { "key$_" } 1 .. 40;
my ($master, %m);

# what a zone has to have for one server, and for three

my ($need) = check_config($t, text('64k', '', 8081))
	=~ /too small: (\d+) bytes/;
my ($three) = check_config($t, text('64k', '', 8081 .. 8083))
	=~ /too small: (\d+) bytes/;
cmp_ok($need // 0, '<', $three // 0, 'what is needed');

# R8: a worker goes on with a server that is not in the configuration any
# more, in whose memory another one is by then

for my $size ('1m', $three) {
	for my $kind ('its own', 'its first client, asked for late') {
		given_away("R8 $size, $kind", $size, $kind ne 'its own');
	}
}

# servers come and go for ever, and workers crash: memory comes back

start(2 * $need, '', 8081);
for my $port (8082, 8083, 8084, 8081, 8082, 8083) {
	replace(2 * $need, '', $port);
	crash() if $port == 8083;
}
is(no_room(), '', 'memory comes back');
stop();

# a worker that has been there for long keeps what it has, and nothing else

start(2 * $need, '', 8081);
my $held = hold('a');
my $first = current();
reload(2 * $need, '', 8082);
replace(2 * $need, '', $_) for 8083, 8084, 8082, 8083, 8084;
is(no_room(), '', 'a worker that is there for long');
is(finish($held), 204, 'and works');
ok(gone($first), 'and ends');
stop();

# helpers take no slot, and there is room beside them

my $cache = 'proxy_cache_path %%TESTDIR%%/cache keys_zone=c:1m;';
start($need, $cache, 8081);
ok(wait_for(sub { children($master) >= 2 }), 'helpers');
reload($need, $cache, 8081);
put_all();
is_deeply([map { $_->{pid} } @{status()->{workers}}], [current()],
	'a slot for workers only');
is(no_room(), '', 'and room for them');
stop();

# without a master there is no zone, as nobody would keep it

write_conf('1m', '', 8081);
$t->write_file('nginx.conf', $t->read_file('nginx.conf')
	=~ s/^worker_processes.*/master_process off;/mr);
$t->run();
is(put_all('x'), '204', 'a single process');
is(status()->{scope}, 'worker', 'has no zone');
$t->stop();

is(join("\n", grep { /\[(?:alert|emerg)\]/ && !/ exited on signal 9$/
	&& !/too small/ } split /\n/, messages($t)), '', 'no alerts');

# named subroutines have it, too, and keep it longer than Test::More lives
undef $t;

###############################################################################

sub text {
	my ($size, $http, @ports) = @_;
	my %all = (load => $load, size => $size, http => $http, servers =>
		join ' ', map { "memcache_server 127.0.0.1:$_ max=1;" } @ports);

	return $conf =~ s/<(load|size|http|servers)>/$all{$1}/gr;
}

sub write_conf {
	$t->write_file_expand('nginx.conf', conf(text(@_)));
	quiet($t);
}

sub start {
	for my $port (8081 .. 8084) {
		$m{$port} //= Test::Memcached->start($t, port($port));
	}
	write_conf(@_);
	$t->run();
	$master = wait_for(sub { $t->read_file('nginx.pid') =~ /^(\d+)/ && $1 });
	wait_for(sub { workers($master) == 1 }) or die "No worker\n";
}

sub stop {
	my @all = (children($master), $master);
	$t->todo_alerts();
	$t->stop();
	gone(@all) or die "They stay\n";
	rename $t->testdir() . '/error.log', $t->testdir() . '/error.log.before';
}

# What the log says about room in the zone.
sub no_room {
	return join "\n", grep { /no room/ } split /\n/, messages($t);
}

sub current { (workers($master))[0] }

# Another configuration; the worker that has it.
sub reload {
	my $old = current() // 0;
	write_conf(@_);
	kill 'HUP', $master;
	wait_for(sub {
		my @now = workers($master);
		return @now == 1 && $now[0] != $old;
	}) or die "No reload\n";
	return current();
}

# The same, and the worker of before is gone.
sub replace {
	my $old = current();
	reload(@_);
	gone($old) or die "It stays\n";
}

# A worker ends as if by a fault of its own, and is replaced.
sub crash {
	my $old = current();
	kill 'KILL', $old;
	wait_for(sub { my $now = current(); $now && $now != $old })
		or die "Not replaced\n";
}

# A PUT whose body is not complete holds its worker.
sub hold {
	my ($key) = @_;
	my $s = http("PUT /kv/$key HTTP/1.0\r\nHost: localhost\r\n"
		. "Content-Length: 4\r\n\r\nab", start => 1);
	wait_for(sub { held(current()) }) or die "Not held\n";
	return $s;
}

# A request that is not read yet does so, too.
sub hold_late {
	my $s = http("GET /late?do=store&label=late&key=k&value=v HTTP/1.0\r\n",
		start => 1);
	wait_for(sub { held(current()) }) or die "Not held\n";
	return $s;
}

# Whether a worker has accepted a connection that is still there.
sub held {
	my ($pid) = @_;
	my $hex = sprintf ':%04X', port(8080);
	my %inode;

	open my $tcp, '<', '/proc/net/tcp' or die "No /proc/net/tcp: $!\n";
	while (my $line = <$tcp>) {
		my @f = split ' ', $line;
		$inode{$f[9]} = 1 if $f[1] =~ /$hex$/ && $f[3] eq '01';
	}
	return scalar grep { (readlink($_) // '') =~ /^socket:\[(\d+)\]$/
		&& $inode{$1} } glob "/proc/$pid/fd/*";
}

# The rest of what holds a worker; what is answered.
sub finish {
	my ($s, $rest) = @_;
	my $reply = '';

	$s->syswrite($rest // 'cd');
	1 while $s->sysread($reply, 4096, length $reply);
	return code($reply) == 200 ? http_content($reply) : code($reply);
}

sub put_all {
	return join ' ', map { code(kv_put($_, 'v')) } @_ ? @_ : @keys;
}

sub states {
	return join ', ', map { $_->{state} } @{status()->{clients}[0]{servers}};
}

sub given_away {
	my ($name, $size, $is_late) = @_;
	my @old = $is_late ? ($late . 'memcache_server 127.0.0.1:8081;', 8084)
		: ('', 8081);

	start($size, @old);
	my @workers = (current());
	my @held = (hold('a'));
	for (2 .. 4) {
		push @workers, reload($size, @old);
		push @held, hold('a');
	}
	my $last = reload($size, @old);
	my $kept = $is_late ? hold_late() : hold('a');

	# four end, the last one stays, and its server goes

	$_->close() for @held;
	ok(gone(@workers), "$name: four workers end");
	reload($size, '', 8082);
	reload($size, '', 8082);
	reload($size, '', 8082, 8083, 8084);
	like(put_all(), qr/^(?:204 ?){40}$/, "$name: new servers");
	is(states(), 'live, live, live', "$name: are live");

	# what the worker finds out is about its own server

	(delete $m{8081})->kill_it();
	my $answer = finish($kept, $is_late ? "\r\n" : 'cd');
	if ($is_late) {
		like($answer, qr/(?:status|refused)=${\SERVER_DOWN}$/,
			"$name: its own is down");
	} else {
		is($answer, 503, "$name: its own is down");
	}
	is(states(), 'live, live, live', "$name: the others are still live");
	like(put_all(), qr/^(?:204 ?){40}$/, "$name: and used");
	ok(gone($last), "$name: it ends");
	stop();
}

###############################################################################
