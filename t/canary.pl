#!/usr/bin/perl

# A test that has to fail, which is why it is none of t/*.t: memory is used
# after its end, in nginx, in the module or in a sibling in C, or leaks, as
# CANARY says, and the sanitizer reports it in the error log.  build/asan.sh runs
# it and reads what it prints; build/valgrind.sh reads what valgrind has written.

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

# what the report has to name as the place: one of the first frames, as Rust's
# own functions are inlined
my %frames = (
	nginx => qr/#0 .* in ngx_hash_key /,
	module => qr/#[0-4] .*\bsrc\/abi\/sized\.rs/,
	sibling => qr/#0 .* in in_sibling /,
	# the sibling is not loaded any more by then
	leak => qr/#1 .* in ngx_alloc /,
);
my $place = $ENV{CANARY} // '';
my $frame = $frames{$place} or die "CANARY is none of "
	. join(', ', sort keys %frames) . "\n";

my $t = Test::Nginx->new()->has(qw/http/);

compile_sibling($t, 'canary') or die "no compiler, or no headers of nginx\n";

$t->plan(1)->write_file_expand('nginx.conf', conf(<<"EOF"));

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%

load_module %%TESTDIR%%/canary.so;

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location / {
            canary $place;
        }
    }
}

EOF

$t->run();

is(code(http_get('/')), $place eq 'leak' || $ENV{VALGRIND_NGINX}
	? 204 : 'no answer', 'request');
exit if $ENV{VALGRIND_NGINX};

# what is lost is found when the worker exits
$t->stop() if $place eq 'leak';

my $report = wait_for(sub { $t->read_file('error.log')
	=~ /(ERROR: \w+Sanitizer: .*?^SUMMARY: \w+)/ms && $1 }) // '';
my ($what) = $report =~ /Sanitizer: (\S+)/;
my ($stack) = $report =~ /^(\s*#0 .*?)\n\n/ms;

diag("canary in $place: $what") if ($stack // '') =~ $frame;

###############################################################################
