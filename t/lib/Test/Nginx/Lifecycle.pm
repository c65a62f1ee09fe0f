package Test::Nginx::Lifecycle;

# nginx's processes: which there are, and when they have gone.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;

use Test::Nginx::Memcache;

our @EXPORT = qw/ quiet children workers settled alive gone shared_memory
	expect_alerts /;

# Less in the error log than "debug", of which a test under load makes too much.
sub quiet {
	my ($t) = @_;
	$t->write_file('nginx.conf', $t->read_file('nginx.conf')
		=~ s!error\.log debug;!error.log info;!r);
	return $t;
}

# The processes that a master has started and that are still there.
sub children {
	my ($master) = @_;
	open my $f, '<', "/proc/$master/task/$master/children" or return;
	my @pids = split ' ', <$f> // '';
	return @pids;
}

# Those of them that are workers, and not on their way out.
sub workers {
	my ($master) = @_;
	return grep { command($_) =~ /worker process$/ } children($master);
}

# Waits until there are so many workers and nobody on the way in or out.
sub settled {
	my ($master, $count) = @_;
	return wait_for(sub { my @names = map { command($_) } children($master);
		$count == (grep { /worker process$/ } @names) && !grep {
		!/worker process$|cache (?:manager|loader) process$/ } @names });
}

sub command {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/cmdline" or return '';
	my $line = do { local $/; <$f> } // '';

	return title($pid, $1)
		if $ENV{VALGRIND_NGINX} && $line =~ /\0-p\0([^\0]+)/;
	return $line =~ s/[\0 ]+\z//r;
}

# A process under valgrind has no title.  What it would be, by the logs.
sub title {
	my ($pid, $dir) = @_;
	my $title = '';

	for my $file (glob "$dir/error.log*") {
		open my $f, '<', $file or next;
		while (my $line = <$f>) {
			$title = "$1$title"
				if $line =~ /: start (.* process) $pid$/;
			$title .= ' is shutting down' if $line
				=~ /\b$pid#$pid: gracefully shutting down/;
		}
	}

	return $title;
}

sub alive {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/stat" or return 0;
	return (<$f> // '') =~ /\) [^ZX]/ ? 1 : 0;
}

# Waits until these processes are gone.
sub gone {
	my (@pids) = @_;
	return wait_for(sub { !grep { alive($_) } @pids });
}

# How many pieces of memory a process shares with those that it starts.
sub shared_memory {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/maps" or die "No process $pid\n";
	return scalar grep { / rw-s / } <$f>;
}

# Takes alerts that nginx itself writes out of the log of an nginx that has
# ended, and returns what is left of them.
sub expect_alerts {
	my ($t, $expected) = @_;
	my @lines = split /^/, $t->read_file('error.log');
	my @alerts = grep { /\[alert\]/ } @lines;

	$t->write_file('error.log', join '', grep { !/\[alert\]/ } @lines);
	return join '', grep { !/$expected/ } @alerts;
}

###############################################################################

1;
