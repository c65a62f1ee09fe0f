#!/usr/bin/perl

# Tests for memcache module: responses of siblings in Rust.  Nothing that a
# handler passes on begins another header, or a body (R20).

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

my @actions = qw/ value type type_header location added added_name name empty
	length chunked /;
my @statuses = (0, 99, 100, 101, 199, 200, 404, 599, 600, 1000, 12345,
	18446744073709551615);

my $t = Test::Nginx->new()->has(qw/http/)->plan(29 + @statuses);

my $locations = join "\n", map { "location = /$_ { test_content response_$_; }" }
	@actions, map { "status_$_" } @statuses;

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' =~ s/<locations>/$locations/r, 'test'));

    # nobody is asked
    memcache_server 127.0.0.1:8081;
    default_type text/html;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        <locations>
    }

EOF

$t->run();

###############################################################################

# control characters are left out, through every door

my $text = 'aX-Bad: bbody';

for (['value', 200, 'X-Value'], ['type', 200, 'Content-Type'],
	['type_header', 200, 'Content-Type'], ['location', 302, 'Location'],
	['added', 200, 'X-Added'])
{
	my ($action, $code, $name) = @$_;
	my $r = http_get("/$action");

	is(code($r), $code, "R20 $action");
	is(join('|', $r =~ /^$name: (.*?)\x0d$/mg), $text, "R20 $action - once");
	is(header($r, 'X-Bad'), undef, "R20 $action - no header of its own");
}
is(content(http_get('/type')), '200 page', 'R20 type - body');

# what can be no header is an error of the handler's, and says so

for (['name', '"X-Bad: b\\\\r\\\\nX" is no name of a header'],
	['added_name', '"X-Bad: b\\\\r\\\\nX" is no name of a header'],
	['empty', '"" is no name of a header'],
	['length', 'the header "Content-Length" is nginx\'s'],
	['chunked', 'the header "transfer-encoding" is nginx\'s'])
{
	my ($action, $said) = @$_;
	my $r = http_get("/$action");

	is(code($r) . (header($r, 'X-Bad') // ''), 500, "R20 $action");
	like($t->read_file('error.log'), qr/\[error\] .*memcache: $said, client/,
		"R20 $action - logged");
}
is(scalar(() = http_get('/length') =~ /^Content-Length/mig), 1,
	'R20 length - once');
is(header(http_get('/chunked'), 'Transfer-Encoding'), undef,
	'R20 chunked - not at all');

# nor is a number a status because somebody says so

for my $status (@statuses) {
	is(code(http_get("/status_$status")), $status >= 200 && $status < 600
		? $status : 500, "R20 status $status");
}
like($t->read_file('error.log'), qr/12345 is no status of a response/,
	'R20 status - logged');

###############################################################################
