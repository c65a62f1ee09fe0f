#!/usr/bin/perl

# Tests for memcache module: what the configuration accepts and refuses of TLS.
# Names of tests that begin with a C and a number are rows of the matrix of
# bad configurations.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Conf;
use Test::Nginx::Memcache;
use Test::Nginx::Lines;
use Test::Certificates;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('openssl');

my $d = $t->testdir();
my $ca = Test::Certificates->authority($d);
$ca->sign('one');
$ca->sign('two');

my $server = 'memcache_server 127.0.0.1:11211;';
my $use = 'server { listen 127.0.0.1:8080; }';
my $own = "memcache_ssl_certificate $d/one.pem;";
my $locked = "memcache_ssl_certificate $d/one.pem; "
	. "memcache_ssl_certificate_key $d/locked.key;";

$ca->lock('one', 'locked', 'the password');
spew("$d/$_->[0]", $_->[1]) for ['right', "the password\n"],
	['several', "another\r\n\r\nthe password\n"], ['wrong', "another\n"],
	['empty', ''], ['lines', "\r\n\n"];

# name; lines for the http block; text of the error
my @bad = (
	(map { ["C1 $_", "$_;",
		"invalid number of arguments in \"$_\" directive"] }
		map { "memcache_ssl$_" } '', qw/ _verify _verify_depth _crl
		_trusted_certificate _name _server_name _protocols _ciphers
		_certificate _certificate_key _session_reuse _password_file
		_conf_command /),
	['C1 one of two', 'memcache_ssl_conf_command Options;', 'invalid number '
		. 'of arguments in "memcache_ssl_conf_command" directive'],
	(map { ["C27 $_", "$_; $_;",
		'"' . (split)[0] . '" directive is duplicate'] }
		map { "memcache_ssl$_" } ' on', '_verify on', '_verify_depth 1',
		'_crl a', '_trusted_certificate a', '_name a', '_server_name on',
		'_protocols TLSv1.2', '_ciphers HIGH', '_certificate a',
		'_certificate_key a', '_session_reuse on', '_password_file a'),
	(map { ["C29 $_", "$_ maybe;", "invalid value \"maybe\" in \"$_\" "
		. 'directive, it must be "on" or "off"'] }
		qw/ memcache_ssl memcache_ssl_verify memcache_ssl_server_name
		memcache_ssl_session_reuse /),
	['C28 depth', 'memcache_ssl_verify_depth 101;',
		'"memcache_ssl_verify_depth" value must be between 0 and 100'],
	['C30 protocol', 'memcache_ssl_protocols TLSv1.2 SSLv2;',
		'invalid value "SSLv2" in "memcache_ssl_protocols" directive, it '
		. 'must be "TLSv1", "TLSv1.1", "TLSv1.2" or "TLSv1.3"'],
	(map { ["C34 $_", "$_ \$host;",
		"variables are not supported in \"$_\""] }
		map { "memcache_ssl_$_" } qw/ trusted_certificate crl name ciphers
		certificate certificate_key password_file /),
	['C34 command', 'memcache_ssl_conf_command Options $host;',
		'variables are not supported in "memcache_ssl_conf_command"'],
	['C37 no key', "$own memcache_ssl on; $server $use",
		"no \"memcache_ssl_certificate_key\" is defined for certificate "
		. "\"$d/one.pem\""],
	['C38 a socket has no name', 'memcache_ssl on; '
		. "memcache_server unix:/a; $use", 'memcache server "unix:/a" has no '
		. 'name for its certificate: "memcache_ssl_name" has to say it, or '
		. '"memcache_ssl_verify" has to be off'],
);

