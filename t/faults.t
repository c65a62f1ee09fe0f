#!/usr/bin/perl

# The tables of the fault matrix, FAULTS.md, of what was seen to fail,
# REALITY.md, and of MATRICES.md are true: what they name is there, and what is
# there they name.

###############################################################################

use warnings;
use strict;

use Test::More;

use File::Find;
use List::Util qw/ sum /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use constant ROWS => 64;
use constant MATRICES => { C => 43, A => 23, D => 12 };
use constant REALITY => (1 .. 30, 33, 42, 43, 45 .. 55, 60 .. 62);

###############################################################################

plan(tests => 4 + ROWS + (() = REALITY) + sum(values %{+MATRICES}));

my %rows = map { /^\| F(\d+) \| (.*?) \| (.*?) \| (.*?) \|$/
	? ($1 => { fault => $2, simulated => [names($3, 'f')], nginx => [names($4, 'f')],
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

# The same for rows of REALITY.md; some are shown by a target alone.

my (%seen, %functions);

find({ no_chdir => 1, wanted => sub {
	$File::Find::prune = 1 if /\/target$/;
	return if !/\.rs$/;

	for my $name (content($_) =~ /\bfn ([a-z0-9_]+)\(/g) {
		$functions{$_}{$name} = 1 for $name =~ /(?:^|_)r(\d+)(?=_)/g;
	}
} }, map { "../$_" } qw/ engine api status bits examples fuzz\/src /);

for (split /\n/, content('REALITY.md')) {
	my ($n, @cells) = /^\| R(\d+) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$/
		or next;
	$seen{$n} = { without => [names($cells[2], 'r')], with => [names($cells[3], 'r')],
		by => $cells[4] };
}

is_deeply([sort { $a <=> $b } keys %seen], [REALITY], 'all rows of reality');

for my $n (REALITY) {
	my %row = %{$seen{$n} // {}};
	my @missing = grep { !-e $_ || content($_) !~ /\bR$n\b/ } @{$row{with}};
	my $shown = @{$row{without}} || @{$row{with}} || $row{by};

	is_deeply([$row{without}, \@missing, !!$shown],
		[[sort keys %{$functions{$n} // {}}], [], !!1], "R$n is shown");
}

# The same for MATRICES.md; some rows are shown by others, or not built.

my (%shown, %there);

find({ no_chdir => 1, wanted => sub {
	$File::Find::prune = 1 if /\/target$/;
	return if !/\.rs$/;

	for my $name (content($_) =~ /\bfn ([a-z0-9_]+)\(/g) {
		$there{uc $_}{$name} = 1 for $name =~ /(?:^|_)([acd]\d+)(?=_)/g;
	}
} }, map { "../$_" } qw/ engine api status bits examples /);

for my $file (glob '*.t') {
	for my $string (content($file) =~ /(["'][^"'\n]*)/g) {
		$there{$_}{$file} = 1 for $string =~ /\b([ACD]\d+)\b/g;
	}
}

for (split /\n/, content('MATRICES.md')) {
	my ($row, $without, $with) = /^\| ([ACD]\d+) \| .*? \| (.*?) \| (.*?) \|$/
		or next;
	$shown{$row} = { tests => [names("$without $with", '[acd]')],
		text => "$without$with" ne '' };
}

is_deeply([sort keys %shown], [sort map { my $kind = $_;
	map { "$kind$_" } 1 .. MATRICES->{$kind} } keys %{+MATRICES}], 'all matrices');

for my $row (sort keys %shown) {
	is_deeply([$shown{$row}{tests}, $shown{$row}{text}],
		[[sort keys %{$there{$row} // {}}], !!1], "$row is shown");
}

###############################################################################

# What of a cell is in backquotes and the name of a test of such rows, in order.
sub names {
	my ($cell, $rows) = @_;
	return sort grep { /\.t$|^(?:\w+_)?$rows\d/ } $cell =~ /`([^`]+)`/g;
}

sub content {
	my ($file) = @_;
	open my $f, '<', $file or die "Can't open $file: $!\n";
	local $/;
	return <$f>;
}

###############################################################################
