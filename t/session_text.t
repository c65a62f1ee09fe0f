#!/usr/bin/perl

# Tests for examples/session: servers that cannot touch what they get, as
# twemproxy (R29), and one that cannot touch at all.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Session;
use Test::Memcached;
use Test::Memcached::Mcrouter;
use Test::Memcached::Proxy;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('nutcracker')->plan(26);

$t->write_file_expand('nginx.conf', http_conf(<<'EOC', 'session'));

    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    memcache_session sid 1000s;
    add_header X-Id $memcache_session_id always;
    add_header X-Session $memcache_session always;
    add_header X-State $memcache_session_state always;

    # a proxy
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        memcache_server 127.0.0.1:8060;

        location / {
        }

        location /required {
            memcache_session sid 1000s required;
        }

        location /status {
            memcache_session off;
            memcache_status;
        }
    }

    # a proxy, and a server that needs none
    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        memcache_server 127.0.0.1:8060;
        memcache_server 127.0.0.1:8049;

        location / {
        }
    }

    # no touch
    server {
        listen       127.0.0.1:8082;
        server_name  localhost;
        memcache_server 127.0.0.1:8061;

        location / {
        }
    }

EOC

my @behind = map { Test::Memcached->start($t, port($_)) } 8050 .. 8052;
my $new = Test::Memcached->start($t, port(8049));
my $far = Test::Memcached->start($t, port(8053));

start_twemproxy($t, port(8060), [map { port($_) } 8050 .. 8052]);
Test::Memcached::Mcrouter->start($t, port(8061), [port(8053)],
	unknown => qr/^(?:gat|touch)/);

$t->write_file('index.html', 'page');
$t->write_file('required', 'page');
$t->run();

my $r;

###############################################################################

# a proxy with three servers behind it

my @ids = map { sprintf '%032x', $_ } 1 .. 12;
my %used;
for my $id (@ids) {
	$_->set("session:$id", "user $id", 0) for @behind;
}

is(join(' ', map { header(page('/index.html', "sid=$_"), 'X-Session') } @ids),
	join(' ', map { "user $_" } @ids), 'R29 found');
for my $id (@ids) {
	ok(wait_for(sub {
		my ($n) = grep { ttl($behind[$_], $id) > 900 } 0 .. 2;
		$used{$n} = 1 if defined $n;
		return defined $n;
	}), "R29 renewed, $id");
}
is(scalar(keys %used), 3, 'R29 on each of the three');

is(header(page('/index.html', 'sid=' . NONE), 'X-State'), 'none',
	'R29 none, state');
is(header(page('/index.html', join '; ', map { "sid=$_" } NONE, $ids[3],
	$ids[4]), 'X-Id'), $ids[3], 'R29 several, the first that is known');
is(code(page('/required', "sid=$ids[0]")), 200, 'R29 required');

# none is made by a renewal

is(join(' ', map { $_->get('session:' . NONE) // 'none' } @behind),
	'none none none', 'R29 none, not made');

###############################################################################

# servers of both kinds: each key is asked as its server can

$new->set("session:$_", "user $_", 0) for @ids;
my $asked = asked_of(8049);
is(join(' ', map { header(page('/index.html', "sid=$_", 8081), 'X-Id') } @ids),
	"@ids", 'both, found');
my $there = asked_of(8049) - $asked;
ok($there > 0 && $there < @ids, 'both, asked each');
is(join(' ', map { scalar grep { $_ } server_status(port(8049))->{operations}{$_}
	} qw/ get touch /), '0 0', 'both, one round trip where that is enough');

# whichever is first

my ($here) = grep { ttl($new, $_) > 900 } @ids;
my ($other) = grep { ttl($new, $_) == -1 } @ids;
is(header(page('/index.html', "sid=$here; sid=$other", 8081), 'X-Id'), $here,
	'both, the first that is known');
is(header(page('/index.html', "sid=$other; sid=$here", 8081), 'X-Id'), $other,
	'both, the first that is known, on the proxy');

###############################################################################

# a server that cannot renew it: it is found, and the log says it once

$far->set('session:' . KNOWN, 'mary', 0);
is(join(' ', map { header(page('/index.html', 'sid=' . KNOWN, 8082),
	'X-State') } 1 .. 3), 'found found found', 'no touch, found');
ok(wait_for(sub { $t->read_file('error.log') =~ /does not renew/ }),
	'no touch, logged');
my @lines = $t->read_file('error.log') =~ /\[warn\].*(memcache_session .*)/g;
is_deeply(\@lines, ['memcache_session "sid" does not renew sessions, they '
	. 'expire when the application says: server 127.0.0.1:' . port(8061)
	. ' speaks text: it does not know touch'], 'no touch, logged once');

###############################################################################

# Seconds until an item expires, -1 for never.
sub ttl {
	my ($on, $id) = @_;

	$on->send("mg session:$id t\r\n");
	return $on->line() =~ /^HD t(-?\d+)/ ? $1 : -2;
}

###############################################################################
