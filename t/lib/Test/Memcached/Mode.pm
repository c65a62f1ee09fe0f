package Test::Memcached::Mode;

# Runs a test that was written for the meta protocol in another way:
#
#	TEST_NGINX_PROTOCOL=text	nginx speaks the text protocol
#	TEST_NGINX_PROXY=twemproxy	each Test::Memcached is behind a twemproxy
#	TEST_NGINX_TLS=1		nginx speaks TLS to each Test::Memcached
#
# needs.txt says what does not work so, and why.  A test in it that fails is
# skipped; one that passes passes.  A line that no test needed fails the file, so
# that no line hides more than it says.

###############################################################################

use warnings;
use strict;

use File::Basename qw/ basename dirname /;
use Test::More qw//;

use Test::Nginx qw//;

use constant MODE => $ENV{TEST_NGINX_PROTOCOL} || $ENV{TEST_NGINX_PROXY}
	|| ($ENV{TEST_NGINX_TLS} ? 'tls' : '')
	|| '';

my ($file, $process) = (basename($0), $$);

# Lines of needs.txt for this file: pattern, reason, and how often it was needed.
my @needs;

if (MODE) {
	die "TEST_NGINX_PROTOCOL may be text\n"
		if ($ENV{TEST_NGINX_PROTOCOL} || 'text') ne 'text';
	die "TEST_NGINX_PROXY may be twemproxy\n"
		if ($ENV{TEST_NGINX_PROXY} || 'twemproxy') ne 'twemproxy';

	$ENV{TEST_NGINX_GLOBALS_HTTP} = join "\n",
		$ENV{TEST_NGINX_GLOBALS_HTTP} // (), 'memcache_protocol text;'
		if $ENV{TEST_NGINX_PROTOCOL};

	read_needs(dirname(__FILE__) . '/needs.txt');
	my ($ok, $diag) = (\&Test::Builder::ok, \&Test::Builder::diag);
	my $skipped;

	no warnings 'redefine';
	*Test::Builder::ok = sub {
		my ($self, $true, $name) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;

		my ($need) = $true ? ()
			: grep { ($name // '') =~ $_->{tests} } @needs;
		return $ok->(@_) if !($skipped = $need);

		$need->{count}++;
		$self->skip("needs $need->{reason}: $name");
		return 1;
	};

	# what the test would say of the failure
	*Test::Builder::diag = sub { $skipped ? 0 : $diag->(@_) };
}

# Skips the file in this mode, before it begins.
sub unfit {
	my ($mode, $reason) = @_;
	Test::More::plan(skip_all => "$mode, needs $reason") if $mode eq MODE;
}

# The lines for this file.  One for all of its tests skips it.
sub read_needs {
	my ($needs) = @_;

	open my $f, '<', $needs or die "Can't open $needs: $!\n";
	while (defined(my $line = <$f>)) {
		next if $line =~ /^(?:#|$)/;
		my ($modes, $name, $tests, $reason) = $line =~
			m!^([\w,]+)\s+(\S+\.t)\s+(\*|/.*/)\s+(\S.*)$!
			or die "$needs line $.: not MODES FILE TESTS REASON\n";
		next if $name ne $file || !grep { $_ eq MODE } split /,/, $modes;

		unfit(MODE, $reason) if $tests eq '*';
		push @needs, { tests => qr/${\substr $tests, 1, -1}/,
			reason => $reason, count => 0 };
	}
}

END {
	for my $need ($$ == $process ? @needs : ()) {
		next if $need->{count} || $?;
		Test::More::diag("no test needed $need->{reason}: $need->{tests}");
		$? = 1;
	}
}

###############################################################################

# Names of ports that no test uses.
my $name = 8600;

sub another_port { Test::Nginx::port($name++) }

# With TEST_NGINX_PROXY, the port of the server whose proxy is on this one.  It
# stays the same when the server is started again.
my (%behind, %proxied);

sub behind {
	my ($port) = @_;
	return $behind{$port} //= another_port();
}

sub proxy {
	my ($t, $port) = @_;
	start_twemproxy($t, $port, { timeout => 60000 },
		"127.0.0.1:$behind{$port}") if !$proxied{$port}++;
}

sub start_twemproxy {
	my ($t, $port, $options, @servers) = @_;
	my $name = $t->testdir() . "/twemproxy-$port";
	my %options = (hash => 'md5', distribution => 'ketama',
		auto_eject_hosts => 'false', %$options);

	open my $f, '>', "$name.yml" or die "Can't create $name.yml: $!\n";
	print $f "pool:\n  listen: 127.0.0.1:$port\n",
		(map { "  $_: $options{$_}\n" } sort keys %options),
		"  servers:\n", map { /:\d+:/ ? "  - $_\n" : "  - $_:1\n" } @servers;
	close $f or die "Can't write $name.yml: $!\n";

	$t->run_daemon('nutcracker', '-c', "$name.yml", '-o', "$name.log",
		'-a', '127.0.0.1', '-s', another_port());
	$t->waitforsocket("127.0.0.1:$port")
		or die "Can't start nutcracker; Debian's package is nutcracker\n";
}

###############################################################################

1;
