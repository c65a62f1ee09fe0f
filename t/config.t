#!/usr/bin/perl

# Tests for memcache module: what the configuration accepts and refuses.
# Names of tests that begin with a C and a number are rows of the matrix of
# bad configurations.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Select;
use IO::Socket::INET;

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
my $long = 'p' x 120;
my $many = join "\n", map { "memcache_server unix:/$_;" } 1 .. 16385;
my $some = join "\n", map { "memcache_server unix:/$_;" } 1 .. 10000;

# name, lines for the http block, text of the error
my @bad = (
	['C1 no argument', 'memcache_server;',
		'invalid number of arguments in "memcache_server" directive'],
	['C4 no semicolon', 'memcache_server a }', 'unexpected "}"'],
	['C4 a block', 'memcache_server a { }',
		'directive "memcache_server" is not terminated by ";"'],

	['C5 no host', 'memcache_server :11211;',
		'no host in memcache server ":11211"'],
	(map { ["C6 port $_", "memcache_server 10.0.0.1:$_;",
		qq/invalid port in memcache server "10.0.0.1:$_"/] }
		qw/ 0 65536 -1 1-5 /),
	['C7 empty', 'memcache_server "";', 'no host in memcache server ""'],
	['C7 bracket', 'memcache_server [::1;',
		'invalid host in memcache server "[::1"'],
	(map { ["C8 $_ without brackets", "memcache_server $_;",
		"an IPv6 address has to be in brackets, as \"[::1]:11211\", in "
		. "memcache server \"$_\""] } qw/ ::1 fe80::1:11211 /),
	['C8 IPv6', 'memcache_server [::g]:1;',
		'invalid IPv6 address in memcache server "[::g]:1"'],
	['C9 no path', 'memcache_server unix:;',
		'no path in the unix domain socket in memcache server "unix:"'],
	['C10 long path', "memcache_server unix:/$long;",
		'too long path in the unix domain socket in memcache server'],
	['C11 unknown name', 'memcache_server nowhere.invalid:1;',
		'host not found in memcache server "nowhere.invalid:1"'],
	['C12 URL', 'memcache_server http://127.0.0.1:1;',
		'invalid host in memcache server "http://127.0.0.1:1"'],
	['C12 path', 'memcache_server 127.0.0.1:1/path;',
		'invalid host in memcache server "127.0.0.1:1/path"'],
	['C13 twice', "$server $server",
		'duplicate memcache server "127.0.0.1:11211"'],
	['C13 twice, port left out', "$server memcache_server 127.0.0.1;",
		'duplicate memcache server "127.0.0.1'],
	['C13 twice, as a name', "$server memcache_server localhost;",
		'duplicate memcache server "localhost'],

	(map { ["C14 '$_'", qq/memcache_server 127.0.0.1 "$_";/,
		qq/invalid parameter "$_"/] }
		'foo=1', 'max', 'MAX=1', ' max = 1', '=', ''),
	(map { ["C15 $_", "memcache_server 127.0.0.1 $_;",
		qq/invalid parameter "$_"/] }
		qw/ max= max=x max=-1 max=1.5 max=0x10 max=1k max=+1 min=-1
		smax=x weight=1.5 /),
	(map { ["C16 $_", "memcache_server 127.0.0.1 $_;",
		qq/invalid parameter "$_"/] }
		qw/ max=99999999999999999999 min=65536 smax=4294967297 /),
	['C17 max=0', 'memcache_server 127.0.0.1 max=0;',
		'invalid parameter "max=0"'],
	['C18 min above max', 'memcache_server 127.0.0.1 min=5 max=3;',
		'"min" value 5 must not exceed "max" value 3 '
		. 'in memcache server "127.0.0.1'],
	['C19 min above smax', 'memcache_server 127.0.0.1 min=5 smax=3;',
		'"min" value 5 must not exceed "smax" value 3'],
	['C19 smax above max', 'memcache_server 127.0.0.1 smax=9 max=3;',
		'"smax" value 9 must not exceed "max" value 3'],
	(map { ["C21 $_", "memcache_server 127.0.0.1 $_;",
		'duplicate parameter "' . (split)[-1] . '"'] }
		'max=1 max=2', 'min=1 min=1', 'smax=1 smax=2', 'ttl=1 ttl=2',
		'weight=1 weight=2'),
	(map { ["C22 $_", "memcache_server 127.0.0.1 $_;",
		qq/invalid parameter "$_"/] }
		qw/ ttl=5q ttl= ttl=-1s ttl=1s1 ttl=1s1m ttl=5ms /),
	(map { ["C23 $_", "memcache_server 127.0.0.1 $_;",
		qq/invalid parameter "$_"/] } qw/ ttl=99999999999d ttl=366d /),
	(map { ["C33 $_", "memcache_server 127.0.0.1 $_;",
		qq/invalid parameter "$_"/] }
		qw/ weight=0 weight=-1 weight= weight=65536 /),
	['C32 too many', $many,
		'too many memcache servers, maximum is 16384'],

	(map { my $name = $_; map { ["C26 $name $_", "$name $_;",
		qq/"$name" directive invalid value "$_", it must be a /
		. 'time from 1ms to 24h'] } qw/ 5q 0 -1 99999999999d 25h / }
		qw/ memcache_timeout memcache_connect_timeout
		memcache_retry memcache_discover_interval /),
	(map { my $name = $_; map { ["C28 $name $_", "$name $_;",
		qq/"$name" directive invalid number "$_", it must be from /] }
		qw/ x -1 1k / }
		qw/ memcache_max_fails memcache_pipeline memcache_queue /),
	(map { my ($line, $limits) = @$_; ["C28 $line", "$line;",
		'"' . (split ' ', $line)[0] . "\" value must be between $limits"] }
		['memcache_max_fails 0', '1 and 65535'],
		['memcache_max_fails 65536', '1 and 65535'],
		['memcache_pipeline 0', '1 and 4096'],
		['memcache_pipeline 4097', '1 and 4096'],
		['memcache_queue 1048577', '0 and 1048576'],
		['memcache_queue 99999999999999999999', '0 and 1048576']),
	(map { ["C28 memcache_max_value $_", "memcache_max_value $_;",
		qq/"memcache_max_value" directive invalid value "$_", /
		. 'it must be a size from 1 to 1073741824'] }
		qw/ 99999999999999g x -1 0 /),
	(map { ["C27 $_", "$_; $_;",
		'"' . (split)[0] . '" directive is duplicate'] }
		'memcache_hash modulo', 'memcache_failover off', 'memcache_protocol auto',
		'memcache_backup_ttl 9s',
		'memcache_timeout 1s', 'memcache_connect_timeout 1s', 'memcache_max_fails 1',
		'memcache_retry 1s', 'memcache_discover_interval 1s', 'memcache_pipeline 1',
		'memcache_queue 1', 'memcache_max_value 1k',
		'memcache_coalesce on', 'memcache_prefix p',
		'memcache_hash_prefix on', 'memcache_hash_tag "{}"', 'memcache_hash_tag off',
		'memcache_long_keys hash'),
	['C29 coalesce', 'memcache_coalesce maybe;',
		'invalid value "maybe" in "memcache_coalesce" directive, '
		. 'it must be "on" or "off"'],
	['C30 R54 hash', 'memcache_hash ketma;',
		'invalid value "ketma" in "memcache_hash" directive, it must be '
		. '"modulo", "one_at_a_time", "consistent", "ketama" or "rendezvous"'],
	['C30 R54 failover', 'memcache_failover foo;',
		'invalid value "foo" in "memcache_failover" directive, '
		. 'it must be "off", "next" or "backup"'],
	['C30 R54 protocol', 'memcache_protocol binary;',
		'invalid value "binary" in "memcache_protocol" directive, '
		. 'it must be "auto", "meta" or "text"'],
	['R54 limit of a parameter', 'memcache_server 127.0.0.1 max=0;',
		'invalid parameter "max=0", it must be a number from 1 to 65535'],
	['R54 unknown parameter', 'memcache_server 127.0.0.1 mx=5;',
		'invalid parameter "mx=5", there are "min=", "smax=", "max=", '
		. '"ttl=", "weight=", "expand", "resolve", "discover" and "backup"'],
	['discover twice', 'memcache_server 127.0.0.1 discover discover;',
		'duplicate parameter "discover"'],
	['discover and expand', 'memcache_server localhost discover expand;',
		'"discover" cannot be combined with "expand" or "resolve"'],
	['discover of a name that is not there', 'memcache_server nowhere.invalid discover;',
		'host not found in memcache server "nowhere.invalid"'],
	['an endpoint, and the same as a server', 'memcache_server 127.0.0.1 discover; memcache_server 127.0.0.1:11211;',
		'duplicate memcache server "127.0.0.1:11211"'],
	['a server, and the same as an endpoint', 'memcache_server 127.0.0.1:11211; memcache_server 127.0.0.1 discover;',
		'duplicate memcache server "127.0.0.1:11211"'],
	['a name, and the same followed', 'resolver 127.0.0.1; memcache_server localhost; memcache_server localhost:11211 resolve;',
		'duplicate memcache server "localhost:11211"'],
	['an endpoint twice', 'memcache_server 127.0.0.1 discover; memcache_server 127.0.0.1:11211 discover;',
		'duplicate memcache server "127.0.0.1:11211"'],
	['too many endpoints', join(' ', map { "memcache_server 127.0.0.1:$_ discover;" } 1 .. 9),
		'too many configuration endpoints, maximum is 8'],
	(map { ["discover with $_", "memcache_hash $_; memcache_server 127.0.0.1 discover;
		server { listen 127.0.0.1:8080; }",
		'"discover" needs "memcache_hash" to be "consistent", "ketama" or "rendezvous"'] }
		'modulo', 'one_at_a_time'),
	['discover without a zone', 'memcache_hash ketama; memcache_server 127.0.0.1 discover;
		server { listen 127.0.0.1:8080; }',
		'"discover" needs "memcache_zone"'],
	['expand twice', 'memcache_server localhost expand expand;',
		'duplicate parameter "expand"'],
	(map { ["expand of an address $_", "memcache_server $_ expand;",
		qq/"expand" needs a name, not an address, in memcache server "$_"/] }
		'127.0.0.1', '127.0.0.1:1', '[::1]', '[::1]:1', 'unix:/tmp/m.sock'),
	['expand of a name that is not there', 'memcache_server nowhere.invalid expand;',
		'host not found in memcache server "nowhere.invalid"'],
	['expand of what is there', "$server memcache_server localhost expand;",
		'duplicate memcache server "127.0.0.1:11211", an address of "localhost:11211"'],
	['expand, and its address', "memcache_server localhost expand; $server",
		'duplicate memcache server "127.0.0.1:11211"'],
	(map { ["R54 relative path $_", "memcache_server $_;", 'the path of '
		. qq/the socket must begin with "\/" in memcache server "$_"/] }
		'unix:relative.sock', 'unix:./m.sock', 'unix:@abstract'),

	['C34 variable', 'memcache_server $host:1;',
		'variables are not supported in "memcache_server"'],
	['C34 line feed', qq/memcache_server "a\nb:1";/,
		'invalid host in memcache server "a\x0ab:1"'],
	['C34 carriage return', qq/memcache_server "a\rb:1";/,
		'invalid host in memcache server "a\x0db:1"'],
	['C34 space', 'memcache_server "a b:1";',
		'invalid host in memcache server "a b:1"'],
	['C34 quote', q/memcache_server 'a"b:1';/,
		'invalid host in memcache server "a"b:1"'],
	['C34 UTF-8', "memcache_server k\xc3\xbch.invalid:1;",
		'in memcache server "k'],
	['C34 line feed in a path', qq!memcache_server "unix:/a\nb";!,
		'in memcache server "unix:/a\x0ab"'],
	['prefix too long', 'memcache_prefix ' . 'p' x 250 . ';',
		'"memcache_prefix" must not be longer than 200 bytes'],
	['variable in a prefix', 'memcache_prefix $host;',
		'variables are not supported in "memcache_prefix"'],

	['C29 prefix in the hash', 'memcache_hash_prefix no;',
		'invalid value "no" in "memcache_hash_prefix" directive, '
		. 'it must be "on" or "off"'],
	(map { ["C30 hash tag $_", "memcache_hash_tag $_;", 'invalid value "'
		. s/"//gr . '" in "memcache_hash_tag" directive, it must be two '
		. 'characters such as "{}", or "off"'] }
		'""', '"{"', '"{}}"', 'on'),
	['C30 long keys', 'memcache_long_keys trim;',
		'invalid value "trim" in "memcache_long_keys" directive, it must be '
		. '"refuse" or "hash"'],
	(map { my ($prefix, $most) = @$_; ["C30 no room for a digest, $most",
		"memcache_long_keys hash; $server memcache_prefix \"$prefix\";
		server { }", '"memcache_long_keys hash" needs 65 bytes of a key: '
		. qq/"memcache_prefix" must not be longer than $most bytes with it/] }
		['p' x 186, 185], ['p' x 121 . ' ', 121]),

	['C30 status', "$server server { listen 127.0.0.1:8080;
		location / { memcache_status foo; } }",
		'invalid value "foo" in "memcache_status" directive, it must '
		. 'be "html", "json" or "prometheus"'],
	['weight with rendezvous', 'memcache_hash rendezvous;
		server { listen 127.0.0.1:8080;
		memcache_server 127.0.0.1:1 weight=2; }',
		'"weight" is not supported with "memcache_hash rendezvous"'],
	['C33 sum of weights', 'memcache_hash consistent;
		memcache_server 127.0.0.1:1 weight=16380;
		memcache_server 127.0.0.1:2 weight=5;',
		'"weight" adds up to 16385 with "memcache_hash consistent", '
		. 'maximum is 16384'],
	['C31 status without a server', 'server { listen 127.0.0.1:8080;
		location / { memcache_status; } }',
		'no "memcache_server" is defined for "memcache_status"'],
	['C27 status', "$server server { listen 127.0.0.1:8080;
		location / { memcache_status; memcache_status; } }",
		'"memcache_status" directive is duplicate'],
	(map { my ($one, $other) = @$_; ["two answers - $other", "$server
		server { location / { $one; $other; } }", '"'
		. (split ' ', $other)[0] . '" is in a location that another '
		. 'directive makes the answer of'] }
		['memcache_kv on', 'memcache_status'],
		['memcache_status', 'memcache_kv on'],
		['proxy_pass http://127.0.0.1:1', 'memcache_kv on'],
		['stub_status', 'memcache_status']),
	(map { ["zone $_", "memcache_zone $_;", "invalid zone size \"$_\""] }
		qw/ memcache memcache: memcache:x memcache:0 memcache:-1
		memcache:1q memcache:99999999999999999999g /),
	['zone without a name', 'memcache_zone :1m;',
		'invalid zone name ":1m"'],
	['C27 zone', 'memcache_zone a:1m; memcache_zone b:1m;',
		'"memcache_zone" directive is duplicate'],
	['zone of another', 'memcache_zone a:1m;
		proxy_cache_path cache keys_zone=a:1m;',
		'the shared memory zone "a" is already declared for a '
		. 'different use'],
	['zone too small', "memcache_zone a:1k; $server
		server { listen 127.0.0.1:8080; }",
		'zone "a" is too small: '],
	['C1 zone', 'memcache_zone;', 'invalid number of arguments in '
		. '"memcache_zone" directive'],
	['C29 kv', "$server server { listen 127.0.0.1:8080;
		location / { memcache_kv maybe; } }",
		'invalid value "maybe" in "memcache_kv" directive, '
		. 'it must be "on" or "off"'],
	['C27 kv', "$server server { listen 127.0.0.1:8080;
		location / { memcache_kv on; memcache_kv on; } }",
		'"memcache_kv" directive is duplicate'],
);

