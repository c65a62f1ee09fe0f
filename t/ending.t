#!/usr/bin/perl

# Tests for memcache module: R60, calls that are bound to a request which is
# ending: from handlers of the log phase, of http cleanups and of cleanups of
# the request's pool, on every way that a request can end, in C and in Rust.

###############################################################################

use warnings;
use strict;

use Test::More;

use List::Util qw/ sum /;
use Socket qw/ SOL_SOCKET SO_LINGER /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::H2;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 rewrite ssi/)
	->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'ended');

my $conf = http_conf(<<'EOF', qw/ kv test ended.so /);

    memcache_server 127.0.0.1:8081;
    memcache_timeout 60s;
    memcache_connect_timeout 60s;

    log_subrequest on;
    default_type text/html;
    client_header_timeout 1s;
    client_body_timeout 1s;
    send_timeout 1s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /status { memcache_status; }
    }

    %%SERVERS%%

EOF

# The same for each port, with and without a call of the request before.

my $both = 'test_rewrite ending; test_log ending;';
my %locations = (
	'/' => '',
	'/redirect' => 'error_page 404 = /f;',
	'/named' => 'error_page 404 = @named;',
	'@named' => 'try_files /f =404;',
	'/post_action' => 'post_action /f; try_files /f =404;',
	'/linger' => 'lingering_close always; lingering_timeout 1s;
		keepalive_timeout 0; try_files /f =404;',
	'/ssi' => 'ssi on;',
	'/kv/' => 'memcache_kv on;',
	'/get' => 'test_content get;',
	'/get_post_action' => 'test_content get; post_action /f;',
);

my @servers = map {
	my ($listen, $words) = @$_;
	my $blocks = join '', map { "location $_ { $both $locations{$_} }\n" }
		sort keys %locations;
	"server { listen $listen; ended log cleanup pool $words;\n$blocks }\n"
} ['127.0.0.1:8082', ''], ['127.0.0.1:8083', 'before'],
	['127.0.0.1:8084 http2', ''], ['127.0.0.1:8085 http2', 'before'];

$conf =~ s/%%SERVERS%%/join '', @servers/e;
$t->write_file_expand('nginx.conf', $conf);
$t->write_file('f', 'file');
$t->write_file('large', 'x' x 8000000);
mkdir $t->testdir() . '/ssi';
$t->write_file('ssi/page', '<!--#include virtual="/f" -->');

my $m = Test::Memcached->start($t, port(8081));
$t->run();

my $pid = first_worker($t);

###############################################################################

# Ways to end: what is done on a port, how many main requests end by it, how many
# subrequests are logged, and whether it happens before there is a location.

my @ways = (
	['keep-alive', sub { requests($_[0], 3, '/f') }, 3],
	['pipelined', sub { raw($_[0], join '', (map { request('/f') } 1 .. 3),
		request('/f', 'close')) }, 4],
	['HTTP/1.0', sub { raw($_[0], "GET /f HTTP/1.0\r\n\r\n") }, 1],
	['HEAD', sub { raw($_[0], "HEAD /f HTTP/1.0\r\n\r\n") }, 1],
	['lingering close', sub { requests($_[0], 1, '/linger') }, 1],
	['error_page', sub { requests($_[0], 2, '/redirect') }, 2],
	['named location', sub { requests($_[0], 2, '/named') }, 2],
	['post_action', sub { requests($_[0], 2, '/post_action') }, 2],
	['subrequest', sub { requests($_[0], 2, '/ssi/page') }, 2, 2],
	['no such file', sub { requests($_[0], 2, '/none') }, 2],
	['bad request', sub { raw($_[0], "GET\r\n\r\n") }, 1, 0, 1],
	['header timed out', sub { raw($_[0], "GET /f HTTP/1.1\r\nHost:") },
		1, 0, 1],
	['client resets', sub { leave($_[0], '/large') }, 1],
	['client reads nothing', sub { stall($t, $_[0], '/large') }, 1],
	['body timed out', sub { raw($_[0], "PUT /kv/x HTTP/1.1\r\n"
		. "Host: localhost\r\nContent-Length: 10\r\n\r\nx") }, 1],
	['a call was answered', sub { requests($_[0], 2, '/get?key=x') }, 2],
	['client leaves while a call waits', sub {
		leave_waiting($_[0], '/get?key=x') }, 1],
	['client leaves while a call waits, post_action', sub {
		leave_waiting($_[0], '/get_post_action?key=x') }, 1],
);

my @ways_h2 = (
	['HTTP/2', sub { h2($_[0], ('/f') x 3) }, 3],
	['HTTP/2 subrequest', sub { h2($_[0], '/ssi/page') }, 1, 1],
	['HTTP/2 error_page', sub { h2($_[0], '/redirect') }, 1],
	['HTTP/2 post_action', sub { h2($_[0], '/post_action') }, 1],
	['HTTP/2 a call was answered', sub { h2($_[0], '/get?key=x') }, 1],
	['HTTP/2 reset while a call waits', sub {
		my $h2 = Test::Nginx::H2->new(port($_[0]));
		waiting_then(sub { $h2->request('GET', '/get?key=x') },
			sub { $h2->reset($_[0]) }) }, 1],
);

