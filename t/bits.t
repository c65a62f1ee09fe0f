#!/usr/bin/perl

# Tests for memcache module: bit-fields of the request, which the bindings have
# in wrong places with nginx 1.29.3 and later (R23).  An answer to HEAD that has
# a body, or one that is taken for another's, is seen by what comes next on the
# connection.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::INET;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::H2;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 ssi mirror rewrite/)
	->has_daemon('memcached')->plan(37);
my $m = Test::Memcached->start($t, port(8081));

$t->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081;
    client_body_buffer_size 1k;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }

        location /mirror {
            mirror /kv/cow;
        }

        location /ssi.html {
            ssi on;
        }

        location /missing {
            error_page 404 = /kv/cow;
        }
    }

EOF

$t->write_file('mirror', '<mirror>');
$t->write_file('ssi.html', '<!--#include virtual="/kv/cow" -->');
$t->run();

my $value = join '', map { sprintf '%06d', $_ } 1 .. 1000;

$m->set('cow', 'moo');

###############################################################################

# one connection, which the client means to keep: requests one by one, and then
# all at once

my @requests = (
	# method, path, header, status, length of the body that there would be
	['GET', '/kv/cow', '', 200, 3],
	['HEAD', '/kv/cow', '', 200, 3],
	['HEAD', '/kv/none', '', 404],
	['HEAD', '/status', '', 200],
	['GET', '/status', '', 200],
	# what is about an item, or says what is now, is never "not modified"
	['GET', '/status', "If-None-Match: *\r\n", 200],
	['HEAD', '/status', "If-None-Match: *\r\n", 200],
	['HEAD', '/mirror', '', 200, 8],
	['GET', '/mirror', '', 200, 8],
	['GET', '/ssi.html', '', 200, 3],
	['HEAD', '/ssi.html', '', 200],
	['GET', '/missing', '', 200, 3],
	['HEAD', '/missing', '', 200, 3],
	['DELETE', '/kv/none', '', 404],
	['GET', '/kv/cow', '', 200, 3],
);

my $s = connected();

for my $row (@requests) {
	$s->print(request(@$row));
	is(answer($s, @$row), expected(@$row), "R23 " . name(@$row));
}

$s->print(map { request(@$_) } @requests);
is(answer($s, @$_), expected(@$_), "R23 in a row: " . name(@$_))
	for @requests;

# a body in many buffers comes as one

$s->print("PUT /kv/large HTTP/1.1\r\nHost: a\r\nContent-Length: 6000\r\n\r\n",
	$value, request('GET', '/kv/cow', ''));
is(answer($s, 'PUT'), '204 0', 'R23 body');
is(answer($s, 'GET'), '200 3', 'R23 behind a body');
is($m->get('large'), $value, 'R23 the body');
$s->close();

# the same with streams

my $h2 = Test::Nginx::H2->new(port(8082));

for (['GET', '/kv/cow', 'moo'], ['HEAD', '/kv/cow', ''],
	['HEAD', '/status', ''], ['GET', '/ssi.html', 'moo'])
{
	my ($method, $path, $body) = @$_;
	my ($answer) = $h2->replies($h2->request($method, $path));
	is($answer, "200 $body", "R23 HTTP/2 $method $path");
}

###############################################################################

sub connected {
	my $s = IO::Socket::INET->new(Proto => 'tcp', Timeout => 10,
		PeerAddr => '127.0.0.1:' . port(8080)) or die "Can't connect: $!";
	$s->autoflush(1);
	return $s;
}

sub request {
	my ($method, $path, $headers) = @_;
	return "$method $path HTTP/1.1\r\nHost: a\r\n$headers\r\n";
}

sub name {
	my ($method, $path, $headers) = @_;
	return "$method $path" . ($headers && ', if it has changed');
}

sub expected {
	my ($method, $path, $headers, $status, $length) = @_;
	return "$status " . ($method eq 'HEAD' ? 0 : $length // 'some');
}

# Status and length of the answer's body; what is no answer says what it is.
sub answer {
	my ($s, $method, $path, $headers, $status, $length) = @_;
	local $SIG{ALRM} = sub { die "no answer\n" };
	my ($head, $body) = ('', '');

	eval {
		alarm 10;
		$head .= $s->getline() // die "closed\n"
			until $head =~ /\r\n\r\n$/ || length $head > 4096;
		$body = body($s, $head) if $method ne 'HEAD';
	};
	alarm 0;

	my $got = $head =~ m!^HTTP/1\.1 (\d+) ! ? $1 : "$@(" . substr($head, 0, 80) . ")";
	return "$got " . (length $body && !defined $length && defined $status
		? 'some' : length $body);
}

sub body {
	my ($s, $head) = @_;
	my $body = '';

	if ($head =~ /^Content-Length: (\d+)/mi) {
		$s->read($body, $1);
	} elsif ($head =~ /^Transfer-Encoding: chunked/mi) {
		while (my $n = hex(($s->getline() // '') =~ s/\r\n$//r)) {
			$s->read($body, $n, length $body);
			$s->getline();
		}
		$s->getline();
	}

	return $body;
}

###############################################################################
