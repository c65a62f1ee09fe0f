package Test::Memcached::Fake::Request;

# A request to the fake memcached, and the answer that memcached gives.

###############################################################################

use warnings;
use strict;

###############################################################################

# Whether it is what a new server is tried with.
sub tries { $_[0]{tries} }

# The answer that memcached gives.
sub answer {
	my ($self) = @_;
	my ($fake, $verb, $key) = @$self{qw/ fake verb key /};
	my $item = $fake->{store}{$key};

	return "MN\r\n" if $verb eq 'mn';
	return 'VERSION ' . ($fake->{version} // '1.6.18') . "\r\n"
		if $verb eq 'version';
	return $self->stats() if $verb eq 'stats';
	return $self->miss($verb eq 'mg' ? 'EN' : 'NF')
		if !$item && $verb =~ /^m[gad]$/;

	if ($verb eq 'mg') {
		return $self->line('HD') unless grep { $_ eq 'v' }
			@{$self->{flags}};
		return $self->line('VA ' . length $item->{value})
			. "$item->{value}\r\n";
	}

	if ($verb eq 'ms') {
		return $self->line('HD') if $self->{tries};

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

# Of all connections but the one that asks.
sub stats {
	my ($self) = @_;
	my $fake = $self->{fake};

	return sprintf "STAT accepted %d\r\nSTAT open %d\r\n"
		. "STAT requests %d\r\nEND\r\n", --$fake->{accepted},
		keys(%{$fake->{connections}}) - 1, $fake->{requests} // 0;
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
