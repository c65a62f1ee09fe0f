package Test::Memcached::Fake::TLS;

# TLS on a connection of a fake memcached.  The connection is in plain text if
# its first byte is not of TLS: so a test asks for "stats".  Debian's package is
# libio-socket-ssl-perl.

###############################################################################

use warnings;
use strict;

use Errno qw/ EAGAIN EPROTO /;
use IO::Socket::SSL;
use Socket qw/ MSG_PEEK /;

use constant RECORD_HANDSHAKE => "\x16";

###############################################################################

# The options are those of IO::Socket::SSL.
sub new {
	my ($class, $socket, $options) = @_;
	return bless { socket => $socket, options => $options,
		step => 'unknown' }, $class;
}

# Whether texts can be sent and read.
sub ready { $_[0]{step} =~ /^(?:plain|tls)\z/ }

# Begins or goes on with the handshake.  Returns whether it is over; if not, $!
# is EAGAIN, or says that it failed.
sub handshake {
	my ($self) = @_;
	my $socket = $self->{socket};

	if ($self->{step} eq 'unknown') {
		defined recv($socket, my $first, 1, MSG_PEEK) or return 0;

		if ($first ne RECORD_HANDSHAKE) {
			$self->{step} = 'plain';
			return 1;
		}

		IO::Socket::SSL->start_SSL($socket, SSL_server => 1,
			SSL_startHandshake => 0, %{$self->{options}})
			or die "start_SSL: $SSL_ERROR\n";
		$self->{step} = 'handshake';
	}

	if ($socket->accept_SSL()) {
		$self->{step} = 'tls';
		return 1;
	}

	$! = $SSL_ERROR == SSL_WANT_READ || $SSL_ERROR == SSL_WANT_WRITE
		? EAGAIN : EPROTO;
	return 0;
}

# Appends all that there is, also what the socket does not show any more.
# Returns as sysread() does.
sub receive {
	my ($self, $text) = @_;
	my $all = 0;

	do {
		my $n = $self->{socket}->sysread($$text, 65536, length $$text);
		return $all || $n if !$n;
		$all += $n;
	} while ($self->{step} eq 'tls' && $self->{socket}->pending());

	return $all;
}

# Says that no more will come.
sub notify { Net::SSLeay::shutdown($_[0]->ssl()) }

# Asks for a new handshake.
sub renegotiate {
	my ($self) = @_;
	Net::SSLeay::renegotiate($self->ssl());
	Net::SSLeay::do_handshake($self->ssl());
}

# Closes without a word.
sub cut {
	my ($self) = @_;
	$self->{socket}->close(SSL_no_shutdown => 1) if $self->{step} =~ /^[th]/;
}

sub ssl { $_[0]{socket}->_get_ssl_object() }

###############################################################################

1;