# what is out of place: directive, block
my @misplaced = (
	(map { ([$_, 'main'], [$_, 'location']) }
		'memcache_server a', 'memcache_hash modulo',
		'memcache_failover off', 'memcache_protocol text',
		'memcache_backup_ttl 9s',
		'memcache_timeout 1s', 'memcache_connect_timeout 1s',
		'memcache_max_fails 1', 'memcache_retry 1s',
		'memcache_pipeline 1', 'memcache_queue 1',
		'memcache_coalesce on', 'memcache_max_value 1k',
		'memcache_prefix p', 'memcache_hash_prefix on',
		'memcache_hash_tag "{}"', 'memcache_long_keys hash'),
	['memcache_status', 'main'], ['memcache_kv on', 'main'],
	(map { ['memcache_zone a:1m', $_] } qw/ main server location /),
);

# lines for the http block
my @good = (
	$server, 'memcache_server 127.0.0.1;', 'memcache_server localhost;',
	'memcache_server [::1];', 'memcache_server [::1]:11211;',
	'memcache_server unix:/nowhere/memcached.sock;',
	'memcache_server 127.0.0.1 min=2 smax=4 max=5 ttl=60 weight=7;',
	'memcache_server localhost expand min=2 weight=7;',
	(map { "memcache_server 127.0.0.1 $_;" } qw/ min=0 min=20 smax=0
		smax=12 max=1 max=65535 ttl=0 ttl=60 ttl=60s ttl=1h30m
		ttl=365d weight=1 weight=65535 /),
	"$server memcache_server 127.0.0.1:11212;",
	"$server memcache_server [::1]:11211;",
	'memcache_hash modulo;', 'memcache_failover off;',
	'memcache_failover next;', 'memcache_coalesce on;',
	(map { "memcache_protocol $_;" } qw/ auto meta text /),
	'memcache_coalesce off;',
	(map { "memcache_hash $_ memcache_server 127.0.0.1:2 weight=5;" }
		'consistent; memcache_server 127.0.0.1:1 weight=16379;',
		(map { "$_; memcache_server 127.0.0.1:1 weight=65535;" }
		qw/ modulo ketama /)),
	(map { ("$_ 1ms;", "$_ 5s;", "$_ 24h;") } qw/ memcache_timeout
		memcache_connect_timeout memcache_retry /),
	(map { ("$_ 1;", "$_ 1000;") } qw/ memcache_max_fails
		memcache_pipeline memcache_queue /), 'memcache_queue 0;',
	(map { "memcache_max_value $_;" } qw/ 1 100k 2m /),
	'memcache_prefix "";', 'memcache_prefix site:;',
	(map { "memcache_hash_tag \"$_\";" } '{}', '||', '##', 'off'),
	(map { "$server memcache_long_keys hash; memcache_prefix \"$_\";" }
		'p' x 185, 'p' x 120 . ' ', ''),
	'memcache_hash_prefix off;', 'memcache_long_keys refuse;',
	'memcache_zone memcache:1m;', 'memcache_zone memcache:1048576;',
	"$server server { listen 127.0.0.1:8080; $server }",
	"$server server { listen 127.0.0.1:8080;
		location / { memcache_status; } }",
	"$server server { listen 127.0.0.1:8080;
		location / { memcache_status json; } }",
	'server { listen 127.0.0.1:8080; location / { memcache_kv off; } }',
);

