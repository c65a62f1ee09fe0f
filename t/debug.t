#!/usr/bin/perl

# Tests for memcache module: with "error_log ... debug", each step of an
# operation has a line, and none shows a value.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081;
    memcache_timeout 5s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));
my $server = 'server "127.0.0.1:' . port(8081) . '"';

# a step, and the line that it has
my @steps = (
	['connect', qr/memcache connect, $server, connection \d+$/m],
	['greeting', qr/memcache the greeting has passed, connection \d+$/m],
	['submit and route', qr/memcache submit set "a key", $server, call \d+$/m],
	['write', qr/memcache sent \d+ bytes, connection \d+$/m],
	['reply', qr/memcache received \d+ bytes, connection \d+$/m],
	['completion', qr/memcache complete call \d+: done, $server$/m],
	['completion of a get', qr/memcache complete call \d+: item, $server$/m],
	['completion without an item', qr/memcache complete call \d+: miss, $server$/m],
	['on a server', qr/memcache submit flush_all, $server, call \d+$/m],
	['refused', qr/memcache refuse get "key", $server: the server is down$/m],
	['close', qr/memcache lost: (?:Eof|Error), connection \d+$/m],
);

$t->plan(@steps + 5);
$t->run();

###############################################################################

is(code(kv_put('a key', 'the-secret-value')), 204, 'set');
is(content(kv_get('a key')), '200 the-secret-value', 'get');
is(code(kv_get('nothing')), 404, 'miss');
kv_post('', 'flush_all=0');

$m->kill_it();
wait_for(sub { kv_get('key'); steps($t) =~ /refuse get/ || !has_debug() });

my $log = steps($t);

for (@steps) {
	my ($name, $line) = @$_;
	is($log =~ /$line/m ? 1 : 0, has_debug(), $name);
}

is($log ne '' ? 1 : 0, has_debug(), 'only where nginx was built for it');
unlike($t->read_file('error.log') =~ s/^.*(?:PUT|http process).*\n//gmr,
	qr/memcache .*the-secret-value/, 'no values');

###############################################################################

# Our lines of level debug.
sub steps {
	my ($t) = @_;
	return join '', $t->read_file('error.log') =~ /^(.* \[debug\] .*: memcache .*\n)/gm;
}

sub has_debug {
	return `$Test::Nginx::NGINX -V 2>&1` =~ /--with-debug/ ? 1 : 0;
}

###############################################################################
