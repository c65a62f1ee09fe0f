package Test::Memcached::Fake;

# A memcached that misbehaves as a script says: a server of the meta protocol
# with a store, whose script may answer a request itself.
#
#	Test::Memcached::Fake->start($t, port(8081), sub {
#		my ($request) = @_;
#		return if $request->{verb} eq 'mg';	# silence
#		return $request->answer();		# as memcached does
#	});
#
# What the script returns is a list of what to do, in order:
#
#	'text'	send it, in one piece
#	\0.2	wait so many seconds, without holding up other connections
#	CLOSE, RESET, FINISH, DEAF, HEAR	(see below)
#	NOTIFY, RENEGOTIATE	(with TLS alone)
#
# The script is asked about "version" and "mn", with which each connection
# begins, and not about what a server is tried with behind them, unless there is
# the option "tries".
#
# A request has: verb, key (as on the wire), flags (a list), value, line, and
# n (counted from 1 on its connection), connection (counted from 1), and
# kept, a hash of the connection for the script's own use.

###############################################################################

use warnings;
use strict;

use Errno qw/ EAGAIN /;
use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;
use MIME::Base64 qw/ decode_base64 /;
use Scalar::Util qw/ refaddr /;
use Socket qw/ SOL_SOCKET SO_LINGER SO_RCVBUF SO_SNDBUF IPPROTO_TCP
	TCP_NODELAY SHUT_WR /;
use Time::HiRes qw/ time /;

use Test::Memcached::Fake::Request;
use Test::Memcached::Mode;

Test::Memcached::Mode::unfit('text', 'a scripted server that speaks text');

use constant {
	CLOSE	=> \'close',	# closes the connection
	RESET	=> \'reset',	# closes it with a RST
	FINISH	=> \'finish',	# sends a FIN, and goes on reading
	DEAF	=> \'deaf',	# reads nothing any more
	HEAR	=> \'hear',	# reads again
	NOTIFY	=> \'notify',	# says by TLS that no more will come
	RENEGOTIATE => \'renegotiate',	# wants a new handshake, as TLS 1.2 can
};

our @EXPORT = qw/ CLOSE RESET FINISH DEAF HEAR NOTIFY RENEGOTIATE pieces /;

# With TEST_NGINX_TLS=1, nginx talks to these by TLS, too.
use constant USUAL_TLS => $ENV{TEST_NGINX_TLS} ? do {
	require Test::Memcached;
	Test::Memcached::tls();
} : undef;

# Forks the server.  Options:
#
#	greeting	what to do when a connection was accepted
#	raw		called with the bytes as they come, instead of the script
#	header		called for a store when its line has come; if it says
#			what to do, the script is not called when the value has
#	buffer		bytes that a connection holds in each direction
#	version		what it says that it is; default: 1.6.18
#	tries		called instead of the script for the get, the store and
#			the noop that a server is tried with
#	tls		options of IO::Socket::SSL: it speaks TLS, but plain text
#			with stats().  Each text is a record.
sub start {
	my ($class, $t, $port, $script, %options) = @_;

	my $listen = IO::Socket::INET->new(Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port", Listen => 64, Reuse => 1)
		or die "Can't listen on port $port: $!\n";

	setsockopt($listen, SOL_SOCKET, $_, $options{buffer})
		for $options{buffer} ? (SO_RCVBUF, SO_SNDBUF) : ();

	my $self = bless { listen => $listen, script => $script, port => $port,
		store => {}, cas => 0, accepted => 0,
		connections => {}, %options }, $class;

	$self->{tls} //= { SSL_cert_file => USUAL_TLS . '/server.pem',
		SSL_key_file => USUAL_TLS . '/server.key' } if USUAL_TLS;
	require Test::Memcached::Fake::TLS if $self->{tls};

	# it listens already: nobody has to wait for the child
	$t->run_daemon(sub { $self->serve() });
	close $listen;

	return $self;
}

