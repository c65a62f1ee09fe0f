#!/usr/bin/perl

# Tests for memcache module: variables for the access log.

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

my %seen;

my $t = Test::Nginx->new()->has(qw/http http_v2 ssi/)->has_daemon('memcached')
	->has_daemon('curl')->plan(20)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    log_format memcache '$uri ops=$memcache_ops hits=$memcache_hits '
                        'misses=$memcache_misses status=$memcache_status '
                        'time=$memcache_time';
    access_log %%TESTDIR%%/memcache.log memcache;

    # cow is on the first, foo on the second
    memcache_server 127.0.0.1:8081;
    memcache_server 127.0.0.1:8082;
    memcache_timeout 10s;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8083 http2;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /none {
            return 204;
        }

        location /short/ {
            memcache_kv on;
        }

        location /fallback/ {
            memcache_kv on;
            error_page 404 /static;
        }

        location /static {
            return 200 static;
        }

        location /again/ {
            memcache_kv on;
            error_page 404 /kv/cow;
        }

        location /ssi.html {
            ssi on;
        }

        location /header/ {
            memcache_kv on;
            add_header X-Memcache "$memcache_ops $memcache_status" always;
        }
    }

EOF

$t->write_file('ssi.html', '<!--#include virtual="/kv/cow" -->'
	. '<!--#include virtual="/kv/none" --><!--#include virtual="/kv/cow" -->');

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

kv_put('cow', 'moo');
is(logged($t, '/kv/cow'), 'ops=1 hits=0 misses=0 status=OK', 'set');
kv_get('cow');
is(logged($t, '/kv/cow'), 'ops=1 hits=1 misses=0 status=HIT', 'hit');
kv_get('cow1');
is(logged($t, '/kv/cow1'), 'ops=1 hits=0 misses=1 status=MISS', 'miss');
kv_delete('cow1');
is(logged($t, '/kv/cow1'), 'ops=2 hits=0 misses=0 status=MISS',
	'a delete that finds nothing');
http_get('/none');
is(logged($t, '/none'), 'ops=- hits=- misses=- status=-', 'no operation');

kv_get('', args => 'keys=cow,cow1,cow4');
is(logged($t, '/kv/'), 'ops=3 hits=1 misses=2 status=MISS', 'multi-get');

# a server that is down

wait_for(sub { kv_get('foo'); logged($t, '/kv/foo') =~ /SERVER_DOWN/ });
kv_get('foo');
is(logged($t, '/kv/foo'), 'ops=1 hits=0 misses=0 status=SERVER_DOWN', 'down');
kv_get('', args => 'keys=foo,cow');
is(logged($t, '/kv/'), 'ops=2 hits=1 misses=0 status=SERVER_DOWN',
	'one of two down');

# subrequests count for the main request, also one that asks nothing itself

like(http_get('/ssi.html'), qr/moo.*moo/s, 'subrequests');
is(logged($t, '/ssi.html'), 'ops=3 hits=2 misses=1 status=MISS',
	'subrequests together');

# an internal redirect clears what modules know of a request

like(http_get('/fallback/cow1'), qr/static/, 'redirect');
is(logged($t, '/static'), 'ops=1 hits=0 misses=1 status=MISS',
	'redirect remembered');
like(http_get('/again/cow1'), qr/moo/, 'redirect to another');
is(logged($t, '/kv/cow'), 'ops=2 hits=1 misses=1 status=MISS',
	'redirect summed');

# while the request is answered

is(header(kv_get('cow', location => '/header/'), 'X-Memcache'), '1 HIT',
	'in a header');

# a client that goes away

$m->pause();
my $s = kv_get('cow', start => 1);
select undef, undef, undef, 0.3;
close $s;
is(logged($t, '/kv/cow'), 'ops=1 hits=0 misses=0 status=CANCELLED', 'abort');
my ($time) = (lines($t, '/kv/cow'))[-1] =~ /time=(\S+)/;
cmp_ok($time, '>=', 0.2, 'abort - the time until then');
cmp_ok($time, '<', 10, 'abort - and no more');
$m->resume();

# HTTP/2

SKIP: {
	skip 'curl without HTTP/2', 2 unless `curl -V` =~ /HTTP2/;

	my $url = 'http://127.0.0.1:' . port(8083) . '/ssi.html';
	is(`curl -s --http2-prior-knowledge -o /dev/null \\
		-w '%{http_version}' $url`, '2', 'HTTP/2');
	is(logged($t, '/ssi.html'), 'ops=3 hits=2 misses=1 status=MISS',
		'HTTP/2 together');
}

###############################################################################

# What was logged for the request of this URI that came last, once it is.
sub logged {
	my ($t, $uri) = @_;

	wait_for(sub { lines($t, $uri) > ($seen{$uri} // 0) })
		or return 'nothing';
	$seen{$uri} = lines($t, $uri);

	my ($line) = (lines($t, $uri))[-1];
	return $line =~ /^\S+ (.*) time=(?:-|\d+\.\d{3})$/ ? $1 : $line;
}

sub lines {
	my ($t, $uri) = @_;
	return grep { /^\Q$uri\E / } split /\n/, $t->read_file('memcache.log');
}

###############################################################################
