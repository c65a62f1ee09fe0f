package Test::Memcached::Mcrouter;

# A scripted mcrouter: no registry has the real one.  It passes commands on to
# memcacheds, each key to one of them, and answers as github.com/facebook/mcrouter
# does (commit 9d7f43422b85 of 2026-08-20):
#
#	what it knows, and "CLIENT_ERROR malformed request" with a close behind it
#	for all else: mcrouter/lib/network/McAsciiParser.rl (command),
#	ServerMcParser-inl.h, McServerSession.cpp (parseError)
#
#	"VERSION 41.0.0 mcrouter": configure.ac (MCROUTER_PACKAGE_STRING),
#	ServerOnRequest.h
#
#	flush_all is "SERVER_ERROR Command disabled": ProxyRequestContextTyped-inl.h,
#	mcrouter_options_list.h (enable_flush_cmd)
#
#	a server that is down: mcrouter/test/test_mcrouter_errors.py
#	(test_connection_error_*): SERVER_ERROR, but NOT_FOUND to a delete, which
#	its log of deletes keeps for later
#
#	keys of more than 250 bytes: McServerSession.h (onRequest)
#
#	the hits of a get before its error, and no END behind that:
#	MultiOpParent.cpp, AsciiSerialized.cpp

###############################################################################

use warnings;
use strict;

use IO::Select;
use IO::Socket::INET;
use Socket qw/ IPPROTO_TCP TCP_NODELAY MSG_DONTWAIT /;

use constant {
	MALFORMED	=> "CLIENT_ERROR malformed request\r\n",
	DOWN		=> "SERVER_ERROR connection error\r\n",
};

# Forks one on this port, for memcacheds on those.  Options:
#
#	unknown		commands that an older one does not know, a pattern
sub start {
	my ($class, $t, $port, $servers, %options) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => "127.0.0.1:$port",
		Listen => 64, Reuse => 1) or die "Can't listen on $port: $!\n";
	my $self = bless { listen => $listen, servers => $servers,
		connections => {}, unknown => qr/^$/, %options }, $class;

	$t->run_daemon(sub { $self->serve() });
	close $listen;
}

sub serve {
	my ($self) = @_;
	my $select = IO::Select->new($self->{listen});
	my %in;

	$SIG{PIPE} = 'IGNORE';

	while (my @ready = $select->can_read()) {
		for my $s (@ready) {
			if ($s == $self->{listen}) {
				my $new = $s->accept() or next;
				setsockopt($new, IPPROTO_TCP, TCP_NODELAY, 1);
				$select->add($new);
				$in{$new} = '';
				next;
			}

			my $n = $s->sysread($in{$s}, 65536, length $in{$s});
			my ($out, $close) = $n ? $self->run(\$in{$s}) : ('', 1);

			$s->blocking(1);
			print $s $out;
			$s->flush();
			next if !$close;
			$select->remove($s);
			delete $in{$s};
			close $s;
		}
	}
}

# Runs the commands that are complete: the answers, and whether it closes.
sub run {
	my ($self, $in) = @_;
	my $out = '';

	while ($$in =~ /^([^\r\n]*)\r?\n/) {
		my ($line, $end) = ($1, $+[0]);
		my ($verb, @words) = split / +/, $line;
		my $body = '';

		$verb //= '';
		return ($out . MALFORMED, 1) if $verb =~ $self->{unknown}
			|| $verb !~ /^(?:gets?|gats?|set|add|replace|append
			|prepend|cas|delete|touch|incr|decr|version|stats
			|flush_all|quit)$/x || !@words && $verb =~ /^[gsact]/
			&& $verb !~ /^stats$/;

		if ($verb =~ /^(?:set|add|replace|append|prepend|cas)$/) {
			return $out if length $$in < $end + $words[3] + 2;
			$body = substr $$in, $end, $words[3] + 2;
		}
		substr($$in, 0, $end + length $body) = '';
		return ($out, 1) if $verb eq 'quit';

		$out .= $verb eq 'version' ? "VERSION 41.0.0 mcrouter\r\n"
			: $verb eq 'stats' ? "STAT version 41.0.0 mcrouter\r\n"
				. "STAT pid $$\r\nEND\r\n"
			: $verb eq 'flush_all' ? "SERVER_ERROR Command disabled\r\n"
			: $verb =~ /^g/ ? $self->read($verb, @words)
			: $self->pass($verb, $words[0], "$line\r\n$body");
	}

	return $out;
}

# A get, key by key.
sub read {
	my ($self, $verb, @keys) = @_;
	my $command = $verb =~ /^gat/ ? "$verb " . shift @keys : $verb;
	my ($out, $error) = ('', '');

	for my $key (@keys) {
		my $answer = $self->pass($verb, $key, "$command $key\r\n");
		$answer =~ s/END\r\n\z// ? ($out .= $answer)
			: ($error ||= $answer);
	}

	return $out . ($error || "END\r\n");
}

# What the key's server answers.
sub pass {
	my ($self, $verb, $key, $command) = @_;
	my $n = unpack('%32C*', $key) % @{$self->{servers}};
	my $s;

	return "CLIENT_ERROR bad key\r\n" if length $key > 250;

	for (1 .. 2) {
		$s = $self->{connections}{$n} //= IO::Socket::INET->new(
			PeerAddr => "127.0.0.1:$self->{servers}[$n]");
		print $s $command if $s;
		$s->flush() if $s;

		local $/ = "\r\n";
		my $answer = $s ? $s->getline() : undef;

		if (!defined $answer) {
			delete $self->{connections}{$n};
			next;
		}
		if ($answer =~ /^VALUE \S+ \d+ (\d+)/) {
			$s->read(my $value, $1 + length "\r\nEND\r\n");
			$answer .= $value;
		}
		return $answer;
	}

	return $verb eq 'delete' ? "NOT_FOUND\r\n" : DOWN;
}

###############################################################################

1;
