package Test::Nginx::HTTP;

# HTTP requests as plain text, and answers likewise; Test::Nginx exports them.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use IO::Socket::INET;

our @EXPORT = qw/ http http_get http_head http_start http_end http_content
	log_in log_out log_core /;

# A request that takes longer, in seconds, has failed: http() returns undef.
use constant TIME_LIMIT => 8;

###############################################################################

sub http_get {
	my ($url, %extra) = @_;
	return http("GET $url HTTP/1.0\x0aHost: localhost\x0a\x0a", %extra);
}

sub http_head {
	my ($url, %extra) = @_;
	return http("HEAD $url HTTP/1.0\x0aHost: localhost\x0a\x0a", %extra);
}

# start: returns the socket, the answer is read by http_end()
# socket: a connection to use
# sleep, body: seconds to wait behind the request, what to send then
# PeerAddr and the like: where to, if not port 8080
sub http {
	my ($request, %extra) = @_;

	my $s = http_start($request, %extra);

	return $s if $extra{start} || !$s;
	return http_end($s);
}

sub http_start {
	my ($request, %extra) = @_;

	return in_time(sub {
		my $s = $extra{socket} || IO::Socket::INET->new(
			Proto => 'tcp',
			PeerAddr => '127.0.0.1:' . Test::Nginx::port(8080),
			%extra
		)
			or die "Can't connect to nginx: $!\n";

		log_out($request);
		$s->print($request);

		select undef, undef, undef, $extra{sleep} if $extra{sleep};

		if ($extra{body}) {
			log_out($extra{body});
			$s->print($extra{body});
		}

		return $s;
	});
}

sub http_end {
	my ($s) = @_;

	return in_time(sub {
		local $/;
		my $reply = $s->getline();
		$s->close();
		log_in($reply // '');
		return $reply;
	});
}

# The body of an answer, chunks joined.
sub http_content {
	my ($text) = @_;

	return undef unless defined $text;

	my ($head, $body) = split /\x0d?\x0a\x0d?\x0a/, $text, 2;

	return undef unless defined $body;
	return $body unless $head =~ /^Transfer-Encoding:\s*chunked/mi;

	my ($content, $length) = ('');

	while ($body =~ /\G(?:\x0d?\x0a)?([0-9a-f]+)\x0d?\x0a/gci) {
		$length = hex $1;
		$content .= substr $body, pos $body, $length;
		pos($body) += $length;
	}

	$content .= '[no-last-chunk]' unless defined $length && !$length;
	return $content;
}

sub in_time {
	my ($code) = @_;

	my $result = eval {
		local $SIG{ALRM} = sub { die "timeout\n" };
		local $SIG{PIPE} = sub { die "sigpipe\n" };
		alarm(TIME_LIMIT);
		$code->();
	};
	my $error = $@;
	alarm(0);

	log_in("died: $error") if $error;
	return $error ? undef : $result;
}

###############################################################################

sub log_out { log_core('>>', @_) }

sub log_in { log_core('<<', @_) }

sub log_core {
	my ($prefix, $text) = @_;

	return unless $ENV{TEST_NGINX_VERBOSE};

	my $rest = length($text) - 2048;
	$text = substr($text, 0, 2048) . "(and $rest bytes)" if $rest > 0;

	for my $line (split /\n/, $text) {
		$line =~ s/([^\x20-\x7e])/sprintf '\x%02x', ord $1/ge;
		print "# $prefix $line\n";
	}
}

###############################################################################

1;
