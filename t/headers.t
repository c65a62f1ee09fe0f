#!/usr/bin/perl

# Tests for memcache module: where what is compiled in C finds nginx's headers,
# which depends on how nginx was configured (R24: with HTTP/3 there is a folder
# that others do not have).

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->plan(12);
my $d = $t->testdir();

# nginx is not run, but the library looks into its log all the same
$t->write_file('error.log', '');

mkdir "$d/$_" or die "Can't create $d/$_: $!" for 'src', 'objs';

###############################################################################

# as configure writes it: folders of the source are relative to that

my $makefile = <<"EOF";

CC =	cc
CFLAGS =  -pipe  -O -W -Werror -g -I/opt/ssl/include -DFD_SETSIZE=2048 \\
	-D NAME='"a b"' -fPIC
CPP =	cc -E

ALL_INCS = -I src/core \\
	-I src/event/quic \\
	-I objs \\
	-I src/http/v3 \\
	-I /usr/include/libxml2


CORE_INCS = -I src/of/another/variable
EOF

my ($said, @options) = cflags($t, $makefile);

is($said, '', 'nothing to complain about');
is($options[0], "-isystem $d/objs", 'what was configured comes first');
has("-isystem $d/src/src/core", 'first folder');
has("-isystem $d/src/src/event/quic", 'second folder');
has("-isystem $d/src/src/http/v3", 'R24 - folder of HTTP/3');
has('-isystem /usr/include/libxml2', 'folder of the system');
has('-isystem /opt/ssl/include', 'folder among the options');
has('-DFD_SETSIZE=2048', 'definition');
has('-DNAME="a b"', 'quoted definition');
is(scalar @options, 9, 'and nothing else');

like((cflags($t, "CFLAGS = -g\n"))[0], qr!no ALL_INCS in \Q$d\E/objs/Makefile!,
	'not a Makefile of nginx');

unlink "$d/objs/Makefile" or die "Can't remove it: $!";
like((cflags($t))[0], qr!no \Q$d\E/objs/Makefile: nginx was not configured!,
	'nginx was not configured');

###############################################################################

sub has {
	my ($option, $name) = @_;
	is(scalar(grep { $_ eq $option } @options), 1, $name);
}

# What the script complains about, and what it prints, with "-isystem" and the
# folder in one.
sub cflags {
	my ($t, $text) = @_;
	my $d = $t->testdir();

	$t->write_file('objs/Makefile', $text) if defined $text;

	my $options = `bash ../build/nginx-cflags.sh $d/src $d/objs 2>$d/said`;
	$options =~ s/^-isystem\n/-isystem /mg;
	return ($t->read_file('said'), split /\n/, $options);
}

###############################################################################
