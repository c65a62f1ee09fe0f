package Test::Nginx::H2;

# As much of HTTP/2 as it takes to send requests, to reset them, and to see the
# status and body of answers: over TCP, with prior knowledge.

###############################################################################

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use Time::HiRes qw/ time /;

# Types and flags of frames.
use constant {
	DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
	WINDOW_UPDATE => 8, END_STREAM => 1, ACK => 1, END_HEADERS => 4,
	CANCEL => 8,
};

# The statuses that the static table of RFC 7541 has, by index.
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
	14 => 500);

sub new {
	my ($class, $port) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port")
		or die "Can't connect to port $port: $!\n";
	my $self = bless { socket => $s, in => '', next => 1, streams => {} },
		$class;

	$s->print("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	$self->frame(SETTINGS, 0, 0, '');
	return $self;
}

sub frame {
	my ($self, $type, $flags, $stream, $payload) = @_;

	$self->{socket}->print(pack('CnCCN', length($payload) >> 16,
		length($payload) & 0xffff, $type, $flags, $stream) . $payload);
	$self->{socket}->flush();
}

# Sends a request, or with more => 1 only its header, and returns its stream;
# cookies => [TEXT] are headers of their own, as browsers send them.
sub request {
	my ($self, $method, $path, %options) = @_;
	my $stream = $self->{next};

	$self->{next} += 2;
	$self->frame(HEADERS, END_HEADERS | ($options{more} ? 0 : END_STREAM),
		$stream, join '', literal(2, $method), "\x86", literal(4, $path),
		literal(1, 'localhost'), map { "\x0f\x11" . pack 'C/a*', $_ }
		@{$options{cookies} // []});
	return $stream;
}

# A header whose name is in the static table, and that is not to be indexed.
sub literal {
	my ($name, $value) = @_;
	die "Too long: $value\n" if length $value > 126;
	return pack 'CC/a*', $name, $value;
}

# Says that nobody waits for the answer.
sub reset {
	my ($self, $stream) = @_;
	$self->frame(RST_STREAM, 0, $stream, pack 'N', CANCEL);
}

# Reads until these requests are answered, or in vain; returns "STATUS BODY"
# for each.
sub replies {
	my ($self, @wanted) = @_;
	my $end = time() + 20;

	while (time() < $end && grep { !($self->{streams}{$_} // {})->{over} } @wanted) {
		IO::Select->new($self->{socket})->can_read(1) or next;
		$self->{socket}->sysread($self->{in}, 65536, length $self->{in})
			or last;
		1 while $self->take();
	}

	return map { my $stream = $self->{streams}{$_};
		$stream->{over} ? "$stream->{status} $stream->{body}"
			: 'no answer' } @wanted;
}

# Takes a frame from what was read.
sub take {
	my ($self) = @_;

	return if length $self->{in} < 9;

	my ($high, $low, $type, $flags, $id) = unpack 'CnCCN', $self->{in};
	my $length = $high << 16 | $low;

	return if length $self->{in} < 9 + $length;

	my $payload = substr $self->{in}, 9, $length;
	my $stream = $self->{streams}{$id} //= { status => '', body => '' };

	substr($self->{in}, 0, 9 + $length) = '';

	if ($type == SETTINGS && !($flags & ACK)) {
		$self->frame(SETTINGS, ACK, 0, '');
	} elsif ($type == HEADERS) {
		$stream->{status} = status($payload);
	} elsif ($type == DATA) {
		$stream->{body} .= $payload;
		$self->frame(WINDOW_UPDATE, 0, $_, pack 'N', $length)
			for $length ? (0, $id) : ();
	} elsif ($type == RST_STREAM) {
		@$stream{qw/ status over /} = ('reset', 1);
	}

	$stream->{over} = 1 if ($type == HEADERS || $type == DATA)
		&& $flags & END_STREAM;
	return 1;
}

# The status is the first header, behind changes of the dynamic table's size.
sub status {
	my ($block) = @_;

	$block =~ s/^[\x20-\x3f]+//;

	my $first = ord $block;
	return $status{$first & 0x7f} // 'unknown' if $first & 0x80;
	return substr $block, 2, 3;
}

###############################################################################

1;
