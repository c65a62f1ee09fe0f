#!/usr/bin/perl

# Tests for memcache module: leases, marks and metadata, by two clients that
# know nothing of each other.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(65)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_timeout 30s;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }

    # another client
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_timeout 31s;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081), '-I', '2m');
my @other = (PeerAddr => '127.0.0.1:' . port(8082));

$t->run();

my ($r, $cas);

###############################################################################

# a missing item is made by the first who asks

$r = lease('new');
is(lease_of($r), '404 won', 'missing - won');
$cas = header($r, 'ETag');
like($cas, qr/^"\d+-vacant-[0-9a-f]{8}"$/, 'missing - version');

$r = lease('new', @other);
is(lease_of($r), '404 lost', 'missing - lost');
is(header($r, 'ETag'), undef, 'missing - lost, no version');
is(code(kv_get('new')), 404, 'missing - get');
is(code(kv_get('new', args => 'inspect', @other)), 404, 'missing - inspect');
is(code(kv_post('new', 'touch=50', @other)), 404, 'missing - touch');
is(lease_of(lease('new')), '404 lost', 'missing - still lost');

is(code(kv_put('new', 'x', headers => ['If-Match: "999999-vacant-00000000"'], @other)), 412,
	'missing - stored by somebody else');
is(code(kv_put('new', 'moo', args => 'ttl=1000',
	headers => ["If-Match: $cas", 'X-Memcache-Flags: 7'])), 204,
	'missing - stored by the winner');

$r = lease('new', @other);
is(lease_of($r), '200 none moo', 'hit');
is(header($r, 'X-Memcache-Flags'), 7, 'hit - flags');
like(header($r, 'ETag'), qr/^"\d+-[0-9a-f]{8}"$/, 'hit - version');
is(content(kv_get('new')), '200 moo', 'hit - get');
is(code(kv_put('new', 'late', headers => ["If-Match: $cas"])), 412,
	'the winner is late');

# the lease of a missing item ends, and is somebody else's then

is(lease_of(lease('short', args => 'lease=1')), '404 won', 'ends - won');
ok(wait_for(sub { lease_of(lease('short', args => 'lease=1', @other))
	eq '404 won' }), 'ends - won again');

# an item is marked: one makes it, the others have the old value

is(code(kv_post('new', 'invalidate', @other)), 204, 'mark');
is(lease_of(lease('new', @other)), '200 won stale moo', 'marked - won');

for my $client ([], [@other]) {
	is(lease_of(lease('new', @$client)), '200 lost stale moo',
		'marked - lost');
}

is(code(kv_post('new', 'invalidate&ttl=2000')), 204, 'mark again');
like(($m->get('new'))[2], qr/^(2000|199\d)$/, 'mark again - ttl');

# get, in all its ways, misses it, and does not take the lease away; that of
# the test did, so it is marked anew

is(code(kv_post('new', 'invalidate')), 204, 'mark once more');

for my $client ([], [@other]) {
	is(code(kv_get('new', @$client)), 404, 'marked - get');
	is(code(kv_post('new', 'gat=500', @$client)), 404,
		'marked - get and touch');
	is(header(kv_get('', args => 'keys=new', @$client),
		'X-Memcache-Misses'), 1, 'marked - multi-get');
}

$r = undef;
wait_for(sub { $r = lease('new'); lease_of($r) =~ / won / });
is(lease_of($r), '200 won stale moo', 'marked - won behind gets');

# the winner hands it back

$cas = header($r, 'ETag');
is(code(kv_post('new', 'invalidate', headers => ['If-Match: "999999-vacant-00000000"'])), 412,
	'marked - not the version');
is(lease_of(lease('new', @other)), '200 lost stale moo',
	'marked - still lost');
is(code(kv_post('new', 'invalidate', headers => ["If-Match: $cas"])), 204,
	'marked - handed back');
$r = lease('new', @other);
is(lease_of($r), '200 won stale moo', 'marked - the next has won');
$cas = header($r, 'ETag');
is(code(kv_put('new', 'muh', headers => ["If-Match: $cas"], @other)), 204,
	'marked - stored');
