#!/usr/bin/perl

# Tests for memcache module: clusters with a name, memcache_cluster and
# memcache_use.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant NOT_CONFIGURED => 33;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'clients');

# port, location, whose item it is

my @places = (
	[8080, '/kv/', 'mine'], [8080, '/sessions/', 'sessions'],
	[8080, '/pages/', 'pages'], [8080, '/pages/deep/', 'pages'],
	[8080, '/pages/sessions/', 'sessions'],
	[8084, '/kv/', 'pages'], [8084, '/sessions/', 'sessions'],
	[8085, '/kv/', 'sessions'],
);

my @good = (
	'memcache_cluster a { memcache_server 127.0.0.1; }',
	'memcache_cluster a.b-C_9 { memcache_server 127.0.0.1;
		memcache_timeout 5s; memcache_hash ketama; memcache_ssl off; }
		memcache_use a.b-C_9;',
	'memcache_use later; memcache_cluster later { memcache_server 127.0.0.1; }',
	'memcache_cluster a { include named.inc; }',
	'memcache_cluster a { memcache_server 127.0.0.1; } server {
		memcache_use a; location / { memcache_use a; memcache_kv on; } }',
	'memcache_cluster a { memcache_server 127.0.0.1; } server {
		memcache_server 127.0.0.1:1; location / { memcache_use a; } }',
	'clients_cluster a; memcache_cluster a { memcache_server 127.0.0.1; }',
	'memcache_session sid 1h prefix=s: cluster=a; rate_limit x limit=1
		window=1m cluster=a; memcache_cluster a { memcache_server 127.0.0.1; }',
);

my $a = 'memcache_cluster a { memcache_server 127.0.0.1; }';
my @bad = (
	['C31 no server', 'memcache_server 127.0.0.1; memcache_cluster a { }',
		'no "memcache_server" is in memcache cluster "a" in'],
	['C27 twice', "$a $a", 'duplicate memcache cluster "a" in'],
	['C27 used twice', "$a memcache_use a; memcache_use a;",
		'"memcache_use" directive is duplicate in'],
	['unknown', 'memcache_server 127.0.0.1; memcache_use b;',
		'there is no memcache cluster "b" in'],
	['unknown in a location', "$a server { location / { memcache_use b; } }",
		'there is no memcache cluster "b" in'],
	['unknown to a sibling', "$a server { location / { clients_cluster b; } }",
		'there is no memcache cluster "b" in'],
	(map { [(split)[0] . ' of a cluster', "$a server { $_ }",
		'there is no memcache cluster "b" in'] }
		'memcache_session sid cluster=b;',
		'rate_limit x limit=1 window=1s cluster=b;'),
	(map { ["C34 name $_", "memcache_cluster $_ { memcache_server 127.0.0.1; }",
		'of a memcache cluster, it must be 1 to 64 letters, digits, "_", "-" or'] }
		'""', '"a b"', 'a/b', '$host', 'a' x 65, '"k\xc3\xbch"'),
	(map { ["$_ in it", "memcache_cluster a { $_; }",
		'"' . (split)[0] . '" directive is not allowed here in'] }
		'memcache_use b', 'memcache_zone z:1m', 'server_name x', 'nonsense',
		'memcache_status'),
	(map { ["C1 $_", "memcache_cluster a { $_; }",
		'invalid number of arguments in "' . (split)[0] . '" directive in'] }
		'memcache_server', 'memcache_timeout', 'memcache_timeout 1s 2s',
		'memcache_ssl_conf_command a'),
	['C28 in it', 'memcache_cluster a { memcache_queue x; }',
		'"memcache_queue" directive invalid number "x"'],
	['C27 in it', 'memcache_cluster a { memcache_queue 1; memcache_queue 2; }',
		'"memcache_queue" directive is duplicate in'],
	['a block in it', 'memcache_cluster a { server { } }', 'unexpected "{" in'],
	['an end', 'memcache_cluster a { memcache_server 127.0.0.1;',
		'unexpected end of file, expecting "}" in'],
	['C33 in it', 'memcache_cluster a { memcache_hash rendezvous;
		memcache_server 127.0.0.1 weight=2; }',
		'"weight" is not supported with "memcache_hash rendezvous" in'],
);

