#!/usr/bin/perl

# Tests for memcache module: where memcache_control may be, and who is warned.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http rewrite/)->plan(17);

my $good = "memcache_zone z:4m; memcache_server 127.0.0.1:1;";
my $place = "allow 127.0.0.1; deny all;";
for (
	[qr/is successful/, "location /c { memcache_control; $place }"],
	[qr/is successful/, "location /c/ { memcache_control; auth_basic x; }"],
	[qr/is successful/, "$place location ^~ /c { memcache_control; }"],
	[qr/\[warn\] everybody may change servers by "memcache_control".*conf:\d+\n/,
		'location /c { memcache_control; }'],
	[qr/\[emerg\] "memcache_control" must be in a location that is named by/,
		"location ~ /c { memcache_control; $place }"],
	[qr/\[emerg\] "memcache_control" must be in a location/,
		"location = /c { memcache_control; $place }"],
	[qr/\[emerg\] "memcache_control" must be in a location/,
		"location \@c { memcache_control; $place }"],
	[qr/\[emerg\] "memcache_control" directive is not allowed here/,
		'memcache_control;'],
	[qr/\[emerg\] "memcache_control" directive is not allowed here/,
		"location /c { $place if (\$args) { memcache_control; } }"],
	[qr/\[emerg\] .*"memcache_control" is in a location that another/,
		"location /c { $place memcache_status; memcache_control; }"],
	[qr/\[emerg\] .*"memcache_control" is in a location that another/,
		"location /c { $place memcache_control; memcache_control; }"],
) {
	my ($expected, $lines) = @$_;
	my $said = check($t, $good, "server { listen 127.0.0.1:8080; $lines }");
	like($said, $expected, $lines);
	unlike($said, qr/\[warn\]/, "$lines - no warning")
		if $expected eq qr/is successful/;
}
like(check($t, 'memcache_server 127.0.0.1:1;',
	"server { location /c { memcache_control; $place } }"),
	qr/\[emerg\] no "memcache_zone" is defined for "memcache_control" in .*:\d+/,
	'no zone');
like(check($t, 'memcache_zone z:4m;',
	"server { location /c { memcache_control; $place } }"),
	qr/\[emerg\] no "memcache_server" is defined for "memcache_control" in .*:\d+/,
	'no server');
like(check($t, $good, "server { location /c { memcache_control; $place } }",
	'master_process off;'),
	qr/\[emerg\] "memcache_control" cannot be used with "master_process off" in .*:\d+/,
	'no master');

###############################################################################

# What nginx -t says to lines of the http block.
sub check {
	my ($t, $http, $server, $main) = @_;
	$main //= '';
	return check_config($t, <<"EOT");
%%TEST_GLOBALS%%
%%MEMCACHE_GLOBALS%%
$main
events {
}
http {
    %%TEST_GLOBALS_HTTP%%
    $http
    $server
}
EOT
}

###############################################################################