$t->plan(@bad + @misplaced + @good + 9);

###############################################################################

for (@bad) {
	my ($name, $lines, $text) = @$_;
	like(check($t, http => $lines),
		qr/\[emerg\] .*\Q$text\E.* in \S*nginx\.conf:\d+/, $name);
}

for (@misplaced) {
	my ($directive, $block) = @$_;
	my ($name) = split ' ', $directive;
	like(check($t, $block => "$directive;"),
		qr/\[emerg\] "$name" directive is not allowed here in /,
		"C3 $name in $block");
}

for my $lines (@good) {
	my $name = $lines =~ s/\s+/ /gr;
	like(check($t, http => $lines), qr/test is successful/, $name);
}

like(check($t, http => $some), qr/test is successful/, 'C42 10000 servers');

$t->write_file('servers.conf', "# a list\nmemcache_server a:0;\n");
like(check($t, http => 'include servers.conf;'),
	qr/invalid port in memcache server "a:0" in \S*servers\.conf:2/,
	'C42 line of an included file');

like(check_config($t, "events { memcache_server a"),
	qr/\[emerg\] unexpected end of file, expecting ";" or "}"/,
	'C4 end of file');
like(check_config($t, "daemon off; events { } http { $server }"),
	qr/\[emerg\] unknown directive "memcache_server"/, 'C2 not loaded');

