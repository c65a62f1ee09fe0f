#!/usr/bin/perl

# Tests for memcache module: the file of memcache_auth_file.  Names of tests that
# begin with a C and a number are rows of the matrix of bad configurations.

###############################################################################

use warnings;
use strict;

use Test::More;

use POSIX qw/ mkfifo /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Conf;
use Test::Nginx::Memcache;
use Test::Nginx::Lines;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

# A password that no text of an error has in it.
use constant SECRET => 'qE7zWu2pXv9';

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');
my $d = $t->testdir();
my $name = 'memcache_auth_file';
my $use = 'memcache_server 127.0.0.1:11211; '
	. 'server { listen 127.0.0.1:8080; }';

# 255 bytes are as many as memcached takes
my $longest = 'me:' . SECRET . 'x' x (255 - 3 - length SECRET);

my $form = 'it must be "user:password"';
my $characters = 'user and password must have no spaces, NUL bytes and line ends';
my $lines = 'it has more than one line';

# name; text of the file; why it is refused
my @wrong = (
	['empty', '', 'it is empty'],
	['an empty line', "\n", 'it is empty'],
	['no colon', SECRET, $form],
	['no user', ':' . SECRET, $form],
	['no password', "me:\n", $form],
	['a space in the password', 'me:' . SECRET . " x\n", $characters],
	['a space in the user', 'm e:' . SECRET . "\n", $characters],
	['as it is sent', 'me ' . SECRET . "\n", $characters],
	['a zero', 'me:' . SECRET . "\0x\n", $characters],
	['a CR', 'me:' . SECRET . "\rx\n", $characters],
	['two lines', 'me:' . SECRET . "\nyou:" . SECRET . "\n", $lines],
	['an empty line behind it', 'me:' . SECRET . "\n\n", $lines],
	['an empty line before it', "\nme:" . SECRET . "\n", $lines],
	['a long line', $longest . "x\n",
		'user and password are longer than 254 bytes together'],
	['a long file', 'me:' . SECRET x 100_000,
		'user and password are longer than 254 bytes together'],
	['many lines', join("\n", ('me:' . SECRET) x 10_000), $lines],
);

my @good = ($longest, 'me:' . SECRET, 'me:' . SECRET . "\n",
	'me:' . SECRET . "\r\n", "me:\xc3\xa4:\t" . SECRET, 'm:x');

# as memcached reads it, of every version
my @versions = (Test::Memcached->usable(1), Test::Memcached->usable());
my %sent = ('the longest' => $longest, 'a colon' => 'me:a:b',
	'a tab and bytes above 127' => "m\t\xc3\xa4e:\t" . SECRET);
my @sent = sort keys %sent;

$t->plan(@wrong + @good + @versions * @sent + 16);

###############################################################################

for (@wrong) {
	my ($what, $text, $why) = @$_;
	file('f', $text);
	my $said = check($t, http => "$name f; $use");
	is_deeply([$said =~ qr/\[emerg\] .*\Qinvalid credentials in "$d\/f": $why\E
		\ in\ \S*nginx\.conf:\d+/x ? 'refused' : $said,
		index($said, SECRET)], ['refused', -1], "C35 $what");
}

like(check($t, http => "$name none; $use"), qr/\[emerg\] .*open\(\)
	\ "\Q$d\E\/none"\ failed\ \(2:\ No\ such\ file\ or\ directory\)
	\ in\ \S*nginx\.conf:\d+/x, 'C35 no such file');
mkdir "$d/folder";
like(check($t, http => "$name folder; $use"),
	qr/\[emerg\] .*"\Q$d\E\/folder" is not a regular file in \S*:\d+/,
	'C35 a folder');
mkfifo("$d/fifo", 0600);
like(check($t, http => "$name fifo; $use"),
	qr/\[emerg\] .*"\Q$d\E\/fifo" is not a regular file in \S*:\d+/,
	'C35 a pipe that nobody writes to');

symlink 'loop', "$d/loop";
like(check($t, http => "$name loop; $use"),
	qr/open\(\) "\S+loop" failed \(40: Too many levels/, 'C35 may not be read');

for my $mode (0644, 0604, 0602) {
	file('f', $longest, $mode);
	like(check($t, http => "$name f; $use"), qr/\[warn\] .*"\Q$d\E\/f"\ is
		\ accessible\ by\ others\ in\ \S*nginx\.conf:\d+.*successful/sx,
		sprintf 'C36 mode %o', $mode);
}

file('f', $longest, 0640);
unlike(check($t, http => "$name f; $use"), qr/by others/, 'C36 mode 640');

for my $n (0 .. $#good) {
	file('f', $good[$n]);
	like(check($t, http => "$name f; $use"), qr/syntax is ok.*successful/s,
		"good file $n");
}

like(check($t, http => "$name $d/f; $use"), qr/successful/, 'an absolute path');
like(check($t, http => "$name f; $name f;"),
	qr/\[emerg\] "$name" directive is duplicate in /, 'C27 twice');
like(check($t, http => "$name;"),
	qr/invalid number of arguments in "$name" directive/, 'C1 no argument');
like(check($t, http => "$name \$host;"),
	qr/variables are not supported in "$name"/, 'C34 variables');
like(check($t, $_ => "$name f;"), qr/"$name" directive is not allowed here/,
	"C3 $_") for qw/ main location /;
like(check($t, http => "$name \"\"; $use"), qr/successful/, 'no file');
like(check($t, http => "server { $name none; listen 127.0.0.1:8081; } $use"),
	qr/\[emerg\] .*none" failed/, 'C35 in a server block');

###############################################################################

# What is accepted here is what memcached reads.

my $blocks = '';
for my $n (0 .. @versions * @sent - 1) {
	file("sent$n", "$sent{$sent[$n % @sent]}\n");
	$blocks .= <<"EOF";
    server {
        listen       127.0.0.1:@{[8020 + $n]};
        memcache_server 127.0.0.1:@{[8050 + $n]};
        memcache_auth_file sent$n;
        location /kv/ { memcache_kv on; }
    }
EOF
	$t->run_daemon(@{{Test::Memcached->versions()}->{$versions[$n / @sent]}},
		'-l', '127.0.0.1', '-p', port(8050 + $n), '-U', 0,
		$> == 0 ? ('-u', 'root') : (), '-t', 1, '-Y', "$d/sent$n");
}
$t->waitforsocket('127.0.0.1:' . port(8050 + $_))
	for 0 .. @versions * @sent - 1;

$t->write_file_expand('nginx.conf', http_conf(
	'memcache_timeout 5s; memcache_connect_timeout 5s;' . $blocks));
$t->run();

for my $n (0 .. @versions * @sent - 1) {
	is(code(kv_put('a', 1, PeerAddr => '127.0.0.1:' . port(8020 + $n))), 204,
		"memcached $versions[$n / @sent] - $sent[$n % @sent]");
}

###############################################################################

sub file {
	my ($name, $text, $mode) = @_;
	unlink "$d/$name";
	open my $f, '>:raw', "$d/$name" or die "Can't write $d/$name: $!\n";
	print $f $text;
	close $f;
	chmod $mode // 0600, "$d/$name";
}

###############################################################################