is(content(kv_get('new')), '200 muh', 'marked - get of the new one');
is(lease_of(lease('new')), '200 none muh', 'marked - hit of the new one');

is(lease_of($r = lease('place')), '404 won', 'place - won');
is(code(kv_delete('place', headers => ['If-Match: ' . header($r, 'ETag')])),
	204, 'place - handed back');
is(lease_of(lease('place', @other)), '404 won', 'place - the next has won');

is(code(kv_post('nothing', 'invalidate')), 404, 'mark - missing');
is(code(kv_post('nothing', 'invalidate', headers => ['If-Match: "999999-vacant-00000000"'])), 412,
	'mark - missing, with a version');

# an item that expires soon is made anew before

$m->set('old', 'moo', 0, 100);
is(lease_of(lease('old', args => 'lease=30&recache=50')), '200 none moo',
	'recache - not yet');
$r = lease('old', args => 'lease=30&recache=500');
is(lease_of($r), '200 won moo', 'recache - won');
is(lease_of(lease('old', args => 'lease=30&recache=500', @other)),
	'200 none moo', 'recache - good for the others');
is(content(kv_get('old')), '200 moo', 'recache - get');
is(code(kv_put('old', 'muh', args => 'ttl=1000',
	headers => ['If-Match: ' . header($r, 'ETag')])), 204,
	'recache - stored');
is(lease_of(lease('old', args => 'lease=30&recache=500', @other)),
	'200 none muh', 'recache - done');

# metadata

is(code(kv_get('nothing', args => 'inspect')), 404, 'inspect - missing');
is(code(kv_put('seen', 'four', headers => ['X-Memcache-Flags: 9'])), 204,
	'inspect - set');
like(content(kv_get('seen', args => 'inspect')), qr/^200\ size=4\ flags=9
	\ cas=\d+\ ttl=never\ idle=\d+\ fetched=false\ stale=false
	\ leased=false\n$/x, 'inspect - never used');
is(content(kv_get('seen')), '200 four', 'inspect - get');
$r = kv_get('seen', args => 'inspect');
like(content($r), qr/ fetched=true /, 'inspect - used');
is(($r =~ / cas=(\d+) /)[0], (header(kv_get('seen'), 'ETag') =~ /(\d+)-/)[0],
	'inspect - version');
is(code(kv_post('seen', 'invalidate&ttl=300')), 204, 'inspect - mark');
like(content(kv_get('seen', args => 'inspect')), qr/ ttl=(300|29\d) .* stale=true /,
	'inspect - marked');
is(lease_of(lease('seen')), '200 won stale four',
	'inspect - does not take the lease');

# whoever goes away before the answer has not won, and nobody has to wait;
# the value is in the way of the reply until the test reads on

for my $key ('gone', 'stale') {
	if ($key eq 'stale') {
		$m->set($key, 'x' x 1000);
		kv_post($key, 'invalidate');
	}

	my $before = server_status(port(8081))->{errors}{cancelled};

	$m->pause();
	my $s = kv_post($key, 'lease=10000', start => 1);
	ok(wait_for(sub { server_status(port(8081))->{pending} == 1 }),
		"$key - in flight");
	close $s;
	ok(wait_for(sub { server_status(port(8081))->{errors}{cancelled}
		> $before }), "$key - cancelled");
	$m->resume();

	wait_for(sub { $r = lease($key, @other); lease_of($r) =~ / won/ });
	like(lease_of($r), qr/ won/, "$key - the next has won");
}

is($m->connections(), 2, 'connections');

###############################################################################

sub lease {
	my ($key, %extra) = @_;
	return kv_post($key, delete $extra{args} // 'lease=10000', %extra);
}

# "200 won stale value"
sub lease_of {
	my ($reply) = @_;
	my $value = http_content($reply) // '';

	return join ' ', code($reply), header($reply, 'X-Memcache-Lease') // '-',
		header($reply, 'X-Memcache-Stale') ? 'stale' : (),
		code($reply) eq '200' ? $value : ();
}

###############################################################################
