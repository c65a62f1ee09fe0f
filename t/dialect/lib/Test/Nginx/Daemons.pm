package Test::Nginx::Daemons;

# Other servers than nginx, and waiting for processes; what Test::Nginx has of
# both.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use IO::Socket::INET;
use POSIX qw/ WNOHANG /;

our @EXPORT_OK = qw/ exited /;

# How long a process may take to start and to exit, in seconds.
use constant {
	START_TIME	=> 20,
	DAEMON_TIME	=> 5,
	STEP		=> 0.05,
};

###############################################################################

sub run_daemon {
	my ($self, $code, @args) = @_;

	my $pid = fork() // die "Can't fork daemon: $!\n";

	if ($pid == 0) {
		if (ref $code eq 'CODE') {
			$code->(@args);
			exit 0;
		}

		{ exec { $code } $code, @args; }
		warn "Can't exec $code: $!\n";
		POSIX::_exit(1);
	}

	push @{$self->{daemons}}, $pid;
	return $self;
}

sub stop_daemons {
	my ($self) = @_;

	while (defined(my $pid = shift @{$self->{daemons}})) {
		kill 'TERM', $pid;

		if (!exited($pid, DAEMON_TIME)) {
			kill 'KILL', $pid;
			waitpid($pid, 0);
		}
	}

	return $self;
}

sub exited {
	my ($pid, $seconds) = @_;
	return within($seconds, sub { waitpid($pid, WNOHANG) != 0 });
}

# Waits for a file to appear; if the process exits first, in vain.
sub waitforfile {
	my ($self, $file, $pid) = @_;
	my $gone;

	return within(START_TIME, sub {
		return 1 if -e $file;
		return 0 if $gone;
		$gone = waitpid($pid, WNOHANG) != 0 if $pid;
		return;
	});
}

sub waitforsocket {
	my ($self, $peer) = @_;

	return within(START_TIME, sub {
		IO::Socket::INET->new(Proto => 'tcp', PeerAddr => $peer)
			? 1 : undef;
	});
}

# Asks again and again until there is an answer, true or 0, or the time is up.
sub within {
	my ($seconds, $ask) = @_;

	for (1 .. $seconds / STEP) {
		my $answer = $ask->();
		return $answer if defined $answer && $answer ne '';
		select undef, undef, undef, STEP;
	}

	return undef;
}

###############################################################################

1;
