package Test::Nginx;

# The verbs of the nginx-tests dialect that the tests of this project use,
# with the meaning that they have in nginx's own test library.  A test that
# runs on this file runs on the original too:
#
#	make test NGINX_TESTS=DIR	# DIR/lib/Test/Nginx.pm is the original
#
# Environment:
#
#	TEST_NGINX_BINARY	the nginx to test, default: nginx in the PATH
#	TEST_NGINX_GLOBALS	lines for the main block of every configuration
#	TEST_NGINX_GLOBALS_HTTP	lines for the http block
#	TEST_NGINX_VERBOSE	show what goes over the wire
#	TEST_NGINX_CATLOG	show the error log at the end
#	TEST_NGINX_LEAVE	keep the test's directory

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use File::Path qw/ rmtree /;
use File::Temp qw/ tempdir /;
use IO::Socket::INET;
use POSIX qw//;
use Socket qw/ SOL_SOCKET SO_REUSEADDR /;
use Test::More qw//;

use parent 'Test::Nginx::Daemons';

use Test::Nginx::Daemons qw/ exited /;
use Test::Nginx::HTTP;

our @EXPORT = qw/ log_in log_out http http_get http_head port /;
our @EXPORT_OK = qw/ http_start http_end http_content /;

our $NGINX = $ENV{TEST_NGINX_BINARY} || find_in_path('nginx') || 'nginx';

###############################################################################

# How long nginx may take to exit, in seconds.
use constant QUIT_TIME => 90;

# Sockets that reserve ports, by the names of these.
my %ports;

# What is no verb of the dialect is no method, so that no test can use it.
my ($final_checks, $read_log, $command_line, $master);

# Checks that end every file: plan() counts them, DESTROY makes them.
use constant FINAL_CHECKS => 2;

sub new {
	my ($class) = @_;

	Test::More::BAIL_OUT("no $NGINX binary found") unless -x $NGINX;

	return bless {
		pid => $$,
		testdir => tempdir('nginx-test-XXXXXXXXXX', TMPDIR => 1),
		daemons => [],
	}, $class;
}

sub DESTROY {
	my ($self) = @_;
	local ($?, $@);

	# a daemon that was forked from the test has a copy of the object
	return if $self->{pid} != $$;

	$self->stop();
	$self->stop_daemons();
	$self->$final_checks() if Test::More->builder->expected_tests;

	print STDERR $self->$read_log() if $ENV{TEST_NGINX_CATLOG};
	rmtree($self->{testdir}) unless $ENV{TEST_NGINX_LEAVE};
}

