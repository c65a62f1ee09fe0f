#!/usr/bin/perl

# Tests for memcache module: R52, internal redirects while an async block of a
# sibling in Rust waits: the block is dropped, and the new location's runs.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::H2;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http http_v2 rewrite proxy/)
	->has_daemon('memcached')->write_file_expand('nginx.conf', http_conf(<<'EOF', qw/ kv test /));

    memcache_connect_timeout 60s;
    memcache_timeout 60s;
    client_max_body_size 1m;

    # what the first block waits for, and what the second does
    memcache_server 127.0.0.1:8081;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8083 http2;
        server_name  localhost;

        location /status { memcache_status; }

        # the client leaves; a post_action has no arguments
        location /content { test_content get; post_action /after/content; }
        location /access { test_access go; post_action /after/access; }
        location /rewrite { test_rewrite go; post_action /after/rewrite; }
        location /named { test_content get; post_action @after; }
        location /same { test_content get; test_log count; post_action /same; }
        location /proxied { test_content get; post_action /proxy; }
        location /access_proxied { test_access go; post_action /proxy; }

        location @after { test_content set; test_log count; }
        location /after/content { test_content set; test_log count; }
        location /after/access { test_access go; test_content set; test_log count; }
        location /after/rewrite { test_rewrite go; test_content set; test_log count; }
        location /proxy { proxy_pass http://127.0.0.1:8082/set?key=k; test_log count; }

        # the client has its answer
        location /served_rewrite { return 200 served; post_action /after/rewrite; }
        location /served_access { return 200 served; post_action /after/access; }

        # a body that fails while the block waits for it
        location /body { test_content body; error_page 400 413 = /bad?key=bad; }
        location /body_named { test_content body; error_page 400 413 = @bad; }
        location /bad { test_content get; }
        location @bad { test_content get; }
        # and with another block for bodies
        location /body_body { test_content body; error_page 400 413 = /bad_body?key=again; }
        location /bad_body { test_content body; }
    }

    server {
        listen       127.0.0.1:8082;
        location / { test_content set; }
    }

EOF

$t->plan(44);

my $m = Test::Memcached->start($t, port(8081));
$t->run();

my $pid = first_worker($t);
$m->set('bad', 'fallback');
# opens a connection
is(content(http_get('/bad?key=bad')), '200 fallback', 'connected');

###############################################################################

# The client leaves while a block waits, in every place. The second one sets "k",
# and its location is logged, once.

for my $uri (qw! content access rewrite named same proxied access_proxied !) {
	for my $http (1, 2) {
		$m->set('k', 'old');
		$m->set('log:k', '0');
		leave($http, "/$uri");

		ok(wait_for(sub { $m->get('log:k') eq '1' }),
			"R52 $uri, HTTP/$http - ended, once");
		is($m->get('k'), $uri eq 'same' ? 'old' : '',
			"R52 $uri, HTTP/$http - the second has run");
	}
}

unlike($t->read_file('error.log'), qr/spawn was called twice/,
	'R52 nobody was called twice');

# The header was sent before the block of a phase handler begins.

for my $uri (qw! served_rewrite served_access !) {
	$m->set('k', 'old');
	$m->set('log:k', '0');
	is(content(http_get("/$uri")), '200 served', "R52 $uri - answered");
	ok(wait_for(sub { $m->get('log:k') eq '1' }),
		"R52 $uri - ended, once");
	is($m->get('k'), '', "R52 $uri - went on");
}

# a body that is bad, or too large, while a block waits for it

my $head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	. "Transfer-Encoding: chunked\r\n\r\n";

for my $how ('bad', 'large') {
	my $body = $how eq 'bad' ? "nonsense\r\n"
		: "200000\r\n" . ('x' x 0x200000) . "\r\n0\r\n\r\n";

	is(content(in_parts("PUT /body?key=b $head", $body)), '200 fallback',
		"R52 body, $how - error_page");
	is(code(in_parts("PUT /body_named?key=b $head", $body)),
		404, "R52 body, $how - named location");
	is($m->get('b'), undef, "R52 body, $how - not stored");
}

like(content(in_parts("PUT /body_body?key=b $head", "nonsense\r\n")),
	qr/^(200|400)/, 'R52 body, another body - answered');

###############################################################################

is(first_worker($t), $pid, 'R52 the same worker');

###############################################################################

sub leave {
	my ($http, $uri) = @_;
	my ($s, $h2, $stream);

	$m->pause();
	if ($http == 1) {
		$s = http_get($uri, start => 1);
	} else {
		$h2 = Test::Nginx::H2->new(port(8083));
		$stream = $h2->request('GET', $uri);
	}
	wait_for(sub { server_status(port(8081))->{pending} > 0 });
	$http == 1 ? close $s : $h2->reset($stream);
	# the other one is to wait, too
	select undef, undef, undef, 0.1;
	$m->resume();
	wait_for(sub { server_status(port(8081))->{pending} == 0 });
}

# The second part comes when nginx has seen the first.
sub in_parts {
	my ($first, $second) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1:' . port(8080))
		or die "Can't connect: $!\n";
	$s->print($first);
	$s->flush();
	select undef, undef, undef, 0.1;
	local $SIG{PIPE} = 'IGNORE';
	$s->print($second);
	$s->flush();
	my $reply = '';
	1 while $s->sysread($reply, 65536, length $reply);
	return $reply;
}

###############################################################################
