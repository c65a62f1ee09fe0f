#!/usr/bin/perl

# Tests for memcache module: loaded and not used, it changes nothing.  Two
# nginx, one with the modules and one without, are asked the same.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::INET;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Faults;
use Test::Nginx::Lifecycle;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $with = Test::Nginx->new()->has(qw/http proxy memcached rewrite ssi/)
	->has_daemon('memcached')->plan(21);
# that one makes two checks as well
my $without = Test::Nginx->new();

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MODULES%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    upstream memcached {
        server 127.0.0.1:8081;
        keepalive 4;
    }

    upstream backend {
        server 127.0.0.1:8080;
        keepalive 4;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / { }

        location /proxy/ {
            proxy_pass http://backend/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }

        location /memcached/ {
            set $memcached_key $uri;
            memcached_pass memcached;
            error_page 404 = /fallback;
        }

        location /fallback {
            return 200 "not cached";
        }

        location /ssi {
            ssi on;
        }

        location /down {
            proxy_pass http://127.0.0.1:8090;
        }

        location /limited {
            client_max_body_size 10;
            proxy_pass http://backend/;
        }
    }
}

EOF

my $m = Test::Memcached->start($with, port(8081));
$m->set('/memcached/cow', 'moo');

# the other one listens elsewhere, and is the same in all else
start($with, conf($conf =~ s/%%MODULES%%/%%MEMCACHE_GLOBALS%%/r));
start($without, conf($conf =~ s/%%MODULES%%//r =~ s/8080/8082/gr));

###############################################################################

my @requests = (
	['static file', "GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
	['HEAD', "HEAD /file HTTP/1.0\r\n\r\n"],
	['range', "GET /file HTTP/1.0\r\nRange: bytes=2-4\r\n\r\n"],
	['missing', "GET /missing HTTP/1.0\r\n\r\n"],
	['proxy', "GET /proxy/file HTTP/1.0\r\n\r\n"],
	['proxy, down', "GET /down HTTP/1.0\r\n\r\n"],
	['memcached', "GET /memcached/cow HTTP/1.0\r\n\r\n"],
	['memcached, miss', "GET /memcached/cat HTTP/1.0\r\n\r\n"],
	['SSI', "GET /ssi HTTP/1.0\r\n\r\n"],
	['body too large', "POST /limited HTTP/1.0\r\nContent-Length: 11\r\n\r\n"
		. 'x' x 11],
	['bad request', "GET\r\n\r\n"],
	['keepalive', "GET /file HTTP/1.1\r\nHost: a\r\n\r\n" x 3
		. "GET /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"],
);

for (@requests) {
	my ($name, $request) = @$_;
	my ($one, $other) = map { plain(http($request, at($_))) } 8080, 8082;

	is($one, $other, $name);
}

# the processes, before they have worked

reload($_) for $with, $without;

my ($one, $other) = map { (workers(master($_)))[0] } $with, $without;

ok(wait_for(sub { descriptors($one) eq descriptors($other) }), 'descriptors')
	or diag(descriptors($one), descriptors($other));
is(shared_memory(master($with)), shared_memory(master($without)),
	'shared memory');

SKIP: {
skip 'no look at system calls', 2 if !system_call($one);

# idle, it waits for events, with no timer: its last argument is -1
ok(wait_for(sub { system_call($one) eq system_call($other) }), 'system call')
	or diag(system_call($one), system_call($other));
like(system_call($one), qr/ 0xffffffff(?:ffffffff)?$/, 'no timer');

}

# a slow one may still be on its way there
ok(wait_for(sub { my $switches = switches($one); sleep 2;
	$switches == switches($one) }), 'asleep when idle');

is(content(http_get('/file')), '200 a file', 'after a reload');
unlike(messages($with), qr/memcache(?!d)|\[(?:warn|crit|alert|emerg)\]/,
	'nothing said');

###############################################################################

sub start {
	my ($t, $text) = @_;

	$t->write_file('file', 'a file');
	$t->write_file('ssi', '<!--#include virtual="/file" -->');
	utime 1e9, 1e9, map { $t->testdir() . "/$_" } qw/ file ssi /;
	$t->write_file_expand('nginx.conf', $text)->run();
	wait_for(sub { workers(master($t)) == 1 });
}

sub reload {
	my ($t) = @_;
	my ($old) = workers(master($t));
	$t->reload();
	wait_for(sub { my @now = workers(master($t));
		@now == 1 && $now[0] != $old });
}

# A reply without what differs between two moments and two ports.
sub plain {
	my ($reply) = @_;
	return 'no answer' if !defined $reply;
	return $reply =~ s/^Date: .*$/Date/gmr =~ s/127\.0\.0\.1:\d+/address/gr;
}

# What a process has open, by kind.
sub descriptors {
	my ($pid) = @_;
	my %count;

	# valgrind's own have numbers of processes in their names
	$count{s/\d+//gr =~ s/nginx-test-\w+//r}++ for grep { !/valgrind/ }
		map { readlink // '' } glob "/proc/$pid/fd/*";
	return join "\n", map { "$_ $count{$_}" } sort keys %count;
}

# The number of the call that a process waits in, and its fourth argument.
sub system_call {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/syscall" or return '';
	my @words = split ' ', <$f> // '';
	return @words > 4 ? "$words[0] $words[4]" : '';
}

# How often a process has gone to sleep.
sub switches {
	my ($pid) = @_;
	open my $f, '<', "/proc/$pid/status" or die "No process $pid\n";
	return (map { /^voluntary_ctxt_switches:\s+(\d+)/ } <$f>)[0];
}

###############################################################################
