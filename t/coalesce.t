#!/usr/bin/perl

# Tests for memcache module: gets that share an exchange, as a sibling in Rust
# sees them.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_end /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(13)
	->write_file_expand('nginx.conf', http_conf(<<'EOF', 'test'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_coalesce on;

        location /get {
            test_content get;
        }

        location /overlap {
            test_content overlap;
        }

        location /status {
            memcache_status;
        }
    }

    # another client, with a prefix
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_coalesce on;
        memcache_prefix p:;

        location /get {
            test_content get;
        }
    }

    # another client
    server {
        listen       127.0.0.1:8083;
        server_name  localhost;

        memcache_coalesce on;
        memcache_timeout 31s;

        location /get {
            test_content get;
        }
    }

    # each get for itself
    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_timeout 32s;

        location /get {
            test_content get;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

$m->set('k', 'plain');
$m->set('p:k', 'prefixed');

is(gets(8080, 8080, 8080), 1, 'same client - one exchange');
is(gets(8080, 8082), 2, 'prefixes');
is(gets(8080, 8083), 2, 'clients');
is(gets(8084, 8084), 2, 'off');

# what a request has set it also gets, with a get of the key under way

is(content(http_get('/overlap?key=k&value=new')), '200 plain new',
	'get, set, get');

$m->pause();
my @s = map { http_get($_, start => 1) } '/get?key=k',
	'/overlap?key=k&value=newer', '/get?key=k';
ok(wait_for(sub { pending() == 5 }),
	'all are under way');
$m->resume();
my @r = map { content(http_end($_)) } @s;
is($r[1], '200 new newer', 'get, set, get - beside others');
is($r[0], '200 new', 'the get before');
is($r[2], '200 newer', 'the get after');

###############################################################################

# How many gets memcached saw of several requests at the same time, each of
# which must have the value of its server.
sub gets {
	my (@ports) = @_;

	# with connections that are open already
	http_get('/get?key=none', PeerAddr => '127.0.0.1:' . port($_)) for @ports;

	my $before = $m->stats()->{cmd_get};

	$m->pause();
	my @s = map { http_get('/get?key=k', start => 1,
		PeerAddr => '127.0.0.1:' . port($_)) } @ports;
	wait_for(sub { pending() == @ports });
	$m->resume();

	is(join(', ', map { content(http_end($_)) } @s), join(', ', map {
		$_ == 8082 ? '200 prefixed' : '200 plain' } @ports), 'values');

	return $m->stats()->{cmd_get} - $before;
}

# Operations that are under way, those that wait for another's answer too.
sub pending {
	my $n = 0;
	$n += $_->{pending} for @{status()->{clients}};
	return $n;
}

###############################################################################
