#!/usr/bin/perl

# screenshots.pl PROGRAM FOLDER: pictures of the page of memcache_status, for
# looking at it: in both themes, on a desktop and on a phone.  PROGRAM is the
# example "page" of memcache-status, which makes up what it shows.

###############################################################################

use warnings;
use strict;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;
use Test::Nginx;
use Test::Browser;

my ($program, $folder) = @ARGV;
die "usage: $0 PROGRAM FOLDER\n" unless defined $folder;

my @pages = (['1-good', 1, 'good'], ['3-good', 3, 'good'], ['3-bad', 3, 'bad'],
	['3-zone', 3, 'zone', '#server-0-0'], ['60-bad', 60, 'bad']);
my %sizes = (desktop => [1360, 900], phone => [390, 844]);

my $t = Test::Nginx->new()->plan(@pages * 2 * keys %sizes);
my $browser = Test::Browser->start($t, port(8090));

for (@pages) {
	my ($name, $servers, $mood, $target) = @$_;
	$t->write_file("$name.html", scalar `$program $servers $mood`);
	$browser->open('file://' . $t->testdir() . "/$name.html"
		. ($target // ''));

	for my $theme ('light', 'dark') {
		for my $size (sort keys %sizes) {
			$browser->theme($theme);
			$browser->size(@{$sizes{$size}});

			my $file = "$folder/status-$name-$theme-$size.png";
			open my $f, '>:raw', $file or die "$file: $!\n";
			print $f $browser->screenshot(2600);
			close $f or die "$file: $!\n";
			ok(-s $file, $file);
		}
	}
}

$browser->stop();

###############################################################################
