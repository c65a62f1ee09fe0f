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
#	'close'	'reset' 'finish'	(as CLOSE, RESET, FINISH below)
#
# A request has: verb, key (as on the wire), flags (a list), value, line, and
# n (counted from 1 on its connection), connection (counted from 1), and
# kept, a hash of the connection for the script's own use.

###############################################################################

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use Socket qw/ SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY SHUT_WR /;
use Time::HiRes qw/ time /;

use constant {
	CLOSE	=> \'close',	# closes the connection
	RESET	=> \'reset',	# closes it with a RST
	FINISH	=> \'finish',	# sends a FIN, and goes on reading
};

# Forks the server.  Options:
#
#	greeting	what to do when a connection was accepted
#	raw		called with the bytes as they come, instead of the script
sub start {
	my ($class, $t, $port, $script, %options) = @_;

	my $listen = IO::Socket::INET->new(Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port", Listen => 64, Reuse => 1)
		or die "Can't listen on port $port: $!\n";

	my $self = bless { listen => $listen, script => $script,
		store => {}, cas => 0, accepted => 0,
		connections => {}, %options }, $class;

	# it listens already: nobody has to wait for the child
	$t->run_daemon(sub { $self->serve() });
	close $listen;

	return $self;
}

sub serve {
	my ($self) = @_;

	$SIG{PIPE} = 'IGNORE';

	while (1) {
		my @all = values %{$self->{connections}};
		my @waiting = grep { defined } map { $_->{until} } @all;
		my ($first) = sort { $a <=> $b } @waiting;
		my $pause = defined $first ? $first - time() : undef;

		$pause = 0 if defined $pause && $pause < 0;

		my $readable = IO::Select->new($self->{listen},
			map { $_->{socket} } grep { !$_->{eof} } @all);

		for my $s ($readable->can_read($pause)) {
			if ($s == $self->{listen}) {
				$self->accept();
			} elsif (my $c = $self->{connections}{$s}) {
				$self->receive($c);
			}
		}

		$self->act($_) for grep { defined $_->{until}
			&& $_->{until} <= time() } @all;
	}
}

sub accept {
	my ($self) = @_;
	my $s = $self->{listen}->accept() or return;

	setsockopt($s, IPPROTO_TCP, TCP_NODELAY, 1);

	my $c = $self->{connections}{$s} = { socket => $s, in => '',
		todo => [], n => 0, number => ++$self->{accepted},
		kept => {} };

	$self->enqueue($c, $self->{greeting}->($c->{number}))
		if $self->{greeting};
}

sub receive {
	my ($self, $c) = @_;

	if (!$c->{socket}->sysread($c->{in}, 65536, length $c->{in})) {
		$c->{eof} = 1;
		return @{$c->{todo}} ? () : $self->drop($c);
	}

	if ($self->{raw}) {
		my $bytes = $c->{in};
		$c->{in} = '';
		return $self->enqueue($c, $self->{raw}->($bytes));
	}

	while (my $request = $self->next_request($c)) {
		$self->enqueue($c, $self->{script}->($request));
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
		return if length $c->{in} < $end + $length + 2;
		$request{value} = substr $c->{in}, $end, $length;
		$end += $length + 2;
	}

	substr($c->{in}, 0, $end) = '';

	return bless { %request, flags => \@words, n => ++$c->{n} },
		'Test::Memcached::Fake::Request';
}

###############################################################################

sub enqueue {
	my ($self, $c, @todo) = @_;
	push @{$c->{todo}}, @todo;
	$self->act($c) unless defined $c->{until};
}

sub act {
	my ($self, $c) = @_;

	$c->{until} = undef;

	while (defined(my $todo = shift @{$c->{todo}})) {
		if (!ref $todo) {
			$c->{socket}->syswrite($todo);

		} elsif ($todo == CLOSE) {
			return $self->drop($c);

		} elsif ($todo == RESET) {
			setsockopt($c->{socket}, SOL_SOCKET, SO_LINGER,
				pack 'ii', 1, 0);
			return $self->drop($c);

		} elsif ($todo == FINISH) {
			shutdown $c->{socket}, SHUT_WR;

		} else {
			$c->{until} = time() + $$todo;
			return;
		}
	}

	$self->drop($c) if $c->{eof};
}

sub drop {
	my ($self, $c) = @_;
	delete $self->{connections}{$c->{socket}};
	close $c->{socket};
}

###############################################################################

package Test::Memcached::Fake::Request;

# The answer that memcached gives.
sub answer {
	my ($self) = @_;
	my ($fake, $verb, $key) = @$self{qw/ fake verb key /};
	my $item = $fake->{store}{$key};

	return "MN\r\n" if $verb eq 'mn';
	return "VERSION 1.6.18\r\n" if $verb eq 'version';
	return $self->miss($verb eq 'mg' ? 'EN' : 'NF')
		if !$item && $verb =~ /^m[gad]$/;

	if ($verb eq 'mg') {
		return $self->line('HD') unless grep { $_ eq 'v' }
			@{$self->{flags}};
		return $self->line('VA ' . length $item->{value})
			. "$item->{value}\r\n";
	}

	if ($verb eq 'ms') {
		my ($flags) = grep { /^F/ } @{$self->{flags}};
		$fake->{store}{$key} = { value => $self->{value},
			flags => $flags ? substr($flags, 1) : 0,
			cas => ++$fake->{cas} };
		return $self->line('HD');
	}

	if ($verb eq 'md') {
		delete $fake->{store}{$key};
		return $self->line('HD');
	}

	return "ERROR\r\n";
}

# A reply that starts so, with the flags that the request asked for.
sub line {
	my ($self, $start) = @_;
	my $item = $self->{fake}{store}{$self->{key}} // {};
	my %known = (f => $item->{flags}, c => $item->{cas},
		s => length($item->{value} // ''), t => -1,
		k => $self->{key}, b => '');
	my @words;

	for my $flag (@{$self->{flags}}) {
		my $letter = substr $flag, 0, 1;
		push @words, $flag if $letter eq 'O';
		push @words, $letter . $known{$letter}
			if defined $known{$letter};
	}

	return join(' ', $start, @words) . "\r\n";
}

# memcached echoes opaque and key on a miss, and nothing else, save that EN
# has not echoed them in every version: 1.6.18 does.
sub miss {
	my ($self, $start) = @_;
	my @words = map { /^O/ ? $_ : $_ eq 'k' ? "k$self->{key}"
		: $_ eq 'b' ? 'b' : () } @{$self->{flags}};
	return join(' ', $start, @words) . "\r\n";
}

###############################################################################

1;
