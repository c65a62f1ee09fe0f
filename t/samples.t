#!/usr/bin/perl

# Tests for memcache module: the configurations in nginx-conf/ work as they
# are, save for ports and places.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Certificates;
use Test::Memcached;
use Test::Memcached::DNS;
use Test::Memcached::Proxy;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my @samples = glob '../nginx-conf/*.conf';

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker')->has_daemon('socat')->plan(5 * @samples + 1);

cmp_ok(scalar @samples, '>=', 4, 'samples');

my @m = map { Test::Memcached->start($t, port($_)) } 11211 .. 11213;

# for the one with a password
my $password = $t->testdir() . '/memcached.password';
$t->write_file('memcached.password', "app:a-long-random-password\n");
chmod 0600, $password;
push @m, Test::Memcached->start($t, port(11214), auth => $password);

# for the one with a proxy
start_twemproxy($t, port(11220), [map { port($_) } 11211 .. 11213]);

# for the one with TLS, whose authority the system trusts
my $dir = $t->testdir();
Test::Certificates->authority($dir)->sign('server');
local $ENV{SSL_CERT_FILE} = "$dir/ca.pem";
$t->run_daemon('socat', 'OPENSSL-LISTEN:' . port(11230) . ",bind=127.0.0.1,"
	. "reuseaddr,fork,cert=$dir/server.pem,key=$dir/server.key,verify=0",
	'TCP:127.0.0.1:' . port(11211));
$t->waitforsocket('127.0.0.1:' . port(11230))
	or die "Can't start socat; Debian's package is socat\n";

# for the one whose name is followed
Test::Memcached::DNS->start($t, port(8053))
	->set('cache.example.com', A => ['127.0.0.1']);

###############################################################################

for my $sample (@samples) {
	my ($name) = $sample =~ m!([^/]+)$!;

	$t->write_file_expand('nginx.conf', conf(adapted($sample)));
	$t->run();

	is(code(kv_put('cow', $name)), 204, "$name - set");
	is(content(kv_get('cow')), "200 $name", "$name - get");
	is(scalar(grep { defined $_->get('cow') || defined $_->get('kv:cow') }
		@m), 1, "$name - stored");
	is(status()->{clients}[0]{servers}[0]{state}, 'live',
		"$name - status");
	is(code(kv_delete('cow')), 204, "$name - delete");

	$t->stop();
}

###############################################################################

# The sample with ports and places of the test.
sub adapted {
	my ($sample) = @_;

	open my $f, '<', $sample or die "Can't open $sample: $!";
	local $/;
	my $text = <$f>;

	# nothing is left of modules, pid and log: they are the test's
	$text =~ s/^load_module modules\/ngx_http_(memcache\w*)_module\.so;$/
		'%%LOAD_' . uc($1) . '%%'/gem;
	$text =~ s/^pid nginx\.pid;$/%%TEST_GLOBALS%%\ndaemon off;/m;
	$text =~ s/^error_log .*;$//m;

	$text =~ s/\/etc\/nginx\/memcached\.password;/$password;/;
	$text =~ s/\b(127\.0\.0\.1|localhost|cache\.example\.com):(112\d\d)/$1:%%PORT_$2%%/g;
	$text =~ s/127\.0\.0\.53/127.0.0.1:%%PORT_8053%%/g;
	$text =~ s/^http \{$/http {\n%%TEST_GLOBALS_HTTP%%/m
		unless $text =~ /client_body_temp_path/;

	return $text;
}

###############################################################################
