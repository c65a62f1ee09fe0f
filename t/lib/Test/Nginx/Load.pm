package Test::Nginx::Load;

# Requests without a pause, from another process, and what came of them.
#
#	my $load = Test::Nginx::Load->start($t);
#	...
#	my $seen = $load->stop();	# { 200 => 812, 204 => 790 }
#
# Every value says whose it is.  Besides the statuses there are: "wrong", a 200
# with another value than one of the key; "no answer", a connection that ended
# without one; "refused", no connection.

###############################################################################

use warnings;
use strict;

use JSON::PP qw//;

use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;

# Requests at the same time, and keys.
use constant { TOGETHER => 10, KEYS => 30 };

sub start {
	my ($class, $t, $port) = @_;
	my $file = $t->testdir() . '/load.json';
	my $self = bless { file => $file, port => $port // 8080 }, $class;

	# every key has a value from now on
	kv_put("key$_", value("key$_", 0), at($self->{port})) for 1 .. KEYS;

	unlink $file, "$file.begun", "$file.stop";
	$t->run_daemon(sub { $self->work() });
	wait_for(sub { -e "$file.begun" });

	return $self;
}

sub stop {
	my ($self) = @_;

	# not a signal, which would interrupt a connect
	$self->write("$self->{file}.stop", '');
	wait_for(sub { -e $self->{file} }) or die "No report of the load\n";

	open my $f, '<', $self->{file} or die "Can't open $self->{file}: $!\n";
	local $/;
	return JSON::PP::decode_json(<$f>);
}

sub work {
	my ($self) = @_;
	my %seen;

	for (my $number = 1; !-e "$self->{file}.stop"; $number++) {
		$self->batch($number, \%seen);
		$self->write("$self->{file}.begun", '') if $number == 1;
	}

	$self->write($self->{file}, JSON::PP::encode_json(\%seen));
}

# Gets and sets, each over its own connection.
sub batch {
	my ($self, $number, $seen) = @_;
	my @keys = map { 'key' . (1 + int rand KEYS) } 1 .. TOGETHER;
	my @sockets = map { my $key = $keys[$_]; $_ % 2
		? kv_get($key, at($self->{port}), start => 1)
		: kv_put($key, value($key, $number, rand 2000),
			at($self->{port}), start => 1) } 0 .. $#keys;
	my @replies = read_all(@sockets);

	for (0 .. $#keys) {
		my $what = !$sockets[$_] ? 'refused'
			: ($replies[$_] // '') eq '' ? 'no answer'
			: !honest($keys[$_], $replies[$_]) && $_ % 2 ? 'wrong'
			: code($replies[$_]);

		$what = 404 if $what eq 'wrong' && code($replies[$_]) eq '404';
		$seen->{$what}++;
	}
}

# All of it, or nothing.
sub write {
	my ($self, $name, $text) = @_;

	open my $f, '>', "$name.new" or die "Can't create $name: $!\n";
	print $f $text;
	close $f;
	rename "$name.new", $name;
}

###############################################################################

1;