# pools that a worker has not enough connections for

my $pools = 'memcache_server unix:/a; memcache_server unix:/b max=16;';
my $need = 'memcache pools need 24 connections, worker_connections is';

like(check($t, http => $pools, events => 'worker_connections 24;'),
	qr/\[emerg\] $need 24\n/, 'C20 not enough');
like(check($t, http => $pools, events => 'worker_connections 40;'),
	qr/\[warn\] $need 40: that is more than half.*test is successful/s, 'C20 hardly enough');
like(check_config($t, <<"EOF"), qr/\[warn\] $need 40: .*successful/s,
%%MEMCACHE_GLOBALS%%
pid %%TESTDIR%%/nginx.pid;
error_log %%TESTDIR%%/error.log error;
events { worker_connections 40; }
http { access_log off; $pools server { listen 127.0.0.1:8080; } }
EOF
	'C20 hardly enough, whatever is logged later');

# a configuration test connects to nobody

my $listen = IO::Socket::INET->new(Proto => 'tcp', Listen => 5, Reuse => 1,
	LocalAddr => '127.0.0.1:' . port(8082)) or die "Can't listen: $!";

like(check($t, http => 'memcache_server 127.0.0.1:8082 min=2;'),
	qr/test is successful/, 'min');
is(scalar IO::Select->new($listen)->can_read(0.2), undef, 'not connected');

###############################################################################
