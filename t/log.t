#!/usr/bin/perl

# Tests for memcache module: the error log has a line for each event, not for
# each operation, and nothing in it is as a server has sent it.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(18)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_timeout 20s;
    memcache_connect_timeout 20s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081 min=2;
        memcache_retry 60s;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083;
        memcache_max_fails 1000;
        memcache_pipeline 1;

        location /kv/ {
            memcache_kv on;
        }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;

        memcache_server 127.0.0.1:8085;
        memcache_retry 100ms;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

# hangs up instead of answering
Test::Memcached::Fake->start($t, port(8083), sub {
	my ($request) = @_;
	return $request->{verb} eq 'mg' ? Test::Memcached::Fake::CLOSE
		: $request->answer();
});

# is no memcached
Test::Memcached::Fake->start($t, port(8085), sub { }, raw => sub {
	return "\x1b[31mred\x07\xff\x7f\r\n";
});

$t->run();

###############################################################################

# an outage, and 10000 operations that fail

my $address = '127.0.0.1:' . port(8081);

ok(wait_for(sub { server_status($address)->{connections}{open} == 2 }),
	'connected');
my $began = time();
$m->kill_it();
wait_for(sub { !$m->connect() });
ok(wait_for(sub {
	kv_get('cow');
	return server_status($address)->{state} eq 'down';
}), 'down');

my $keys = 'keys=' . join ',', map { "k$_" } 1 .. 100;
http_many(map { ['GET', '', args => $keys] } 1 .. 50) for 1 .. 2;
http_many(map { ['GET', '', args => $keys] } 1 .. 50) for 1 .. 2;

my $failed = server_status($address)->{errors}{server_down};
cmp_ok($failed, '>=', 10000, 'operations that fail');

my @lines = about($t, $address);
cmp_ok(scalar @lines, '<=', 4 + time() - $began, 'lines of an outage')
	or diag(join "\n", @lines);
is(scalar(grep { /\[error\].* memcache: server "$address" is down: / } @lines),
	1, 'down - error');
my ($refused) = grep { /connect\(\) failed/ } @lines;
like($refused, qr/\[error\].* connect\(\) failed \(111: Connection refused\) /,
	'connect - error');
like($refused, qr/\) while connecting to memcache server "$address"$/,
	'connect - which server');

# a server that hangs up whenever it is asked something

$address = '127.0.0.1:' . port(8083);

$began = time();
while (time() < $began + 3) {
	my @sockets = map { kv_get("cow$_", start => 1,
		PeerAddr => '127.0.0.1:' . port(8082)) } 1 .. 16;
	Test::Nginx::http_end($_) for @sockets;
}

my $lost = server_status($address)->{connections}{lost};
@lines = about($t, $address);
cmp_ok($lost, '>', 2 * @lines, 'connections that were lost');
cmp_ok(scalar @lines, '>=', 1, 'lost - logged');
# nginx may have noticed first that it cannot send, or that the connection was
# reset, at level info; those lines are its own
my @errors = grep { /\[error\]/ } @lines;
my ($error) = @errors;
cmp_ok(scalar @errors, '<=', 2 + time() - $began, 'lost - once in a second')
	or diag(join "\n", @lines);
like($error, qr/\[error\].* connection to "$address" lost, /, 'lost - error');

# what a server has sent

$address = '127.0.0.1:' . port(8085);

kv_get('cow', PeerAddr => '127.0.0.1:' . port(8084));
ok(wait_for(sub { about($t, $address) }), 'no memcached');
my ($line) = grep { /not a memcached/ } about($t, $address);
like($line, qr/\[error\].* "$address" is not a memcached server: /,
	'no memcached - error');
like($line, qr/answered "\\x1b\[31mred\\x07\\xff\\x7f"$/, 'D11 escaped');
unlike(messages($t), qr/[\x00-\x08\x0b-\x1f\x7f-\xff]/,
	'D11 nothing else');

# and the first is back

Test::Memcached->start($t, port(8081));
$t->reload();
$address = '127.0.0.1:' . port(8081);
ok(wait_for(sub {
	my $server = eval { server_status($address) };
	return $server && $server->{state} eq 'live'
		&& $server->{connections}{open} == 2;
}), 'live with another configuration');

# up again is a notice; the outage of the hangs is not over yet

ok(wait_for(sub {
	return grep { / is down: / } about($t, '127.0.0.1:' . port(8085));
}) , 'no memcached - down');
is(scalar(grep { /\[(?:alert|crit|emerg)\]/ } split /\n/, messages($t)), 0,
	'nothing graver');

###############################################################################

# The module's own lines about a server: not those of requests.
sub about {
	my ($t, $address) = @_;
	return grep { /"\Q$address\E"/ && !/ client: / }
		split /\n/, messages($t);
}

###############################################################################
