#!/usr/bin/perl

# Tests for memcache module: the line of the configuration that an error or a
# warning names, where it is about more than one.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lines;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/);

my $server = 'memcache_server 127.0.0.1:11211;';

# what needs a client, where there is none: lines for the http block, and the
# line of nginx.conf that is to blame, after "http {" and what is before
my $kv = 'location / { memcache_kv on; }';
my @without = (
	['location', "server {\n listen 127.0.0.1:8080;\n location / {\n"
		. " memcache_kv on;\n }\n }", 4],
	['nested', "server {\n listen 127.0.0.1:8080;\n location /a/ {\n"
		. " location /a/b/ {\n memcache_kv on;\n }\n }\n }", 5],
	['of the second', "server {\n listen 127.0.0.1:8080;\n $server\n $kv\n }"
		. "\n server {\n listen 127.0.0.1:8082;\n $kv\n }", 8],
	['settings only', "server {\n listen 127.0.0.1:8080;\n"
		. " memcache_timeout 1s;\n $kv\n }", 4],
	['another directive', "server {\n listen 127.0.0.1:8080;\n"
		. " memcache_session sid;\n }", 3, 'memcache_session'],
	['access phase', "server {\n listen 127.0.0.1:8080;\n location / {\n"
		. " rate_limit \$uri limit=1 window=1s;\n }\n }", 4, 'rate_limit'],
	['http block', "memcache_session sid;", 1, 'memcache_session'],
	['threads', "server {\n listen 127.0.0.1:8080;\n location / {\n"
		. " memcache_digest;\n }\n }", 4, 'memcache_digest'],
);

# where it may be
my @with = (
	"$server server { listen 127.0.0.1:8080; $kv }",
	"server { listen 127.0.0.1:8080; $kv $server }",
	"memcache_session sid; server { listen 127.0.0.1:8080; $server }",
	"rate_limit \$uri limit=1 window=1s; $server",
	"server { listen 127.0.0.1:8080; rate_limit off; }",
);

# two directives that contradict each other: the line of the one to blame
my @pairs = (
	['rendezvous', "memcache_hash rendezvous;\nmemcache_server 127.0.0.1:1;\n"
		. "memcache_server 127.0.0.1:2 weight=2;", 3,
		'"weight" is not supported with "memcache_hash rendezvous"'],
	['rendezvous, inherited', "memcache_server 127.0.0.1:2 weight=2;\n"
		. "server {\n listen 127.0.0.1:8080;\n memcache_hash rendezvous;\n }",
		1, '"weight" is not supported with "memcache_hash rendezvous"'],
	['consistent', "memcache_hash consistent;\nmemcache_server 127.0.0.1:1 "
		. "weight=16380;\nmemcache_server 127.0.0.1:2 weight=5;\n"
		. 'memcache_server 127.0.0.1:3;', 3,
		'"weight" adds up to 16386 with "memcache_hash consistent"'],
	['backup', "memcache_server 127.0.0.1:1;\nmemcache_server 127.0.0.1:2 backup;\n"
		. 'memcache_failover off;', 2,
		'memcache server "127.0.0.1:2" is a "backup", which needs'],
	['failover, inherited', "memcache_failover backup;\nserver {\n listen 127.0.0.1:8080;\n"
		. " memcache_server 127.0.0.1:1;\n memcache_server 127.0.0.1:2;\n }", 4,
		'"memcache_failover backup" needs a "memcache_server" that is'],
	['backups alone', "memcache_failover backup;\nmemcache_server 127.0.0.1:1 backup;\n"
		. 'memcache_server 127.0.0.1:2 backup;', 2,
		'all memcache servers of the list are "backup"'],
);

# what is allowed, but hardly meant: lines, the line to blame, text
my @doubts = (
	['weights', "memcache_server 127.0.0.1:1 weight=32767;\n"
		. "memcache_server 127.0.0.1:2;\nmemcache_server 127.0.0.1:3;", 3,
		'memcache server "127.0.0.1:3" gets no keys'],
	['timeouts', "$server\nmemcache_timeout 1s;\n"
		. 'memcache_connect_timeout 2s;', 3,
		'"memcache_connect_timeout" of 2000ms is longer than '
		. '"memcache_timeout" of 1000ms'],
	['inherited where there is no server', "memcache_session sid;\nserver {\n"
		. " listen 127.0.0.1:8082;\n memcache_server 127.0.0.1:1;\n }", 1,
		'no "memcache_server" is defined for "memcache_session" in 1 of'],
	['life on a backup', "$server\nserver {\n listen 127.0.0.1:8082;\n"
		. " memcache_backup_ttl 9s;\n }", 4,
		'"memcache_backup_ttl" has no effect without "memcache_failover backup"'],
	['timeouts, of the default', "$server\nmemcache_connect_timeout 2s;", 2,
		'"memcache_connect_timeout" of 2000ms is longer than'],
);

# and what is not to be doubted
my @fine = ("$server memcache_timeout 100ms;",
	"$server memcache_connect_timeout 1s;",
	'memcache_server 127.0.0.1:1 weight=32767; memcache_server 127.0.0.1:2;',
	"$server memcache_backup_ttl 9s; server { listen 127.0.0.1:8080; }",
	"$server memcache_server 127.0.0.1:2 backup; memcache_failover backup; "
	. 'server { listen 127.0.0.1:8080; memcache_backup_ttl 9s; }',
	'memcache_hash ketama; memcache_server 127.0.0.1:1 weight=32768; '
	. 'memcache_server 127.0.0.1:2;');

$t->plan(@without + @with + @pairs + 2 * @doubts + @fine);

###############################################################################

for (@without) {
	my ($name, $lines, $line, $directive) = @$_;
	$directive //= 'memcache_kv';
	my $said = check($t, http => $lines);
	$line += first_line($t);
	like($said, qr/\[emerg\] no "memcache_server" is defined for "$directive" in \S*nginx\.conf:$line\n/,
		"R54 R39 without a server - $name");
}

for my $lines (@with) {
	my $name = $lines =~ s/\s+/ /gr;
	like(check($t, http => $lines), qr/test is successful/, "R54 $name");
}

for (@pairs) {
	my ($name, $lines, $line, $text) = @$_;
	my $said = check($t, http => $lines);
	$line += first_line($t);
	like($said, qr/\[emerg\] \Q$text\E.* in \S*nginx\.conf:$line\n/,
		"R54 the line to blame - $name");
}

for (@doubts) {
	my ($name, $lines, $line, $text) = @$_;
	my $said = check($t, http => $lines);
	$line += first_line($t);
	like($said, qr/\[warn\] \Q$text\E.* in \S*nginx\.conf:$line\n.*test is successful/s,
		"R54 doubt - $name");

	# blocks that share a client have one line
	$said = check($t, http => "$lines\nserver { listen 127.0.0.1:8080; }");
	is(scalar(() = $said =~ /\[warn\].*memcache/g), 1, "R54 doubt, said once - $name");
}

for my $lines (@fine) {
	my $name = $lines =~ s/\s+/ /gr;
	unlike(check($t, http => $lines), qr/\[warn\].*memcache|\[emerg\]/, "R54 fine - $name");
}

###############################################################################