# The same of what nginx or OpenSSL has read, whose error has no line.
my @files = (
	['C37 no such authorities', 'memcache_ssl_trusted_certificate none.pem;',
		qr/cannot load certificate "\S+none\.pem"|SSL_CTX_load_verify_loc/],
	['C37 no such certificate', 'memcache_ssl_certificate none.pem; '
		. "memcache_ssl_certificate_key $d/one.key;",
		qr/cannot load certificate "\S+none\.pem": .*No such file/],
	['C37 no such key', "$own memcache_ssl_certificate_key none.key;",
		qr/cannot load certificate key "\S+none\.key": .*No such file/],
	['C37 the key of another', "$own memcache_ssl_certificate_key $d/two.key;",
		qr/SSL_CTX_use_PrivateKey\("\S+two\.key"\) failed .*mismatch/],
	['C37 no such list of what is revoked', 'memcache_ssl_crl none.pem;',
		qr/none\.pem".* failed .*No such file/],
	['C37 no such passwords', "$locked memcache_ssl_password_file none;",
		qr/open\(\) "\S+none" failed .*No such file/],
	['C37 another password', "$locked memcache_ssl_password_file $d/wrong;",
		qr/cannot load certificate key "\S+locked\.key": .*bad decrypt/],
	(map { ["C37 no password in $_",
		"$locked memcache_ssl_password_file $d/$_;",
		qr/cannot load certificate key "\S+locked\.key": .*empty password/] }
		qw/ empty lines /),
	['C37 a folder of passwords', "$locked memcache_ssl_password_file $d;",
		qr/read\(\) "\S+" failed .*Is a directory/],
	['C37 unknown command', 'memcache_ssl_conf_command Nothing on;',
		qr/SSL_CONF_cmd\("Nothing", "on"\) failed .*unknown cmd name/],
	['C37 bad value of a command', 'memcache_ssl_conf_command Curves none;',
		qr/SSL_CONF_cmd\("Curves", "none"\) failed/],
	['C37 no file of a command',
		'memcache_ssl_conf_command VerifyCAFile none.pem;',
		qr/SSL_CONF_cmd\("VerifyCAFile", "\S+none.pem"\) failed/],
	['C37 no engine', 'memcache_ssl_certificate_key engine:none:key; '
		. "$own", qr/"engine:none(?::key)?": ENGINE_by_id\(\) failed .*no such engine/],
	['C37 no ciphers', 'memcache_ssl_ciphers NOTHING;',
		qr/SSL_CTX_set_cipher_list\("NOTHING"\) failed/],
);

my @good = (
	'memcache_ssl on;', 'memcache_ssl off;', 'memcache_ssl_verify_depth 0;',
	"memcache_ssl on; memcache_ssl_trusted_certificate $d/ca.pem;",
	'memcache_ssl on; memcache_ssl_trusted_certificate "";',
	'memcache_ssl on; memcache_ssl_verify off; memcache_server unix:/a;',
	'memcache_ssl on; memcache_ssl_name a; memcache_server unix:/a;',
	"memcache_ssl on; $own memcache_ssl_certificate_key $d/one.key;",
	'memcache_ssl on; memcache_ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;',
	"$locked memcache_ssl on; memcache_ssl_password_file $d/right;",
	"$locked memcache_ssl on; memcache_ssl_password_file $d/several;",
	"memcache_ssl on; memcache_ssl_password_file '';",
	'memcache_ssl on; memcache_ssl_conf_command Options -SessionTicket; '
		. 'memcache_ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;',
	# what is not used may be anywhere
	'memcache_ssl_password_file none; memcache_ssl_conf_command No no;',
	'memcache_ssl_trusted_certificate none.pem;',
);

# What has no effect in any block; undef: all may have one.
my $idle = '"memcache_ssl_verify" has no effect without "memcache_ssl on"';
my $lines = "memcache_ssl_verify off;\nmemcache_ssl_name a;";
my @idle = (
	['in a server', "$server server { $lines }", $idle],
	['turned off', "memcache_ssl on; $server server { memcache_ssl off;\n"
		. "$lines }", $idle],
	['in a cluster', "memcache_cluster a { $server $lines }", $idle],
	['on', "$server server { $lines memcache_ssl on; }", undef],
	['on outside', "memcache_ssl on; $server server { $lines }", undef],
	['in http, and on nowhere', "$lines $server server { }", $idle],
	['in http and in a server', "$lines $server server {\n"
		. 'memcache_ssl_name b; }',
		'"memcache_ssl_name" has no effect without "memcache_ssl on"', $idle],
	['a key alone', "memcache_ssl on; memcache_ssl_certificate_key a;\n"
		. "$server server { }", '"memcache_ssl_certificate_key" has no effect '
		. 'without "memcache_ssl_certificate"'],
	['on in one of the servers', "$lines $server server { memcache_ssl on; } "
		. 'server { listen 127.0.0.1:8081; memcache_ssl off; }', undef],
	['on outside of a cluster',
		"memcache_ssl on; memcache_cluster a { $server $lines }", undef],
);

my $preload = "$d/no_ssl.so";
my $can_preload = !$ENV{VALGRIND_NGINX}
	&& ($ENV{TEST_NGINX_SIBLING_CFLAGS} // '') !~ /sanitize/
	&& system("gcc -fPIC -shared -o $preload preload/no_ssl.c -ldl 2>$d/gcc")
		== 0;

$t->plan(@bad + @files + 2 * 14 + @good + 2 * @idle + 4);

###############################################################################

for (@bad) {
	my ($name, $lines, $text) = @$_;
	like(check($t, http => $lines),
		qr/\[emerg\] .*\Q$text\E.* in \S*nginx\.conf:\d+/, $name);
}

for (@files) {
	my ($name, $lines, $text) = @$_;
	like(check($t, http => "memcache_ssl on; $lines $server $use"),
		qr/\[emerg\] .*$text.*test failed/s, $name);
}

for my $name (map { "memcache_ssl$_" } '', qw/ _verify _verify_depth _crl
	_trusted_certificate _name _server_name _protocols _ciphers _certificate
	_certificate_key _session_reuse _password_file _conf_command /)
{
	my $value = $name =~ /command/ ? 'a b' : 'a';
	like(check($t, $_ => "$name $value;"),
		qr/\[emerg\] "$name" directive is not allowed here in /,
		"C3 $name in $_") for qw/ main location /;
}

for my $lines (@good) {
	like(check($t, http => "$lines $server $use"), qr/test is successful/,
		$lines);
}

for (@idle) {
	my ($name, $lines, @text) = @$_;
	my $said = check($t, http => $lines);
	like($said, qr/test is successful/, "no effect - $name");
	my @warned = $said =~ /\[warn\] (.* has no effect .*) in \S+:\d+$/mg;
	is_deeply(\@warned, [grep { defined } @text], "no effect - $name - said once");
}

# nginx without SSL

like(`nm -D --undefined-only @{[
	Test::Nginx::Conf::modules() ]}/ngx_http_memcache_module.so`,
	qr/^(?!.*\b(?:ngx_ssl_|SSL_|X509_)).*\bngx_/s,
	'the module needs none of its functions to be loaded');

SKIP: {
	skip 'no preload', 3 unless $can_preload;
	local $ENV{LD_PRELOAD} = $preload;

	like(check($t, http => "memcache_ssl on; $server $use"),
		qr/"memcache_ssl on" is not supported: there is no ngx_ssl_create\(\) /,
		'refused');
	like(check($t, http => "memcache_ssl off; $server $use"),
		qr/test is successful/, 'off');
	like(check($t, http => "$server $use"), qr/test is successful/, 'not said');
}

###############################################################################

sub spew {
	my ($file, $text) = @_;
	open my $f, '>', $file or die "Can't write: $!\n";
	print $f $text;
	close $f or die "Can't write: $!\n";
}

###############################################################################