# What has no effect; undef: all may have one.
my $use = 'has no effect in a block with "memcache_use a"';
my @idle = (
	['beside it', "$a server { memcache_use a; memcache_timeout 5s; }",
		"\"memcache_timeout\" $use"],
	['before it', "$a server { memcache_server 127.0.0.1:1;\n"
		. 'memcache_hash ketama; memcache_use a; }', "\"memcache_server\" $use"],
	['outside', "$a memcache_use a; server { memcache_queue 5; }",
		"\"memcache_queue\" $use"],
	['for clusters', "$a memcache_use a; memcache_queue 5; server { }", undef],
	['for others', "$a memcache_queue 5; memcache_server 127.0.0.1:1;
		server { memcache_use a; } server { listen 127.0.0.1:8081; }", undef],
	['a server of its own', "$a memcache_use a; server {
		memcache_server 127.0.0.1:1; memcache_queue 5; }", undef],
	['of a location', "$a server { memcache_server 127.0.0.1:1; memcache_queue 5;
		location / { memcache_use a; } }", undef],
	['a hashed prefix', 'memcache_hash_prefix off; memcache_server 127.0.0.1;
		server { }', '"memcache_hash_prefix off" has no effect without '
		. '"memcache_prefix"'],
	['a prefix in one of the servers', 'memcache_hash_prefix off;
		memcache_server 127.0.0.1; server { memcache_prefix a; }
		server { listen 127.0.0.1:8081; }', undef],
	['a prefix in a cluster', 'memcache_hash_prefix off; memcache_cluster a {
		memcache_server 127.0.0.1; memcache_prefix a; }', undef],
);

$t->plan(2 * @places + @good + @bad + 2 * @idle + 20);

my $load = '%%LOAD_MEMCACHE%% %%LOAD_MEMCACHE_KV%% '
	. '%%LOAD_MEMCACHE_SESSION%% %%LOAD_MEMCACHE_RATE_LIMIT%% '
	. 'load_module %%TESTDIR%%/clients.so;';

###############################################################################

# what nginx -t says

$t->write_file('named.inc', 'memcache_server 127.0.0.1; memcache_queue 1;');

like(checked($t, $_), qr/test is successful/, "good - $_") for @good;
like(checked($t, $_->[1]), qr/\[emerg\] .*\Q$_->[2]\E.*nginx\.conf:\d+/s, $_->[0])
	for @bad;

for (@idle) {
	my ($name, $lines, $text) = @$_;
	my $said = checked($t, $lines);
	like($said, qr/test is successful/, "no effect - $name");
	my @warned = $said =~ /\[warn\] (.* has no effect .*) in \S+:\d+$/mg;
	is_deeply(\@warned, [$text // ()], "no effect - $name - said once");
}

###############################################################################

# where operations go

my $conf = http_conf(<<'EOF', qw/ kv test session rate_limit clients.so /);

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    memcache_cluster sessions {
        memcache_server 127.0.0.1:8081 max=1;
        memcache_prefix s:;
    }

    memcache_cluster pages {
        memcache_server 127.0.0.1:8082 max=1;
    }

    # the same servers and settings: a client of its own
    memcache_cluster twin {
        memcache_server 127.0.0.1:8082 max=1;
    }

    memcache_use sessions;

    server {
        listen       127.0.0.1:8080;
        server_name  mine.example.com;

        memcache_server 127.0.0.1:8083 max=1;

        location /kv/ { memcache_kv on; }
        location /sessions/ { memcache_use sessions; memcache_kv on; }
        location /clients { clients; }
        location /named { test_content named; }

        location /all/ {
            memcache_use pages;
            memcache_session sid cluster=sessions;
            add_header X-State $memcache_session_state always;
            rate_limit $http_who limit=1 window=24h cluster=twin;
            memcache_kv on;
        }

        location /pages/ {
            memcache_use pages;
            memcache_kv on;
            location /pages/deep/ { memcache_kv on; }
            location /pages/sessions/ { memcache_use sessions; memcache_kv on; }
        }

        location /status { memcache_status; }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  pages.example.com;

        memcache_use pages;

        location /kv/ { memcache_kv on; }
        location /sessions/ { memcache_use sessions; memcache_kv on; }
    }

    server {
        listen       127.0.0.1:8085;
        server_name  sessions.example.com;

        location /kv/ { memcache_kv on; }
        location /clients { clients; clients_conf deep; memcache_use pages; }
    }
EOF

my %m = (sessions => Test::Memcached->start($t, port(8081)),
	pages => Test::Memcached->start($t, port(8082)),
	mine => Test::Memcached->start($t, port(8083)));

$t->write_file_expand('nginx.conf', $conf);
$t->run();

for (@places) {
	my ($port, $location, $whose) = @$_;
	my @at = (PeerAddr => '127.0.0.1:' . port($port));
	my $key = "$port$location" =~ s!/!-!gr;
	my $stored = $whose eq 'sessions' ? "s:$key" : $key;

	is(code(http("PUT $location$key HTTP/1.1\x0d\x0aHost: localhost\x0d\x0a"
		. "Connection: close\x0d\x0aContent-Length: 3\x0d\x0a\x0d\x0amoo", @at)),
		204, "$port $location - stored");
	is(join(' ', grep { defined $m{$_}->get($stored) } sort keys %m), $whose,
		"$port $location - in $whose");
}

# siblings, in C and in Rust

is(asked('do=store&key=c&value=moo&cluster=sessions'), 'status=0', 'C - stored');
is($m{sessions}->get('s:c'), 'moo', 'C - in the cluster');
is(asked('do=store&key=c&value=moo&cluster=twin'), 'status=0', 'C - twin');
is($m{pages}->get('c'), 'moo', 'C - twin stored');
is(asked("do=store&key=c&value=moo&cluster=$_"), 'refused=' . NOT_CONFIGURED
	. ' null=1', "C - no cluster \"$_\"") for 'session', 'sessions2', 'mine';
like(asked('do=store&key=c&value=moo&cluster='), qr/^refused=\d+ null=1/,
	'C - no name');
is(code(http_get('/named?cluster=pages&key=rust&value=moo')), 204, 'Rust - stored');
is($m{pages}->get('rust'), 'moo', 'Rust - in the cluster');
is(code(http_get('/named?cluster=none&key=rust&value=moo')), 503, 'Rust - none');

my @at = (PeerAddr => '127.0.0.1:' . port(8085));
is(http_content(http_get('/clients?do=store&key=loc&value=moo', @at)), 'status=0',
	'of a location - stored');
is($m{pages}->get('loc'), 'moo', 'of a location');
like(http_content(http_get('/clients?do=conf&label=deep', @at)),
	qr/^start=0 same=1 servers=1/, 'of its block');

# examples take the name of a cluster, beside that of the location

my $id = 'a' x 32;
$m{sessions}->set("s:session:$id", 'moo');
my $all = "GET /all/page HTTP/1.0\x0d\x0aWho: me\x0d\x0aCookie: sid=$id\x0d\x0a\x0d\x0a";
my $r = http($all);
is(code($r), 404, 'examples - the page');
is(header($r, 'X-State'), 'found', 'examples - the session');
is(code(http($all)), 429, 'examples - the limit');

# the status has the names, whatever else there is

my @names = map { $_->{cluster} } @{ status()->{clients} };
is(join(' ', sort @names), 'mine.example.com pages sessions twin', 'names');

# a reload with one more in front

$t->write_file_expand('nginx.conf', $conf =~ s/(?=    memcache_cluster sessions)/    memcache_cluster first { memcache_server 127.0.0.1:8083; }\n/r);
my @before = worker_pids($t);
kill 'HUP', master($t);
ok(wait_for(sub { "@{[ worker_pids($t) ]}" ne "@before" }), 'reload');
ok(wait_for(sub { my @now = map { $_->{cluster} } @{ status()->{clients} // [] };
	join(' ', sort @now) eq 'first mine.example.com pages sessions twin' }),
	'reload - names');

###############################################################################

sub asked {
	my ($args) = @_;
	return http_content(http_get("/clients?$args"));
}

# What "nginx -t" says to lines of the http block.
sub checked {
	my ($t, $lines) = @_;
	my $end = ($lines =~ tr/{//) > ($lines =~ tr/}//) ? '' : "}\n";

	return check_config($t, "%%TEST_GLOBALS%%\n$load\ndaemon off;\n"
		. "events {\n}\nhttp {\n%%TEST_GLOBALS_HTTP%%\n$lines\n$end");
}

###############################################################################
