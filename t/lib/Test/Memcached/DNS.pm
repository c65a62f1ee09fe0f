package Test::Memcached::DNS;

# A DNS server whose answers the test changes while it runs, on a loopback port
# of its own, UDP and TCP.
#
#	my $dns = Test::Memcached::DNS->start($t, port(8053));
#	$dns->set('cache.test', A => ['127.0.0.1', '127.0.0.2'], ttl => 1);
#	$dns->set('www.test', CNAME => 'cache.test');
#	$dns->questions('cache.test');	# how many there were
#
# A name has: A and AAAA, lists of addresses; CNAME, another name, whose records
# are in the same answer if there are any; ttl in seconds, 1 by default; and one
# of these:
#
#	rcode	SERVFAIL, NXDOMAIN or REFUSED
#	silent	no answer
#	wrong_id	an answer to another question
#	truncated	by UDP, an answer without its records; all of them by TCP
#
# A name that has no address is there, without records.  One that was not set is
# not there.

###############################################################################

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use JSON::PP qw//;
use Socket qw/ AF_INET6 inet_aton inet_pton /;

use constant { A => 1, CNAME => 5, AAAA => 28 };
use constant RCODES => { SERVFAIL => 2, NXDOMAIN => 3, REFUSED => 5 };

sub start {
	my ($class, $t, $port) = @_;
	my $self = bless { t => $t, port => $port, names => {},
		file => $t->testdir() . "/dns.$port" }, $class;

	$self->write();
	$self->go_on();
	return $self;
}

# What a name leads to from now on.
sub set {
	my ($self, $name, %records) = @_;
	$self->{names}{$name} = { ttl => 1, %records };
	$self->write();
}

# It is not there any more.
sub forget {
	my ($self, $name) = @_;
	delete $self->{names}{$name};
	$self->write();
}

# How many questions there were about a name, of this type and by this protocol.
sub questions {
	my ($self, $name, $type, $protocol) = @_;
	open my $f, '<', "$self->{file}.questions" or return 0;
	return scalar grep { my ($n, $t, $p) = split; lc $n eq lc $name
		&& $t eq ($type // $t) && $p eq ($protocol // $p) } <$f>;
}

# Nobody listens on its port any more, until it goes on.
sub stop {
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	$self->{t}{daemons} = [grep { $_ != $pid } @{$self->{t}{daemons}}];
}

sub go_on {
	my ($self) = @_;
	my %socket = (LocalAddr => "127.0.0.1:$self->{port}");

	# it listens already: nobody has to wait for the child
	my $udp = IO::Socket::INET->new(%socket, Proto => 'udp')
		or die "Can't bind UDP port $self->{port}: $!\n";
	my $tcp = IO::Socket::INET->new(%socket, Proto => 'tcp', Listen => 16,
		Reuse => 1) or die "Can't listen on port $self->{port}: $!\n";

	$self->{t}->run_daemon(sub { $self->serve($udp, $tcp) });
	$self->{pid} = $self->{t}{daemons}[-1];
}

###############################################################################

# The child reads what the test has written, at each question.
sub write {
	my ($self) = @_;
	open my $f, '>', "$self->{file}.new" or die "Can't write names: $!\n";
	print $f JSON::PP::encode_json($self->{names});
	close $f;
	rename "$self->{file}.new", $self->{file};
}

sub serve {
	my ($self, $udp, $tcp) = @_;
	my $select = IO::Select->new($udp, $tcp);
	my %input;

	while (1) {
		for my $socket ($select->can_read()) {
			if ($socket == $udp) {
				my $from = $udp->recv(my $question, 4096) or next;
				my $answer = $self->answer($question, 'udp') // next;
				$udp->send($answer, 0, $from);

			} elsif ($socket == $tcp) {
				my $s = $tcp->accept() or next;
				$select->add($s);

			} elsif (!sysread $socket, $input{$socket}, 4096,
				length($input{$socket} // ''))
			{
				$select->remove($socket);
				delete $input{$socket};
				close $socket;

			} elsif ($input{$socket} =~ s/^(..)//s) {
				# nginx sends a question in one piece
				my $question = substr $input{$socket}, 0, unpack('n', $1), '';
				my $answer = $self->answer($question, 'tcp') // next;
				syswrite $socket, pack 'n/a*', $answer;
			}
		}
	}
}

sub answer {
	my ($self, $question, $protocol) = @_;
	my ($id, $flags) = unpack 'n2', $question;
	my ($name, $rest) = ('', substr $question, 12);

	while ((my $len = unpack 'C', $rest) > 0) {
		$name .= ($name eq '' ? '' : '.') . substr $rest, 1, $len;
		$rest = substr $rest, 1 + $len;
	}

	my $type = unpack 'x n', $rest;
	my $known = { A, 'A', AAAA, 'AAAA' }->{$type} // $type;

	open my $log, '>>', "$self->{file}.questions" or return undef;
	print $log "$name $known $protocol\n";
	close $log;

	my $names = do { open my $f, '<', $self->{file} or return undef; local $/;
		JSON::PP::decode_json(<$f>) };
	my $of = $names->{lc $name};
	return undef if $of && $of->{silent};

	my $rcode = !$of ? RCODES->{NXDOMAIN} : RCODES->{$of->{rcode} // ''} // 0;
	my $truncated = $of && $of->{truncated} && $protocol eq 'udp';
	my @records = $rcode || $truncated || !$of ? ()
		: records($names, lc $name, $known);

	return pack('n6', $of && $of->{wrong_id} ? $id ^ 0x5555 : $id,
		0x8180 | ($truncated ? 0x200 : 0) | $rcode, 1, scalar @records, 0, 0)
		. substr($question, 12, length(encode($name)) + 4) . join '', @records;
}

# The records of a name, behind those of names that lead there.
sub records {
	my ($names, $name, $type) = @_;
	my $of = $names->{$name} or return ();
	my $record = sub { pack 'a* n2 N n/a*', encode($name), $_[0], 1, $of->{ttl},
		$_[1] };

	return ($record->(CNAME, encode($of->{CNAME})),
		records($names, $of->{CNAME}, $type)) if $of->{CNAME};

	return map { $record->(A, inet_aton($_)) } @{$of->{A} // []} if $type eq 'A';
	return map { $record->(AAAA, inet_pton(AF_INET6, $_)) } @{$of->{AAAA} // []}
		if $type eq 'AAAA';
	return ();
}

sub encode {
	my ($name) = @_;
	return join '', (map { pack 'C/a*', $_ } split /\./, $name), "\0";
}

###############################################################################

1;

###############################################################################
