package Test::Nginx::Faults;

# What the tests of the fault matrix have in common: their configurations, and
# what has to be true in every row: values that say whose they are, processes
# that are as large as before, and lines of the error log.

###############################################################################

use warnings;
use strict;

use Digest::MD5 qw/ md5_hex /;
use Exporter qw/ import /;

use Test::Nginx qw/ port /;
use Test::Nginx::Memcache;

our @EXPORT = qw/ faults_conf at get_all waiting value honest unhonest baseline grown memory_tells log_mark log_lines
	cpu_seconds /;

# Resident memory, in kB, that comes and goes without being a leak.
use constant MEMORY_SLACK => 24 * 1024;

# What a client may be told when memcached is at fault: an error that says so.
use constant HONEST => qr/^50[234]$/;

###############################################################################

# A configuration with a server for each port that is listened on, with these
# lines, the REST store and the status page.  Before them, as options, main,
# events and http: more lines for these blocks.
sub faults_conf {
	my ($options, @servers) = @_;
	my ($main, $events, $http) =
		map { $_ // '' } @$options{qw/ main events http /};
	my $text = '';

	while (my ($port, $lines) = splice @servers, 0, 2) {
		$text .= <<"EOF";
    server {
        listen       127.0.0.1:$port;
        server_name  localhost;

        $lines

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }
EOF
	}

	return conf(<<"EOF");
%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
$main

events {
    $events
}

http {
    %%TEST_GLOBALS_HTTP%%

    $http

$text
}
EOF
}

# Where such a server is, for requests.
sub at {
	my ($port) = @_;
	return (PeerAddr => '127.0.0.1:' . port($port));
}

# Gets all these keys at the same time, and returns the replies.
sub get_all {
	my ($port, @keys) = @_;
	return read_all(
		map { kv_get($_, at($port), start => 1) } @keys);
}

###############################################################################

# How many operations a server has, under way or in its queue.
sub waiting {
	my ($port) = @_;
	my $server = server_status($port);
	return $server->{pending} + $server->{queued};
}

# A value that says whose it is, which one, how long, and whether it is whole.
sub value {
	my ($key, $number, $length) = @_;
	my $body = "$key.$number," x (1 + ($length // 0) / length "$key.$number,");

	return join '|', $key, $number, length $body, md5_hex($body), $body;
}

# Whether a reply to a get of the key is its value and all of it, or a status
# that says what is wrong; with a second argument, a miss is right too.
sub honest {
	my ($key, $reply, $may_miss) = @_;
	my $code = code($reply);

	return $code =~ HONEST || $may_miss && $code eq '404' if $code ne '200';

	my ($name, undef, $length, $sum, $body) =
		split /\|/, http_content($reply) // '', 5;

	return defined $body && $name eq $key && $length == length $body
		&& $sum eq md5_hex($body);
}

# The replies to gets of these keys that are not honest, for showing.
sub unhonest {
	my ($keys, @replies) = @_;

	return map { "$keys->[$_]: " . substr $replies[$_] // 'no answer', 0, 200 }
		grep { !honest($keys->[$_], $replies[$_]) } 0 .. $#$keys;
}

###############################################################################

# How large these processes are.
sub baseline {
	my (@pids) = @_;
	return { map { ($_ => { fds => fds($_), memory => memory($_) }) } @pids };
}

# What of these processes does not come back to what it was; '' if all does.
sub grown {
	my ($before) = @_;
	my @grown;

	for my $pid (sort keys %$before) {
		my ($fds, $memory) = @{$before->{$pid}}{qw/ fds memory /};

		wait_for(sub { fds($pid) <= $fds }) or push @grown,
			"$pid: " . fds($pid) . " descriptors, were $fds";
		push @grown, "$pid: " . memory($pid) . " kB, were $memory"
			if memory_tells()
				&& memory($pid) > $memory + MEMORY_SLACK;
	}

	return join '; ', @grown;
}

# Whether a process is as large as what nginx has.  A sanitizer keeps what was
# freed, to find out who uses it.
sub memory_tells {
	return !$ENV{VALGRIND_NGINX}
		&& ($ENV{TEST_NGINX_SIBLING_CFLAGS} // '') !~ /sanitize/;
}

sub fds {
	my ($pid) = @_;
	return scalar(() = glob "/proc/$pid/fd/*");
}

sub memory {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/status" or die "No process $pid\n";
	return (map { /^VmRSS:\s+(\d+)/ } <$f>)[0];
}

# The CPU time that a process has used.
sub cpu_seconds {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/stat" or die "No process $pid\n";
	my @fields = split / /, <$f> =~ s/.*\) //r;
	return ($fields[11] + $fields[12]) / 100;
}

###############################################################################

# A place in the error log, for log_lines().
sub log_mark {
	my ($t) = @_;
	return length messages($t);
}

# How many lines behind the place match.
sub log_lines {
	my ($t, $mark, $regex) = @_;
	my $text = messages($t);

	return scalar grep { /$regex/ } split /\n/,
		$mark < length $text ? substr $text, $mark : '';
}

###############################################################################

1;
