#!/usr/bin/perl

# Tests for memcache module: names that lead elsewhere after a reload, and names
# with several addresses.  The test runs in a mount namespace of its own, in
# which /etc/hosts is its own, too.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN {
	use FindBin; chdir($FindBin::Bin);

	my $why = $> != 0 ? 'needs root'
		: system('unshare --mount true 2>/dev/null') != 0
			? 'no mount namespaces here' : '';

	plan(skip_all => $why) if $why;

	if (!$ENV{TEST_NGINX_NAMESPACE}++) {
		exec 'unshare', '--mount', $^X, (map { "-I$_" } @INC),
			"$FindBin::Bin/$FindBin::Script" or die "unshare: $!\n";
	}
}

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(12);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes <workers>;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    <zone>
    memcache_server cache.test:%%PORT_8081%% <params>;
    memcache_retry <retry>;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }
    }
}

EOF

my $zone = 'memcache_zone memcache:4m;';
my (%m, $master);

hosts();
system('mount', '--bind', $t->testdir() . '/hosts', '/etc/hosts') == 0
	or die "No /etc/hosts of its own\n";

###############################################################################

# R45: a name leads elsewhere

for my $zone ($zone, '') {
	my $name = 'R45 ' . ($zone ? 'with a zone' : 'without');

	hosts('127.0.0.1');
	memcached('127.0.0.1', '127.0.0.2');
	start(1, $zone, '60s');
	is(code(kv_put('k', 'one')), 204, "$name: there");
	my $sets = server_status('cache.test')->{operations}{set};

	(delete $m{'127.0.0.1'})->kill_it();
	ok(wait_for(sub { code(kv_get('k')) == 503
		&& server_status('cache.test')->{state} eq 'down' }), "$name: down");

	hosts('127.0.0.2');
	reload();
	is(code(kv_put('k', 'two')), 204, "$name: there again");
	is(server_status('cache.test')->{state}, 'live', "$name: live");
	is(server_status('cache.test')->{operations}{set},
		$zone ? $sets + 1 : 1, "$name: numbers go on");

	# what is known of the address that is asked is still known

	(delete $m{'127.0.0.2'})->kill_it();
	wait_for(sub { code(kv_get('k')) == 503 });
	reload();
	is(server_status('cache.test')->{state}, $zone ? 'down' : 'live',
		"$name: the same address");
	stop();
}

# named subroutines have it, too, and keep it longer than Test::More lives
undef $t;

###############################################################################

sub hosts {
	$t->write_file('hosts', join '', "127.0.0.1 localhost\n",
		map { "$_ cache.test\n" } @_);
}

sub memcached {
	$m{$_} //= Test::Memcached->start($t, port(8081), address => $_) for @_;
}

sub configure {
	my ($workers, $zone, $retry, $params) = @_;
	my %all = (workers => $workers, zone => $zone, retry => $retry,
		params => $params // '');

	$t->write_file_expand('nginx.conf',
		conf($conf =~ s/<(workers|zone|retry|params)>/$all{$1}/gr));
	quiet($t);
}

sub start {
	my ($workers) = @_;

	configure(@_);
	$t->run();
	$master = $t->read_file('nginx.pid') + 0;
	settled($master, $workers) or die "No workers\n";
}

sub stop {
	my @all = (children($master), $master);
	$t->stop();
	gone(@all) or die "They stay\n";
}

sub reload {
	my %old = map { ($_ => 1) } workers($master);

	kill 'HUP', $master;
	wait_for(sub {
		my @now = workers($master);
		return @now == keys %old && !grep { $old{$_} } @now;
	}) or die "No reload\n";
}

###############################################################################
