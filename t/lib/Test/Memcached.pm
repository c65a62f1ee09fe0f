package Test::Memcached;

# A memcached for a test, and a connection of the test's own to it.

###############################################################################

use warnings;
use strict;

use FindBin;
use IO::Socket::INET;
use IO::Socket::IP;
use IO::Socket::UNIX;
use File::Temp qw/ tempdir /;
use MIME::Base64 qw/ encode_base64 /;

use Test::Memcached::Mode;

use constant START_TIME => 5;

# What "stats" says when nobody else is connected.  One that is new may have
# others' connections before it is asked for the first time, so it is not asked
# for this.  The socket that it listens on counts as a connection that was made.
# So does each more of these.
use constant LISTENERS => $ENV{TEST_NGINX_TLS} ? 2 : 1;
use constant { OURS => LISTENERS, OURS_TOTAL => 1 + LISTENERS };

# The suites of Debian whose memcached "make memcacheds" has fetched, and where.
use constant SUITES => qw/ bullseye trixie sid /;
use constant FETCHED => $FindBin::Bin . '/../target/memcached';

# With TEST_NGINX_TLS=1, nginx talks to all of them by TLS.  The test's own
# connection is in plain text, on another port.
my $tls;

sub tls {
	return if !$ENV{TEST_NGINX_TLS};
	return $tls if $tls;

	require Test::Certificates;
	$tls = tempdir(CLEANUP => 1);
	Test::Certificates->authority($tls)
		->sign('server', for => 'DNS:localhost,IP:127.0.0.1,IP:::1');
	return $tls;
}

if (my $dir = tls()) {
	$ENV{TEST_NGINX_GLOBALS_HTTP} = join "\n",
		$ENV{TEST_NGINX_GLOBALS_HTTP} // (), 'memcache_ssl on;',
		"memcache_ssl_trusted_certificate $dir/ca.pem;",
		'memcache_ssl_name localhost;';
}

