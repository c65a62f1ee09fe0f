#!/usr/bin/perl

# Tests for memcache module: what the configuration of backup servers may be.

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

# name, lines for the http block, text of the error
my @bad = (
	(map { ["C43 a backup that is not used, $_", "memcache_server 127.0.0.1:1;
		memcache_server 127.0.0.1:2 backup; memcache_failover $_;",
		'memcache server "127.0.0.1:2" is a "backup", which needs '
		. '"memcache_failover backup"'] } qw/ off next /),
	['C43 no backup', 'memcache_server 127.0.0.1:1; memcache_failover backup;',
		'"memcache_failover backup" needs a "memcache_server" that is a '
		. '"backup"'],
	['C43 backups alone', 'memcache_server 127.0.0.1:1 backup;
		memcache_failover backup;', 'all memcache servers of the list are '
		. '"backup"'],
	['backup with a value', 'memcache_server 127.0.0.1 backup=1;',
		'invalid parameter "backup=1"'],
	['backup twice', 'memcache_server 127.0.0.1 backup backup;',
		'duplicate parameter "backup"'],
	(map { ["memcache_backup_ttl $_", "memcache_backup_ttl $_;",
		qq/"memcache_backup_ttl" directive invalid value "$_", /
		. 'it must be a time in whole seconds from 1s to 30d'] }
		qw/ 0 1500ms 31d -1 x 1.5s /),
);

# lines for the http block
my @good = (
	(map { "$server memcache_server 127.0.0.1:2 backup $_;
		memcache_failover backup;" } 'weight=7', 'max=1',
		map { "; memcache_backup_ttl $_" } qw/ 1 10s 1m 30d /),
);

$t->plan(@bad + @good);

###############################################################################

for (@bad) {
	my ($name, $lines, $text) = @$_;
	like(check($t, http => $lines),
		qr/\[emerg\] .*\Q$text\E.* in \S*nginx\.conf:\d+/, $name);
}

for my $lines (@good) {
	my $name = $lines =~ s/\s+/ /gr;
	like(check($t, http => $lines), qr/test is successful/, $name);
}

###############################################################################
