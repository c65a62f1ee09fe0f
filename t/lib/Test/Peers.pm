package Test::Peers;

# Other clients that spread keys over servers, each as a program that is used
# in the same way (see t/peers/peer.h), and the engine as another.
#
#	my $peers = Test::Peers->new($t);
#	my @numbers = $peers->ask('libmemcached', 'route', 'ketama',
#		['10.0.0.1:11211', '10.0.0.2:11211=3'], \@keys);
#
# What a program needs is installed by "make"; when it is missing, the test
# fails.

###############################################################################

use warnings;
use strict;

use File::Spec;
use FindBin;

# How each becomes a program: by a C compiler, as a script, or by "make examples"
# (one of which needs a newer Rust than all the rest); and Debian's packages.
my %peers = (
	libmemcached => { cc => 'libmemcached.c -lmemcached',
		packages => 'gcc libmemcached-dev' },
	apr_memcache => { cc => 'apr_memcache.c $(apr-1-config --cppflags'
		. ' --includes) $(apu-1-config --includes --link-ld)'
		. ' $(apr-1-config --link-ld)',
		packages => 'gcc libaprutil1-dev' },
	php => { script => 'php memcached.php',
		packages => 'php-cli php-memcached' },
	php_session => { script => 'php session.php',
		packages => 'php-cli php-memcached' },
	memcache_crate => { example => '../memcache_crate',
		rust => 'memcache_crate/Cargo.toml' },
	engine => { example => 'route' },
);

sub new {
	my ($class, $t) = @_;
	return bless { dir => $t->testdir(), programs => {} }, $class;
}

# What the program says to each key, in order.
sub ask {
	my ($self, $name, $action, $hash, $servers, $keys) = @_;
	my @command = ($self->program($name),
		$name eq 'engine' ? () : $action, $hash, @$servers);
	my ($in, $out) = map { "$self->{dir}/peer.$_" } qw/ in out /;

	spew($in, join '', map { "$_\n" } @$keys);

	system('sh', '-c', 'in=$1 out=$2; shift 2; exec "$@" <$in >$out',
		'sh', $in, $out, @command) == 0
		or die "$name failed" . needs($name);

	my @answers = split /\n/, slurp($out), -1;
	pop @answers;

	return @answers if @answers == @$keys;
	die "$name gave " . @answers . ' answers to ' . @$keys . " keys\n";
}

# Why there can be no such program here; the program is missed, otherwise.
sub lacks {
	my ($self, $name) = @_;
	my $peer = $peers{$name} or return;

	return if !$peer->{rust} || -x examples() . "/$peer->{example}";

	my ($needs) = slurp("$FindBin::Bin/peers/$peer->{rust}")
		=~ /^rust-version = "1\.(\d+)"/m or die "no rust-version\n";
	my ($minor) = (`rustc -V` // '') =~ /^rustc 1\.(\d+)/ or return;

	return $minor < $needs ? "Rust 1.$minor is too old for $name" : undef;
}

sub program {
	my ($self, $name) = @_;
	return @{ $self->{programs}{$name} //= $self->make($name) };
}

sub make {
	my ($self, $name) = @_;
	my $peer = $peers{$name} or die "No peer is called $name\n";
	my $sources = "$FindBin::Bin/peers";

	if ($peer->{example}) {
		my $program = examples() . "/$peer->{example}";
		return [$program] if -x $program;
		die "no $program, run \"make examples\" first\n";
	}

	if ($peer->{script}) {
		my ($interpreter, $script) = split ' ', $peer->{script};
		return [$interpreter, "$sources/$script"];
	}

	my $program = "$self->{dir}/$name";

	system("cd '$sources' && cc -O1 -Wall -Wextra -o '$program' $peer->{cc}")
		== 0 or die "$name cannot be compiled" . needs($name);
	return [$program];
}

sub needs {
	my ($name) = @_;
	my $packages = $peers{$name}{packages};
	return $packages ? "; in Debian it needs: $packages\n" : "\n";
}

# Where the programs of the engine are.
sub examples {
	return $ENV{TEST_NGINX_MEMCACHE_EXAMPLES}
		// File::Spec->rel2abs("$FindBin::Bin/../target/debug/examples");
}

sub spew {
	my ($name, $text) = @_;
	open my $f, '>:raw', $name or die "Can't create $name: $!";
	print $f $text;
	close $f or die "Can't write $name: $!";
}

sub slurp {
	my ($name) = @_;
	open my $f, '<:raw', $name or die "Can't open $name: $!";
	local $/;
	return scalar <$f> // '';
}

###############################################################################

1;
