#!/usr/bin/perl

# Tests for memcache module: the commands that README.md shows, as it shows them
# (R30).  "make run" and "make test" are run by "make clean-room" and by CI, the
# commands for the sibling in Rust by api/tests/readme.sh.

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

my $root = "$FindBin::Bin/..";
my $source = $ENV{NGINX_SOURCE_DIR} // '/usr/share/nginx/src';
my $objs = $ENV{NGINX_BUILD_DIR} // "$root/target/nginx/debian";
my $debian = $source eq '/usr/share/nginx/src';

# This run of make is not the reader's.
delete @ENV{qw/ MAKEFLAGS MAKELEVEL MFLAGS MAKEOVERRIDES /};

plan(skip_all => 'it builds, and no sanitizer looks at that')
	if $ENV{TEST_NGINX_SIBLING_CFLAGS} || $ENV{VALGRIND_NGINX};
plan(skip_all => 'no make, or no headers of nginx')
	if !-e "$objs/Makefile" || system('make --version >/dev/null') != 0;
plan(skip_all => 'headers of a package that is not installed')
	if !$debian && !-e "$source/conf";

my $readme = content_of("$root/README.md");
my %blocks = map { $_ // '(no name)' }
	$readme =~ /^(?:<!-- ([^\n]*) -->\n)?```sh\n(.*?)^```$/gms;
my @texts = ($readme, map { content_of("$root/$_") }
	qw! SECURITY.md t/README.md bench/README.md !);
my %targets = map { ($_ => 1) } `make -C $root help` =~ /^  ([a-z-]+) /gm;
my @inline = map { /`(make [^`]*)`/g } @texts;

my $t = Test::Nginx->new()->has(qw/http/)->plan(10);
my $d = $t->testdir();

###############################################################################

# What is run below, or said to be run elsewhere: a new block has to be, too.
is(join(', ', sort keys %blocks),
	'build for another nginx, build the page,'
	. ' build the page for another nginx, build the sibling,'
	. ' file: page/config, see it run', 'R30 - every block of commands');

cmp_ok(@inline, '>', 5, 'commands within the text');
is(join(', ', grep { !/^make ([a-z-]+)/ || !$targets{$1} } @inline), '',
	'R30 - they name targets');
is(dry("make -n $_"), 0, "make $_ - what it would do")
	for $blocks{'see it run'} =~ /^make (\w+)/gm;

###############################################################################

# the sibling in C

mkdir "$d/page" or die "Can't create $d/page: $!";
symlink $root, "$d/ngx-memcache" or die "Can't link $root: $!";
for my $file (qw! page/config page/ngx_http_page_module.c !) {
	my ($text) = $readme =~ /^<!-- file: \Q$file\E -->\n```\w+\n(.*?)^```$/ms;
	$t->write_file($file, $text // die "README.md has no $file\n");
}

my ($made, $commands) = ("$d/page/objs", $blocks{'build the page'});

if (!$debian) {
	# a copy, as make compiles where the source is
	mkdir "$d/nginx" or die "Can't create $d/nginx: $!";
	system("cp -r $source/auto $source/src $source/conf $d/nginx") == 0
		or die "Can't copy $source\n";
	# what the tarball of nginx has
	$t->write_file('nginx/configure', "exec bash ./auto/configure \"\$@\"\n");
	chmod 0755, "$d/nginx/configure";
	$made = "$d/nginx/objs";
	$commands = "cd nginx\n" . with_options_of_the_binary(
		$blocks{'build the page for another nginx'});
}

is(run($t, $d, $commands), 0, 'R30 - sibling in C - built');
ok(-e "$made/ngx_http_page_module.so", 'sibling in C - is there');

like(check_config($t, <<"EOF"), qr/test is successful/, 'sibling in C - loaded');

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%
load_module $made/ngx_http_page_module.so;

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / { page; }
    }
}

EOF

###############################################################################

# the modules for an nginx of one's own: with the paths of the one that is here

$commands = $blocks{'build for another nginx'};
$commands =~ s!(?<=NGINX_SOURCE_DIR=)\S+!$source!;
$commands =~ s!(?<=NGINX_BUILD_DIR=)\S+!$objs!;
$ENV{MODULES_DIR} = "$d/modules";

is(run($t, $root, $commands), 0, 'R30 - modules - built');
is(join(' ', sort map { s!.*/ngx_http_(\w+)_module\.so!$1!r } glob("$d/modules/*")),
	'memcache memcache_kv memcache_rate_limit memcache_session'
	. ' memcache_tokio_bridge', 'modules - are there');

###############################################################################

# Runs commands in a folder as the reader does; shows what they said if they
# fail.
sub run {
	my ($t, $dir, $commands) = @_;

	$t->write_file('commands', $commands);
	my $status = system("cd '$dir' && bash -eu '" . $t->testdir()
		. "/commands' >'" . $t->testdir() . "/said' 2>&1 </dev/null");
	diag($t->read_file('said')) if $status;
	return $status;
}

sub dry {
	my ($command) = @_;
	return system("cd '$root' && $command >/dev/null </dev/null");
}

# As README.md says.
sub with_options_of_the_binary {
	my ($commands) = @_;
	my ($options) = `$Test::Nginx::NGINX -V 2>&1` =~ /^configure arguments: (.*)/m;

	# those of our own builds that are not for a module
	$options =~ s/--(?:prefix|builddir)=\S+//g;
	return $commands =~ s/(?<=^.\/configure )/$options /mr;
}

sub content_of {
	my ($file) = @_;

	open my $f, '<', $file or die "Can't open $file: $!";
	local $/;
	return <$f>;
}

###############################################################################
