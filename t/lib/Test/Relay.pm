package Test::Relay;

# What is between nginx and a server: it is slow, or changes what passes.

###############################################################################

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use Scalar::Util qw/ refaddr /;
use Socket qw/ IPPROTO_TCP TCP_NODELAY /;
use Time::HiRes qw/ time /;

###############################################################################

# Forks a relay from one port to another one.  Options:
#
#	delay	seconds that bytes are on their way, in each direction
#	answer	called with bytes of the server and how many came before them
#		on the connection; returns what to pass on
sub start {
	my ($class, $t, $port, $to, %options) = @_;

	my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
		Listen => 64, Reuse => 1)
		or die "Can't listen on port $port: $!\n";
	my $self = bless { listen => $listen, to => $to, ends => {},
		under_way => [], delay => 0, %options }, $class;

	# it listens already: nobody has to wait for the child
	$t->run_daemon(sub { $self->serve() });
	close $listen;
	return $self;
}

sub serve {
	my ($self) = @_;
	$SIG{PIPE} = 'IGNORE';

	while (1) {
		my $next = $self->{under_way}[0];
		my $pause = $next ? $next->{time} - time() : undef;
		my @ready = IO::Select->new($self->{listen},
			map { $_->{socket} } values %{$self->{ends}})
			->can_read($pause && $pause < 0 ? 0 : $pause);

		for my $socket (@ready) {
			if ($socket == $self->{listen}) {
				$self->accept();
			} elsif (my $end = $self->{ends}{refaddr $socket}) {
				$self->receive($end);
			}
		}
		$self->deliver();
	}
}

sub accept {
	my ($self) = @_;
	my $client = $self->{listen}->accept() or return;
	my $server = IO::Socket::INET->new("127.0.0.1:$self->{to}")
		or return $client->close();
	my @ends = map { { socket => $_, passed => 0 } } $client, $server;

	setsockopt($_, IPPROTO_TCP, TCP_NODELAY, 1) for $client, $server;
	$ends[1]{is_server} = 1;
	@$_{qw/ peer id /} = ($ends[!$_->{is_server}], refaddr $_->{socket})
		for @ends;
	$self->{ends}{$_->{id}} = $_ for @ends;
}

sub receive {
	my ($self, $end) = @_;
	my $n = $end->{socket}->sysread(my $bytes, 65536);

	# nothing more comes from there; what is under way arrives
	delete $self->{ends}{$end->{id}} if !$n;

	my $text = $n ? $bytes : undef;
	if ($n && $end->{is_server} && $self->{answer}) {
		$text = $self->{answer}->($bytes, $end->{passed});
		$end->{passed} += $n;
	}

	push @{$self->{under_way}}, { time => time() + $self->{delay},
		to => $end->{peer}, text => $text };
}

sub deliver {
	my ($self) = @_;

	while (my $first = $self->{under_way}[0]) {
		return if $first->{time} > time();
		shift @{$self->{under_way}};

		my $socket = $first->{to}{socket};
		defined $first->{text} ? print { $socket } $first->{text}
			: $socket->shutdown(1);
		$socket->flush();
	}
}

###############################################################################

1;