# What a fake on this port has seen: connections accepted, how many of them are
# open, and requests.
sub stats {
	my ($self) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$self->{port}")
		or die "Can't connect to port $self->{port}: $!\n";
	my %stats;

	$s->print("stats\r\n");
	while (defined(my $line = $s->getline())) {
		last if $line =~ /^END/;
		$stats{$1} = $2 if $line =~ /^STAT (\w+) (\d+)/;
	}

	return \%stats;
}

# Text in pieces that end at these places, with a pause behind each, so that
# they arrive as they were sent.
sub pieces {
	my ($text, @ends) = @_;
	my ($from, @pieces) = (0);

	for my $end (grep { $_ < length $text } @ends) {
		push @pieces, substr($text, $from, $end - $from), \0.002
			if $end > $from;
		$from = $end;
	}

	return (@pieces, substr $text, $from);
}

###############################################################################

sub serve {
	my ($self) = @_;

	$SIG{PIPE} = 'IGNORE';

	while (1) {
		my @all = values %{$self->{connections}};
		my @waiting = grep { defined } map { $_->{until} } @all;
		my ($first) = sort { $a <=> $b } @waiting;
		my $pause = defined $first ? $first - time() : undef;

		$pause = 0 if defined $pause && $pause < 0;

		# like memcached, it reads nothing while an answer waits
		my ($readable, $writable) = IO::Select::select(
			IO::Select->new($self->{listen}, map { $_->{socket} }
				grep { !$_->{eof} && !$_->{deaf}
				&& !$_->{full} } @all),
			IO::Select->new(map { $_->{socket} }
				grep { $_->{full} } @all), undef, $pause);

		for my $s (@{$readable // []}) {
			if ($s == $self->{listen}) {
				$self->accept();
			} elsif (my $c = $self->{connections}{refaddr $s}) {
				$self->receive($c);
			}
		}

		for my $c (map { $self->{connections}{refaddr $_} // () }
			@{$writable // []})
		{
			$c->{full} = 0;
			$self->act($c);
		}

		$self->act($_) for grep { defined $_->{until}
			&& $_->{until} <= time() } @all;
	}
}

sub accept {
	my ($self) = @_;
	my $s = $self->{listen}->accept() or return;

	setsockopt($s, IPPROTO_TCP, TCP_NODELAY, 1);
	$s->blocking(0);

	my $c = $self->{connections}{refaddr $s} = { socket => $s, in => '',
		todo => [], n => 0, number => ++$self->{accepted},
		kept => {} };

	return $c->{tls} = Test::Memcached::Fake::TLS->new($s, $self->{tls})
		if $self->{tls};
	$self->greet($c);
}

sub greet {
	my ($self, $c) = @_;
	$self->enqueue($c, $self->{greeting}->($c->{number}))
		if $self->{greeting};
}

# Reads what has come.  Returns as sysread() does.
sub take {
	my ($self, $c) = @_;
	my $tls = $c->{tls} or return
		$c->{socket}->sysread($c->{in}, 65536, length $c->{in});

	if (!$tls->ready()) {
		$tls->handshake() or return $! == EAGAIN ? undef : 0;
		$self->greet($c);
	}
	return $tls->receive(\$c->{in});
}

sub receive {
	my ($self, $c) = @_;
	my $n = $self->take($c);

	return if !defined $n && $! == EAGAIN;

	if (!$n) {
		$c->{eof} = 1;
		return @{$c->{todo}} ? () : $self->drop($c);
	}

	if ($self->{raw}) {
		my $bytes = $c->{in};
		$c->{in} = '';
		return $self->enqueue($c, $self->{raw}->($bytes));
	}

	while (my $request = $self->next_request($c)) {
		my $answered = $request->{verb} eq 'ms' && delete $c->{answered};

		if ($request->tries()) {
			$self->enqueue($c, $self->{tries}
				? $self->{tries}->($request)
				: $request->answer());
			next;
		}

		$self->{requests}++ if $request->{verb} ne 'stats';
		$self->enqueue($c, $self->{script}->($request))
			if !$answered;
	}
}

sub next_request {
	my ($self, $c) = @_;

	$c->{in} =~ /^(([a-z]+) ?(.*?))\r?\n/ or return;

	my ($end, $line, $verb, @words) = ($+[0], $1, $2, split / /, $3);
	my %request = (fake => $self, line => $line, verb => $verb,
		connection => $c->{number}, kept => $c->{kept});

	$request{key} = shift @words // '';

	if ($verb eq 'ms') {
		my $length = shift @words;

		$self->header($c, bless { %request, flags => [@words] },
			'Test::Memcached::Fake::Request');
		return if length $c->{in} < $end + $length + 2;
		$request{value} = substr $c->{in}, $end, $length;
		$end += $length + 2;
	}

	substr($c->{in}, 0, $end) = '';
	$c->{asked} = 0;

	my $request = bless { %request, flags => \@words },
		'Test::Memcached::Fake::Request';

	# get, store, and the noop behind them
	$request->{tries} = 1 if tries_key($request->{key})
		|| $verb eq 'mn' && $c->{tried};
	$c->{tried} = $request->{tries} && $verb eq 'ms';
	$request->{n} = ++$c->{n} if !$request->{tries};

	return $request;
}

# Whether it is the key that a server is tried with.
sub tries_key {
	my ($key) = @_;
	return $key =~ m!^[A-Za-z0-9+/]{40,}=*$!
		&& decode_base64($key) =~ /ngx_http_memcache greeting /;
}

# Asks once per store what to do before its value has come.
sub header {
	my ($self, $c, $request) = @_;

	return if !$self->{header} || tries_key($request->{key})
		|| $c->{asked}++;

	my @todo = $self->{header}->($request) or return;

	$c->{answered} = 1;
	$self->enqueue($c, @todo);
}

###############################################################################

sub enqueue {
	my ($self, $c, @todo) = @_;

	return if $c->{gone};

	push @{$c->{todo}}, @todo;
	$self->act($c) unless defined $c->{until} || $c->{full};
}

sub act {
	my ($self, $c) = @_;

	$c->{until} = undef;

	while (defined(my $todo = shift @{$c->{todo}})) {
		if (!ref $todo) {
			return if !$self->write($c, $todo);

		} elsif ($todo == CLOSE) {
			return $self->drop($c);

		} elsif ($todo == RESET) {
			setsockopt($c->{socket}, SOL_SOCKET, SO_LINGER,
				pack 'ii', 1, 0);
			$c->{tls}->cut() if $c->{tls};
			return $self->drop($c);

		} elsif ($todo == FINISH) {
			shutdown $c->{socket}, SHUT_WR;

		} elsif ($todo == DEAF || $todo == HEAR) {
			$c->{deaf} = $todo == DEAF;

		} elsif ($todo == NOTIFY) {
			$c->{tls}->notify();

		} elsif ($todo == RENEGOTIATE) {
			$c->{tls}->renegotiate();

		} else {
			$c->{until} = time() + $$todo;
			return;
		}
	}

	$self->drop($c) if $c->{eof};
}

# What does not fit waits until there is room, and all behind it with it.
sub write {
	my ($self, $c, $text) = @_;
	my $n = $c->{socket}->syswrite($text);

	if (!defined $n && $! != EAGAIN) {
		$self->drop($c);
		return 0;
	}

	return 1 if ($n // 0) == length $text;

	unshift @{$c->{todo}}, substr $text, $n // 0;
	$c->{full} = 1;
	return 0;
}

sub drop {
	my ($self, $c) = @_;
	delete $self->{connections}{refaddr $c->{socket}};
	close $c->{socket};
	$c->{gone} = 1;
}

###############################################################################

1;