$final_checks = sub {
	my ($self) = @_;
	my $log = $self->$read_log();
	my @lines = split /\n/, $log;
	my ($report) = $log =~ /^(\S*ERROR: \w+Sanitizer.*?^SUMMARY: [^\n]*)/ms;

	{
		local $Test::Nginx::TODO = 'alerts' if $self->{_alerts};
		Test::More::is(join("\n", grep { /\[alert\]/ } @lines),
			'', 'no alerts');
	}

	Test::More::is(join("\n", grep { /Sanitizer/ } @lines), '',
		'no sanitizer errors')
		or Test::More::diag($report // 'no report');
};

# For a test that provokes alerts.
sub todo_alerts {
	my ($self) = @_;
	$self->{_alerts} = 1;
	return $self;
}

$read_log = sub {
	my ($self) = @_;
	return -e "$self->{testdir}/error.log"
		? $self->read_file('error.log') : '';
};

###############################################################################

# Requirements: the file is skipped, with the reason, if one is not met.

sub has {
	my ($self, @features) = @_;

	for my $feature (@features) {
		Test::More::plan(skip_all => "no $feature available")
			unless $self->has_module($feature);
	}

	return $self;
}

# Modules of nginx that a build may lack, by the word of their option.
my %optional = map { ($_ => 1) } qw/ access charset fastcgi gzip limit_req map
	memcached mirror proxy rewrite scgi ssi upstream_hash upstream_keepalive uwsgi /;

sub has_module {
	my ($self, $feature) = @_;
	my $built = $self->{version} //= `$NGINX -V 2>&1`;

	return $built !~ /--without-http(?!\S)/ if $feature eq 'http';
	return 1 if $feature eq 'unix';
	return $built !~ /--without-http_\Q$feature\E_mod/
		if $optional{$feature};
	return $built =~ /--with-(?:http_)?\Q$feature\E(?:_module)?(?!\S)/;
}

sub has_version {
	my ($self, $need) = @_;
	my $built = $self->{version} //= `$NGINX -V 2>&1`;

	my @have = split /\./, $built =~ m!nginx/([0-9.]+)! ? $1 : 0;

	for my $n (split /\./, $need) {
		my $v = shift @have // 0;
		return $v > $n if $v != $n;
	}

	return 1;
}

sub has_daemon {
	my ($self, $daemon) = @_;

	Test::More::plan(skip_all => "$daemon not found")
		unless find_in_path($daemon);

	return $self;
}

sub find_in_path {
	my ($name) = @_;
	my ($found) = grep { -x } map { "$_/$name" }
		split(/:/, $ENV{PATH} // ''), qw!/usr/local/sbin /usr/sbin!;
	return $found;
}

sub plan {
	my ($self, $tests) = @_;
	Test::More::plan(tests => $tests + FINAL_CHECKS);
	return $self;
}

###############################################################################

# Files of the test's directory.

sub testdir { $_[0]{testdir} }

sub read_file {
	my ($self, $name) = @_;

	open my $f, '<:raw', "$self->{testdir}/$name"
		or die "Can't open $name: $!";
	local $/;
	return scalar <$f> // '';
}

sub write_file {
	my ($self, $name, $content) = @_;

	open my $f, '>:raw', "$self->{testdir}/$name"
		or die "Can't create $name: $!";
	print $f $content;
	close $f or die "Can't write $name: $!";

	return $self;
}

sub write_file_expand {
	my ($self, $name, $content) = @_;
	my %macro = (
		TEST_GLOBALS => sub { $self->test_globals() },
		TEST_GLOBALS_HTTP => sub { $self->test_globals_http() },
		TESTDIR => sub { $self->{testdir} },
	);

	$content =~ s/%%([A-Z_]+)%%/$macro{$1} ? $macro{$1}->() : $&/ge;
	# a number of its own the original library would replace once more
	for my $port ($content =~ /127\.0\.0\.1:(\d+)/g) {
		die "$name has the number of a port, and not its name\n"
			if grep { $_->sockport() == $port } values %ports;
	}

	$content =~ s/127\.0\.0\.1:(8\d{3})/'127.0.0.1:' . port($1)/ge;
	$content =~ s/%%PORT_(\d+)%%/port($1)/ge;

	return $self->write_file($name, $content);
}

sub test_globals {
	my ($self) = @_;

	$self->{globals_written} = 1;

	return "pid $self->{testdir}/nginx.pid;\n"
		. "error_log $self->{testdir}/error.log debug;\n"
		. ($ENV{TEST_NGINX_GLOBALS} // '');
}

sub test_globals_http {
	my ($self) = @_;
	my $dir = $self->{testdir};

	return join '', "root $dir;\n", "access_log $dir/access.log;\n",
		"client_body_temp_path $dir/client_body_temp;\n",
		(map { $self->has_module($_)
			? "${_}_temp_path $dir/${_}_temp;\n" : () }
			qw/ proxy fastcgi uwsgi scgi /),
		$ENV{TEST_NGINX_GLOBALS_HTTP} // '';
}

###############################################################################

# Ports.  One is reserved by a socket that is bound, but does not listen: the
# kernel gives it to no other test, while a server, which sets SO_REUSEADDR,
# can listen on it, and a connect is refused as long as none does.

sub port {
	my ($name) = @_;

	$ports{$name} //= do {
		my $s = IO::Socket::INET->new(Proto => 'tcp',
			LocalAddr => '127.0.0.1', LocalPort => 0)
			or die "Can't reserve a port: $!\n";
		setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1)
			or die "Can't set SO_REUSEADDR: $!\n";
		$s;
	};

	return $ports{$name}->sockport();
}

###############################################################################

# nginx itself.

$command_line = sub {
	my ($self) = @_;
	my $dir = $self->{testdir};

	return ($NGINX, '-p', "$dir/", '-c', 'nginx.conf', '-e', 'error.log',
		$self->{globals_written} ? () : ('-g',
		"pid $dir/nginx.pid; error_log $dir/error.log debug;"));
};

sub run {
	my ($self) = @_;
	my @command = $self->$command_line();

	my $pid = fork() // die "Unable to fork(): $!\n";

	if ($pid == 0) {
		{ exec { $command[0] } @command; }
		warn "Unable to exec $command[0]: $!\n";
		POSIX::_exit(1);
	}

	if (!$self->waitforfile("$self->{testdir}/nginx.pid", $pid)) {
		kill 'TERM', $pid;
		waitpid($pid, 0);
		die "Can't start nginx\n";
	}

	$self->{started} = 1;
	$self->{nginx} = $pid;
	return $self;
}

sub try_run {
	my ($self, $reason) = @_;

	open my $stderr, '>&', \*STDERR or die "Can't save stderr: $!";
	open STDERR, '>', '/dev/null' or die "Can't open /dev/null: $!";
	my $ok = eval { $self->run(); 1 };
	open STDERR, '>&', $stderr or die "Can't restore stderr: $!";

	return $self if $ok;

	log_core('log', $self->$read_log());
	Test::More::plan(skip_all => $reason);
}

sub reload {
	my ($self) = @_;
	kill 'HUP', $self->$master() if $self->{started};
	return $self;
}

# What nginx wrote itself, or, while its file is still empty, what was started.
$master = sub {
	my ($self) = @_;
	my ($pid) = $self->read_file('nginx.pid') =~ /^(\d+)/;
	return $pid || $self->{nginx};
};

sub stop {
	my ($self) = @_;

	return $self unless $self->{started};
	$self->{started} = 0;

	my $pid = $self->$master();

	kill 'QUIT', $pid;

	if (!exited($pid, QUIT_TIME)) {
		kill 'TERM', $pid;
		waitpid($pid, 0);
	}

	return $self;
}

sub dump_config {
	my ($self) = @_;
	my @command = ($self->$command_line(), '-T');

	open my $f, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
		or die "Can't run $NGINX: $!";
	local $/;
	return scalar <$f>;
}

###############################################################################

1;
