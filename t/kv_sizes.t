#!/usr/bin/perl

# Tests for examples/kv: no request makes an item that is too large to be read,
# and what others have made so is an error, and no miss.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(45)
	->write_file_expand('nginx.conf', kv_conf(<<'EOF'));
memcache_max_value 10k;

    log_format ops '$request_method $status $memcache_ops $memcache_status';
    access_log %%TESTDIR%%/ops.log ops;

    # more than memcached takes, which is 1 MiB, all included
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 max=1;
        memcache_max_value 2m;

        location /kv/ {
            memcache_kv on;
        }
    }
EOF

my $m = Test::Memcached->start($t, port(8081));
my $small = Test::Memcached->start($t, port(8083));
my @small = (PeerAddr => '127.0.0.1:' . port(8082));

$t->run();

my $why = 'the item would be larger than memcache_max_value: nothing was done';

###############################################################################

for my $verb (qw/ append prepend /) {
	$m->set('k', 'v' x 6000, 7, 1000);
	my $tag = header(kv_get('k'), 'ETag');

	is(content(kv_post('k', $verb, value => 'x' x 5000)), "413 $why\n",
		"$verb - too large");
	is(header(kv_get('k'), 'ETag'), $tag, "$verb - as it was");
	is(code(kv_post('k', $verb, value => 'x' x 4240)), 204,
		"$verb - as large as may be");
	is(length http_content(kv_get('k')), 10240, "$verb - it can be read");
	is(content(kv_post('k', $verb, value => 'x')), "413 $why\n",
		"$verb - one byte more");
	is(code(kv_post('k', $verb, value => '')), 204, "$verb - none more");

	# many at a time come no further
	$m->set('k', 'v' x 10200);
	my @codes = map { code($_) } http_many(map { ['POST', 'k',
		args => $verb, value => 'xxxx'] } 1 .. 20);
	is(join(' ', sort @codes), join(' ', (204) x 10, (413) x 10),
		"$verb - many, as many as fit");
	is(length http_content(kv_get('k')), 10240,
		"$verb - many, it can be read");

	# what is too large for memcached
	kv_put('k', 'v' x 600_000, @small);
	$tag = header(kv_get('k', @small), 'ETag');
	is(content(kv_post('k', $verb, value => 'x' x 600_000, @small)), '413 memcached'
		. " does not take the longer item: nothing was done\n",
		"$verb - too large for memcached");
	is(header(kv_get('k', @small), 'ETag'), $tag,
		"$verb - too large for memcached, as it was");
	is(code(kv_post('none', $verb, value => 'x', @small)), 404,
		"$verb - none is none");
}

# made too large by somebody else

$m->set('large', '7' x 20000);
is(code(kv_get('large')), 502, 'large - get');
is(code(kv_post('large', 'gat=100')), 502, 'large - get and touch');
is(code(kv_get('', args => 'keys=large')), 502, 'large - get of many');
is(code(kv_post('large', 'lease=100')), 502, 'large - lease');
like(content(kv_get('large', args => 'inspect')), qr/^200 size=20000 /,
	'large - inspect');
is(content(kv_post('large', 'append', value => 'x')), "413 $why\n",
	'large - append');
is(content(kv_post('large', 'incr=1')),
	"409 the item is no number: nothing was done\n", 'large - incr');
is(code(kv_put('large', 'x', headers => ['If-None-Match: *'])), 412,
	'large - it is there');
is(code(kv_post('large', 'touch=1000')), 204, 'large - touch');
like(messages($t), qr/is larger than memcache_max_value/, 'large - the log says why');
is(code(kv_put('large', 'small', headers => ['If-Match: *'])), 204,
	'large - stored over');
is(content(kv_get('large')), '200 small', 'large - and is no more');

# a body that is too large, whose length nginx knows before it is there or not

$why = 'the value is larger than memcache_max_value: nothing was done';
my $mark = length messages($t);
my $before = server_status(port(8081))->{errors}{too_large};

is(content(kv_put('b', 'x' x 10241)), "413 $why\n", 'body - put');
is(content(kv_post('b', 'append', value => 'x' x 10241)), "413 $why\n",
	'body - append');
is(content(http("PUT /kv/b HTTP/1.0\r\nHost: localhost\r\n"
	. "Content-Length: 1000000\r\n\r\n")), "413 $why\n", 'body - none came');
like(http("PUT /kv/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
	. "Transfer-Encoding: chunked\r\n\r\n5000\r\n" . 'x' x 0x5000
	. "\r\n0\r\n\r\n"), qr/ 413 .*\Q$why\E/s, 'body - chunked');
is(code(kv_get('b')), 404, 'body - nothing was stored');

is(server_status(port(8081))->{errors}{too_large} - $before, 4,
	'body - counted');
ok(wait_for(sub { substr(messages($t), $mark)
	=~ /for "127\S+" failed: the value is larger than memcache_max_value/ }),
	'body - log');
is(scalar(() = $t->read_file('ops.log') =~ /^(?:PUT|POST) 413 1 TOO_LARGE$/mg), 4,
	'body - access log');

# the same length by a key that cannot be sent

is(code(kv_put('x' x 251, 'x' x 10241)), 400, 'body - no key');

# the connections have seen it all

is($m->connections(), 1, 'connections');
is($small->connections(), 1, 'connections');

###############################################################################
