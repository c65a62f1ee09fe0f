#!/usr/bin/perl

# Tests for memcache module: clients that go away while operations of a sibling
# in C are in flight, which the module alone takes back, and a worker that does.
# Names that begin with an F and a number are rows of the fault matrix.

###############################################################################

use warnings;
use strict;

use Test::More;

use Socket qw/ SOL_SOCKET SO_LINGER /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http ssi/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'abi');

my $conf = faults_conf({ http => <<'EOF' },
    memcache_timeout 60s;
    memcache_connect_timeout 60s;
    ssi on;
EOF
	8080 => 'memcache_server 127.0.0.1:8081 max=1;
		location = /abi { abi; }
		location = /page { default_type text/html; }');

$conf =~ s/^(?=.*daemon off)/load_module %%TESTDIR%%\/abi.so;\n/m;

$t->plan(17)->write_file_expand('nginx.conf', $conf);

my $m = Test::Memcached->start($t, port(8081));

# what one of them says, and a page of subrequests
my @keys = map { "key$_" } 1 .. 10;
my %said = map { ($_ => qr/size=\d+ status=0 .* value=\Q@{[value($_, 1)]}\E/) }
	@keys;
my %pages = ('/abi?op=1&key=key1' => ['F43 request', qr/^$said{key1}$/],
	'/page' => ['F44 subrequests', qr/^@{[join '', @said{@keys}]}$/]);

$t->write_file('page', join '',
	map { "<!--#include virtual=\"/abi?op=1&key=$_\" -->" } @keys);
$t->run();

my $worker = first_worker($t);

###############################################################################

$m->set($_, value($_, 1)) for @keys;

for my $uri (sort keys %pages) {
	my ($name, $page) = @{$pages{$uri}};

	like(http_content(http_get($uri)), $page, $name);

	for my $how ('closed', 'reset') {
		my $cancelled = server_status(port(8081))->{errors}{cancelled};

		$m->pause();
		my @leave = map { http_get($uri, start => 1) } 1 .. 20;
		ok(wait_for(sub { waiting(port(8081)) >= 20 }),
			"$name, $how - in flight");

		for my $s (@leave) {
			setsockopt($s, SOL_SOCKET, SO_LINGER,
				pack 'ii', 1, 0) if $how eq 'reset';
			close $s;
		}

		ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled}
			>= $cancelled + 20 }), "$name, $how - cancelled");
		$m->resume();
		like(http_content(http_get($uri)), $page, "$name, $how - next");
	}
}

is((worker_pids($t))[0], $worker, 'F44 the same worker');

# a fast exit: nobody is called back, who could still answer

$m->pause();
my @open = map { http_get('/abi?op=1&key=key1', start => 1) } 1 .. 20;
ok(wait_for(sub { waiting(port(8081)) >= 20 }), 'F49 TERM - in flight');
my $master = master($t);
kill 'TERM', $master;
waitpid $master, 0;
ended($t);
$m->resume();
is_deeply([read_all(@open)], [('') x 20],
	'F49 TERM - no handler has run');

###############################################################################
