#!/usr/bin/perl

# The table of the fault matrix, FAULTS.md, is true: what it names is there, and
# what is there it names.

###############################################################################

use warnings;
use strict;

use Test::More;

use File::Find;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use constant ROWS => 64;

###############################################################################

plan(tests => 2 + ROWS);

my %rows = map { /^\| F(\d+) \| (.*?) \| (.*?) \| (.*?) \|$/
	? ($1 => { fault => $2, simulated => [names($3)], nginx => [names($4)],
	text => $4 }) : () } split /\n/, content('FAULTS.md');

my (%simulated, %nginx);

find({ no_chdir => 1, wanted => sub {
	return if !/\.rs$/;

	for my $name (content($_) =~ /\bfn ([a-z0-9_]+)\(/g) {
		$simulated{$_}{$name} = 1 for $name =~ /(?:^|_)f(\d+)(?=_)/g;
	}
} }, '../engine/src', '../engine/tests');

for my $file (glob '*.t') {
	$nginx{$_}{$file} = 1 for content($file) =~ /['"]F(\d+)\b/g;
}

is_deeply([sort { $a <=> $b } keys %rows], [1 .. ROWS], 'all rows');
cmp_ok(scalar(keys %nginx), '>', 50, 'rows with tests');

for my $n (1 .. ROWS) {
	my $row = $rows{$n};
	my @simulated = sort keys %{$simulated{$n} // {}};
	my @nginx = sort keys %{$nginx{$n} // {}};

	is_deeply([$row->{simulated}, $row->{nginx}, $row->{text} ne ''],
		[\@simulated, \@nginx, 1], "F$n $row->{fault}");
}

###############################################################################

# What of a cell is in backquotes and the name of a test, in order.
sub names {
	my ($cell) = @_;
	return sort grep { /\.t$|^(?:\w+_)?f\d/ } $cell =~ /`([^`]+)`/g;
}

sub content {
	my ($file) = @_;
	open my $f, '<', $file or die "Can't open $file: $!\n";
	local $/;
	return <$f>;
}

###############################################################################
