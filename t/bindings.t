#!/usr/bin/perl

# Tests for memcache module: a module or a sibling that has something of nginx
# in another place than C is refused (R23).  What C has said is changed in copies
# of the modules; no nginx is there for which bindings are that wrong.

###############################################################################

use warnings;
use strict;

use Test::More;

use File::Copy qw/ copy /;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

plan(skip_all => 'no binutils')
	if system('nm --version >/dev/null 2>&1 && readelf --version >/dev/null') != 0;

my $t = Test::Nginx->new()->has(qw/http/)->plan(9);
my %file = map { ($_ => "ngx_http_${_}_module.so") } qw/ memcache memcache_kv /;

my $conf = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }
}

EOF

###############################################################################

like(refused($t), qr/test is successful/, 'copies');

for my $place (0, 1, 5) {
	my $name = (qw/ ngx_addr_t ngx_addr_t.sockaddr /)[$place] // 'ngx_\w+\.\w+';

	like(refused($t, memcache => $place), qr/\[emerg\] .*
		ngx_http_memcache_module:.*nginx-sys.*\ have\ $name\ in\ another/x,
		"R23 module, place $place");
	like(refused($t, memcache_kv => $place), qr/\[emerg\] .*
		"memcache_kv":.*\ have\ $name\ in\ another.*nginx\.conf:\d+/x,
		"R23 sibling, place $place");
}

my $said = refused($t, memcache => 0);
unlike($said, qr/test is successful/, 'R23 nginx does not start');
is(() = $said =~ /another place/g, 1, 'R23 a line');

###############################################################################

# What "nginx -t" says with a module that has a place of nginx wrong.
sub refused {
	my ($t, %wrong) = @_;
	my $d = $t->testdir();

	mkdir "$d/modules";
	for my $name (keys %file) {
		copy(modules() . "/$file{$name}", "$d/modules/$file{$name}")
			or die "Can't copy $name: $!";
		spoil("$d/modules/$file{$name}", $wrong{$name})
			if exists $wrong{$name};
	}

	local $ENV{TEST_NGINX_MEMCACHE_MODULES} = "$d/modules";
	return check_config($t, $conf);
}

sub modules { return Test::Nginx::Conf::modules() }

# Changes the number that C has for a place.
sub spoil {
	my ($file, $place) = @_;

	my ($at) = `nm $file` =~ /^(\w+) \w memcache_bits_places$/m
		or die "No places in $file\n";
	my $address = hex $at;
	my ($section) = grep { $_->[0] <= $address && $address < $_->[0] + $_->[2] }
		map { [map { hex } /\] \S+ +\S+ +(\w+) (\w+) (\w+)/] }
		grep { / PROGBITS / } `readelf -SW $file`;

	open my $f, '+<:raw', $file or die "Can't open $file: $!";
	seek $f, $address - $section->[0] + $section->[1] + 8 * $place, 0;
	read $f, my $number, 8;
	seek $f, -8, 1;
	print $f pack 'Q', unpack('Q', $number) + 8;
	close $f or die "Can't write $file: $!";
}

###############################################################################
