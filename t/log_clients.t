#!/usr/bin/perl

# Tests for memcache module: where several clients have the same server, lines
# of the error log say whose they are about, as nginx says it.

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

my $t = Test::Nginx->new()->has(qw/http/)->plan(6)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    # nobody listens there
    memcache_server 127.0.0.1:8084;

    server {
        listen       127.0.0.1:8080;
        server_name  a.example www.a.example;
        location /kv/ { memcache_kv on; }
    }

    # the same client
    server {
        listen       127.0.0.1:8081;
        server_name  b.example;
        location /kv/ { memcache_kv on; }
    }

    # another one
    server {
        listen       127.0.0.1:8082;
        server_name  c.example;
        memcache_timeout 900ms;
        location /kv/ { memcache_kv on; }
    }

    # one without a name
    server {
        listen       127.0.0.1:8086;
        server_name  "";
        memcache_timeout 800ms;
        location /kv/ { memcache_kv on; }
    }

    # and one that is the only one of its server
    server {
        listen       127.0.0.1:8083;
        server_name  d.example;
        memcache_server 127.0.0.1:8085;
        location /kv/ { memcache_kv on; }
    }

EOF

$t->run();

###############################################################################

my @ports = (8080, 8082, 8083, 8086);

for my $port (@ports, @ports) {
	kv_get('k', PeerAddr => '127.0.0.1:' . port($port));
}

my $shared = '127.0.0.1:' . port(8084);
my $own = '127.0.0.1:' . port(8085);
my $down = qr/\[error\].* memcache: server "\Q$shared\E" is down: [^\n]*/;

for my $name ('a.example b.example', 'c.example', '-') {
	ok(wait_for(sub { messages($t) =~ /$down, server: \Q$name\E$/m }),
		"down, $name");
}

ok(wait_for(sub { messages($t) =~ /[^\n]*"\Q$shared\E" failed[^\n]*, server: c\.example$/m }),
	'operations');
ok(wait_for(sub { messages($t) =~ /server "\Q$own\E" is down: [^\n]*$/m }),
	'down, the only one');
unlike(messages($t), qr/"\Q$own\E"[^\n]*, server: /, 'which needs no name');

###############################################################################
