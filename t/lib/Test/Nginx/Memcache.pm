package Test::Nginx::Memcache;

# What the tests of the memcache module have in common.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw//;
use Test::More qw//;

use Test::Nginx qw/ :DEFAULT http_start http_content /;
use Test::Nginx::Conf;

our @EXPORT = (@Test::Nginx::Conf::EXPORT, qw/ kv_get kv_head kv_put kv_post
	kv_delete kv_request escape code header content http_many status
	server_status wait_for messages master ended worker_pids first_worker
	read_all http_content /);

# A wait that takes longer, in seconds, is given up.
use constant PATIENCE => 20;

###############################################################################

# The REST store.  Requests take a key of any bytes and, as options,
#
#	location	of the store, default: /kv/
#	args		"ttl=60" and the like
#	headers		lines without their end
#	and those of http(), such as start and PeerAddr

sub kv_get { kv_request('GET', @_) }

sub kv_head { kv_request('HEAD', @_) }

sub kv_delete { kv_request('DELETE', @_) }

sub kv_put {
	my ($key, $value, %extra) = @_;
	return kv_request('PUT', $key, %extra, value => $value);
}

sub kv_post {
	my ($key, $args, %extra) = @_;
	return kv_request('POST', $key, value => '', %extra, args => $args);
}

sub kv_request {
	my ($method, $key, %extra) = @_;
	return http(request($method, $key, \%extra), %extra);
}

# The request's text; takes its own options out of %extra.
sub request {
	my ($method, $key, $extra) = @_;
	my ($location, $args, $headers, $value) =
		delete @$extra{qw/ location args headers value /};
	my $uri = ($location // '/kv/') . escape($key);

	$uri .= "?$args" if defined $args;

	return join "\x0d\x0a", "$method $uri HTTP/1.0", 'Host: localhost',
		@{$headers // []},
		defined $value ? 'Content-Length: ' . length $value : (),
		'', $value // '';
}

sub escape {
	my ($key) = @_;
	$key =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
	return $key;
}

###############################################################################

# Answers.

sub code {
	my ($reply) = @_;
	return defined $reply && $reply =~ m!^HTTP/1\.[01] (\d{3})!
		? $1 : 'no answer';
}

sub header {
	my ($reply, $name) = @_;
	my ($head) = split /\x0d\x0a\x0d\x0a/, $reply // '', 2;
	return defined $head && $head =~ /^\Q$name\E:\s*(.*?)\x0d?$/mi
		? $1 : undef;
}

# "200 value": code and body in one, for comparing.
sub content {
	my ($reply) = @_;
	return join ' ', code($reply), http_content($reply) // '(no body)';
}

###############################################################################

# Sends requests (texts, or lists for kv_request) all at once, each over its
# own connection, and returns the answers, in order.
sub http_many {
	my (@requests) = @_;
	my @sockets = map { http_start(ref $_ ? request(@$_[0, 1],
		{ @$_[2 .. $#$_] }) : $_) } @requests;

	return read_all(@sockets);
}

sub read_all {
	my (@sockets) = @_;
	my $open = IO::Select->new(grep { $_ } @sockets);
	my %reply = map { ($_ => '') } grep { $_ } @sockets;
	my $end = time() + PATIENCE;

	while ($open->count() && time() < $end) {
		for my $s ($open->can_read(1)) {
			next if $s->sysread($reply{$s}, 65536,
				length $reply{$s});
			$open->remove($s);
			$s->close();
		}
	}

	return map { $_ ? $reply{$_} : undef } @sockets;
}

###############################################################################

# Diagnostics.

# The status, decoded.
sub status {
	my ($uri) = @_;
	my $reply = http_get($uri // '/status?format=json');
	my $body = http_content($reply);

	return eval { JSON::PP->new->utf8->decode($body) }
		// die "Not JSON: " . ($reply // 'no answer') . "\n";
}

# What the status page says of a server, by a part of its address.
sub server_status {
	my ($address, $uri) = @_;
	my ($server) = grep { index($_->{address}, $address) >= 0 }
		map { @{$_->{servers}} } @{status($uri)->{clients}};
	return $server;
}

# The error log without what nginx says for debugging.
sub messages {
	my ($t) = @_;
	return join "\n", grep { !/ \[debug\] / && / \[[a-z]+\] / }
		split /\n/, $t->read_file('error.log');
}

# What the two libraries that a test may run on have no common word for: nginx's
# process, once its file names it; and that nginx has exited, or was left to
# run, so that the library has nothing to stop.
sub master {
	my ($t) = @_;
	return wait_for(sub { $t->read_file('nginx.pid') =~ /^(\d+)/ && $1 });
}

sub ended {
	my ($t) = @_;
	$t->{$_} = 0 for qw/ started _started /;
}

# Processes that were started as workers and have not exited.
sub worker_pids {
	my ($t) = @_;
	my $log = $t->read_file('error.log');
	my %alive = map { ($_ => 1) } $log =~ /start worker process (\d+)/g;

	delete @alive{$log =~ /process (\d+) exited/g};

	my @pids = sort { $a <=> $b } keys %alive;
	return @pids;
}

# The worker of an nginx that has been started just now, which the log
# may not say yet.
sub first_worker {
	my ($t) = @_;
	return wait_for(sub { (worker_pids($t))[0] });
}

# Asks until the answer is true, and returns it; undef if it never is.
sub wait_for {
	my ($ask) = @_;
	my $end = time() + PATIENCE;

	while (time() < $end) {
		my $answer = $ask->();
		return $answer if $answer;
		select undef, undef, undef, 0.02;
	}

	return undef;
}

###############################################################################

1;