# The memcacheds that there are, by version, each as a command: the one that all
# tests use, the fetched ones, and those of TEST_NGINX_MEMCACHEDS.
sub versions {
	my @commands = ([command()],
		(map { [FETCHED . "/$_/run", 'memcached'] } SUITES),
		(map { [split] } split /:/, $ENV{TEST_NGINX_MEMCACHEDS} // ''));
	my %versions;

	for my $command (@commands) {
		next if $command->[0] =~ m!/! && !-x $command->[0];
		open my $f, '-|', @$command, '-V' or next;
		my ($version) = (<$f> // '') =~ /^memcached (\S+)/ or next;
		$versions{$version} //= $command;
	}

	return %versions;
}

# The one that all tests use.
sub command { split ' ', $ENV{TEST_NGINX_MEMCACHED} || 'memcached' }

# Those that we can talk to, the oldest first; with an argument, those that are
# too old for that.
sub usable {
	my ($class, $too_old) = @_;
	my %versions = $class->versions();
	my %number = map { $_ => join '', map { sprintf '%05d', $_ }
		/^(\d+)\.(\d+)\.(\d+)/ } keys %versions;

	return grep { !$too_old == ($number{$_} ge '000010000600010') }
		sort { $number{$a} cmp $number{$b} } keys %number;
}

# Starts memcached on 127.0.0.1:PORT, [::1]:PORT (address => '::1') or a unix
# socket (socket => PATH), with a command in front of it (under => [COMMAND]),
# of another version than the usual one (version => '1.6.9'), and with a file
# with user and password (auth => FILE); options are those of its command line.
sub start {
	my ($class, $t, $port, @options) = @_;
	my %where = (address => '127.0.0.1');

	while (@options && $options[0] =~ /^(?:address|auth|socket|under|version)$/) {
		my ($name, $value) = splice @options, 0, 2;
		$where{$name} = $value;
	}

	my $self = bless { %where, port => $port, starter => $$, sent => 0 }, $class;

	my @command = $where{version}
		? @{{ $class->versions() }->{$where{version}}} : command();

	$self->{plain_port} = $port;
	my @listen = $where{socket} ? ('-s', $where{socket}, '-a', '0777')
		: ('-l', $where{address}, '-p', $port, '-U', '0');
	@listen = $self->tls_listen() if tls() && !$where{socket};
	my $proxy = $ENV{TEST_NGINX_PROXY} && !$where{socket}
		&& $where{address} eq '127.0.0.1';
	@listen = $self->behind() if $proxy;

	$t->run_daemon(@{$where{under} // []}, @command, @listen,
		$> == 0 ? ('-u', 'root') : (), '-t', '2',
		$where{auth} ? ('-Y', $where{auth}) : (), @options);

	for (1 .. START_TIME * 50) {
		last if $self->connect();
		select undef, undef, undef, 0.02;
	}

	$self->authenticate() if $where{auth};
	$self->{pid} = $self->stats()->{pid};
	Test::Memcached::Mode::proxy($t, $port) if $proxy;
	return $self;
}

sub DESTROY {
	my ($self) = @_;

	# a process that is stopped does not hear that it should exit
	kill 'CONT', $self->{pid} if $self->{pid} && $self->{starter} == $$;
}

sub connect {
	my ($self) = @_;
	return $self->{connection} = $self->another();
}

# One more connection to it.
sub another {
	my ($self) = @_;

	return $self->{socket}
		? IO::Socket::UNIX->new(Peer => $self->{socket})
		: IO::Socket::IP->new(PeerHost => $self->{address},
			PeerPort => $self->{plain_port});
}

# The options for another port than its own, where the proxy is.
sub behind {
	my ($self) = @_;
	$self->{plain_port} = Test::Memcached::Mode::behind($self->{port});
	return ('-l', '127.0.0.1', '-p', $self->{plain_port}, '-U', '0');
}

sub authenticate {
	my ($self) = @_;
	open my $f, '<', $self->{auth} or die "Can't open $self->{auth}: $!\n";
	my ($token) = <$f> =~ /^(.*)/;

	# every version takes the first colon for the end of the user
	$token =~ s/:/ /;
	$self->classic_set('x', $token);
}

# The options for TLS on its port, and plain text on another one.
sub tls_listen {
	my ($self) = @_;
	my ($dir, $address) = (tls(), $self->{address});

	$self->{plain_port} = Test::Memcached::Mode::another_port();
	$address = "[$address]" if $address =~ /:/;

	return ('-p', $self->{port}, '-U', '0', '-Z',
		'-l', "$address:$self->{port},notls:$address:$self->{plain_port}",
		'-o', "ssl_chain_cert=$dir/server.pem,ssl_key=$dir/server.key");
}

###############################################################################

sub pid { $_[0]{pid} }

# Stops the process, without its connections noticing.
sub pause {
	my ($self) = @_;
	kill 'STOP', $self->{pid};

	# the signal is on its way until the process is in state T
	for (1 .. 250) {
		last if !-e "/proc/$self->{pid}/stat" || state($self->{pid}) eq 'T';
		select undef, undef, undef, 0.02;
	}
}

sub state {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/stat" or return '';
	return <$f> =~ /\) (\S)/ ? $1 : '';
}

sub resume { kill 'CONT', $_[0]{pid} }

sub kill_it { kill 'KILL', $_[0]{pid} }

###############################################################################

# The counters of "stats"; they include this connection and its commands.
sub stats {
	my ($self) = @_;
	my %stats;

	$self->send("stats\r\n");

	while ((my $line = $self->line()) ne 'END') {
		$stats{$1} = $2 if $line =~ /^STAT (\S+) (.*)/;
	}

	return \%stats;
}

# The bytes that others sent: zero more of them proves that nothing was sent.
sub received {
	my ($self) = @_;
	my $stats = $self->stats();
	return $stats->{bytes_read} - $self->{sent};
}

# The connections that others opened, and those of them that are still open.
sub connections {
	my ($self) = @_;
	return $self->stats()->{total_connections} - OURS_TOTAL;
}

sub open_connections {
	my ($self) = @_;
	return $self->stats()->{curr_connections} - OURS;
}

# The value, undef on a miss; with a list wanted, value, flags and ttl.
sub get {
	my ($self, $key) = @_;

	$self->send("mg " . wire($key, 'v f t') . "\r\n");

	my $line = $self->line();
	return if $line !~ /^VA (\d+) f(\d+) t(-?\d+)/;

	my ($length, $flags, $ttl) = ($1, $2, $3);
	my $value = $self->take($length + 2);

	substr($value, -2) = '';
	return wantarray ? ($value, $flags, $ttl) : $value;
}

sub set {
	my ($self, $key, $value, $flags, $ttl) = @_;

	$self->send(sprintf "ms %s\r\n%s\r\n", wire($key, length $value,
		'F' . ($flags // 0), 'T' . ($ttl // 0)), $value);

	my $line = $self->line();
	die "memcached says $line\n" if $line ne 'HD';
}

# The same by the commands that every version has.
sub classic_set {
	my ($self, $key, $value) = @_;

	$self->send(sprintf "set %s 0 0 %d\r\n%s\r\n", $key, length $value, $value);

	my $line = $self->line();
	die "memcached says $line\n" if $line ne 'STORED';
}

sub classic_get {
	my ($self, $key) = @_;

	$self->send("get $key\r\n");

	my $line = $self->line();
	return if $line !~ /^VALUE \S+ \d+ (\d+)/;

	my $value = $self->take($1);
	$self->take(length "\r\nEND\r\n");
	return $value;
}

# The key as the meta protocol carries it, and what follows it.
sub wire {
	my ($key, @rest) = @_;

	return join ' ', $key, @rest if $key !~ /[\x00-\x20\x7f]/;
	return join ' ', encode_base64($key, ''), @rest, 'b';
}

sub send {
	my ($self, $bytes) = @_;
	$self->{sent} += length $bytes;
	$self->{connection}->print($bytes);
	$self->{connection}->flush();
}

sub line {
	my ($self) = @_;
	local $/ = "\r\n";
	my $line = $self->{connection}->getline()
		// die "memcached closed the connection\n";
	chomp $line;
	return $line;
}

sub take {
	my ($self, $length) = @_;
	$self->{connection}->read(my $bytes, $length) == $length
		or die "memcached closed the connection\n";
	return $bytes;
}

###############################################################################

1;