# What is said then. In an http cleanup it cannot always be told; it is the same
# for all calls.

my $all = qr/check=36 client=0 submit=36,36 many=36,36$/;
my %in_c = (log => $all, pool => $all,
	cleanup => qr/check=(0|36) client=0 submit=\1,\1 many=\1,\1$/);
my %in_rust = (
	log => qr/client=true spawn=-1 body=-1 header=(?:true|false) sent=0$/,
	pool => qr/client=true spawn=-1 body=-1 header=false sent=-1$/,
	cleanup => qr/client=true spawn=-?\d+ body=-?\d+ header=\w+ sent=0$/);

$t->plan(4 + 2 * sum(map { my ($name, $run, $mains, $subs, $early) = @$_;
	$early ? 2 : $subs ? 13 : 12 } @ways, @ways_h2));

for ([8082, '', @ways], [8083, 'called before, ', @ways],
	[8084, '', @ways_h2], [8085, 'called before, ', @ways_h2])
{
	my ($port, $prefix, @these) = @$_;
	try($t, $port, $prefix . shift @$_, @$_) for map { [@$_] } @these;
}

is($m->get('ended'), undef, 'R60 nothing was sent in C');
is($m->get('ending'), undef, 'R60 nothing was sent in Rust');
unlike($t->read_file('error.log'), qr/a handler ran/, 'R60 no handler ran');
is(first_worker($t), $pid, 'R60 the same worker');

###############################################################################

sub try {
	my ($t, $port, $name, $run, $mains, $subs, $early) = @_;
	my $from = length $t->read_file('error.log');
	my $said = sub { my ($what) = @_;
		return substr($t->read_file('error.log'), $from) =~ /$what (.*)/g };

	$run->($port);

	for my $place ($early ? 'log' : qw/ log cleanup pool /) {
		ok(wait_for(sub { $mains <= (() = $said->("ended: $place")) }),
			"R60 $name - $place, C");
		is_deeply([grep { !/$in_c{$place}/ } $said->("ended: $place")], [],
			"R60 $name - $place, C, refused");

		next if $early;

		ok(wait_for(sub { $mains <= (() = $said->("ending: $place")) }),
			"R60 $name - $place, Rust");
		is_deeply([grep { !/$in_rust{$place}/ } $said->("ending: $place")],
			[], "R60 $name - $place, Rust, refused");
	}

	# the main request is still there
	is_deeply([$said->('ended: subrequest log')],
		[('check=36 client=0 submit=0,0 many=0,0') x $subs],
		"R60 $name - subrequests, C") if $subs;
}

sub request {
	my ($uri, $connection) = @_;
	return "GET $uri HTTP/1.1\r\nHost: localhost\r\nConnection: "
		. ($connection // 'keep-alive') . "\r\n\r\n";
}

sub connection {
	my ($port, $text) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port($port))
		or die "Can't connect: $!\n";
	$s->print($text);
	$s->flush();
	return $s;
}

# One after the other on a connection, which then closes.
sub requests {
	my ($port, $n, $uri) = @_;
	my $s = connection($port, '');
	for (1 .. $n) {
		$s->print(request($uri));
		$s->flush();
		$s->sysread(my $reply, 65536);
	}
	close $s;
}

# Until nginx closes the connection.
sub raw {
	my $s = connection(@_);
	1 while $s->sysread(my $reply, 65536);
}

sub h2 {
	my ($port, @uris) = @_;
	my $h2 = Test::Nginx::H2->new(port($port));
	$h2->replies(map { $h2->request('GET', $_) } @uris);
}

# Goes away while the response is being sent.
sub leave {
	my ($port, $uri) = @_;
	my $s = connection($port, request($uri));
	$s->sysread(my $reply, 100);
	setsockopt($s, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0);
	close $s;
}

# Does not go away, and does not read, until nginx gives it up.
sub stall {
	my ($t, $port, $uri) = @_;
	my $from = length $t->read_file('error.log');
	my $s = connection($port, request($uri));
	wait_for(sub {
		substr($t->read_file('error.log'), $from) =~ /ended: pool/ });
	close $s;
}

sub leave_waiting {
	my ($port, $uri) = @_;
	waiting_then(sub { connection($port, request($uri)) },
		sub { close $_[0] });
}

# Begins something while memcached does not answer, and ends it.
sub waiting_then {
	my ($begin, $end) = @_;
	my $cancelled = now()->{errors}{cancelled};

	$m->pause();
	my $what = $begin->();
	wait_for(sub { now()->{pending} > 0 });
	$end->($what);
	wait_for(sub { now()->{errors}{cancelled} > $cancelled });
	$m->resume();
	wait_for(sub { now()->{pending} == 0 });
}

sub now { server_status(port(8081)) }

###############################################################################
