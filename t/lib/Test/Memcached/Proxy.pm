package Test::Memcached::Proxy;

# Proxies on 127.0.0.1, in front of memcacheds there.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;

use Test::Memcached;
use Test::Memcached::Mode;

our @EXPORT = qw/ start_twemproxy start_memcached_proxy memcached_proxies /;

###############################################################################

# twemproxy on this port, for servers on those; with options of its pool.
sub start_twemproxy {
	my ($t, $port, $ports, %options) = @_;
	Test::Memcached::Mode::start_twemproxy($t, $port, \%options,
		map { "127.0.0.1:$_" } @$ports);
}

# The proxy that this version of memcached has.
sub start_memcached_proxy {
	my ($version, $t, $port, $ports) = @_;
	my %versions = Test::Memcached->versions();
	my $backends = join ', ', map { qq!"127.0.0.1:$_"! } @$ports;

	$t->write_file("proxy-$port.lua", <<"EOF");
pools{ main = { backends = { $backends } } }
routes{ default = route_direct{ child = "main" } }
EOF

	$t->run_daemon(@{$versions{$version}}, '-l', '127.0.0.1', '-p', $port,
		'-U', '0', $> == 0 ? ('-u', 'root') : (), '-t', '2',
		'-o', 'proxy_config=routelib,proxy_arg=' . $t->testdir()
		. "/proxy-$port.lua");
}

# The versions that have one, with its library of routes.
sub memcached_proxies {
	my %versions = Test::Memcached->versions();

	return grep { open my $f, '-|', @{$versions{$_}}, '-h'
			or die "Can't run memcached $_: $!\n";
		grep { /proxy_config=routelib/ } <$f> } sort keys %versions;
}

###############################################################################

1;
