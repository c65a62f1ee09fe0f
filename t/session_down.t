#!/usr/bin/perl

# Tests for examples/session: memcached is down, or hangs.

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

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)
	->has_daemon('memcached')->plan(29);

$t->write_file_expand('nginx.conf', http_conf(<<'EOF' =~ s/%%APPLICATION%%/application()/er, 'session'));

    # it is down
    memcache_server 127.0.0.1:8083;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;
    memcache_retry 100ms;

    memcache_session sid 1000s;
    add_header X-Id $memcache_session_id always;
    add_header X-Session $memcache_session always;
    add_header X-State $memcache_session_state always;

    proxy_set_header Session-Id $memcache_session_id;
    proxy_set_header Session-New $memcache_session_new;

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        location / {
        }

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }

        location /required {
            memcache_session sid 1000s required;
        }

        # it is looked up before the request comes to the last two
        location /try {
            try_files /none @required;
        }

        location /missing {
            error_page 404 = @required;
        }

        location @required {
            memcache_session sid 1000s required;
            try_files /required =404;
        }

        location /status {
            memcache_status;
        }
    }

    # another server stands in for one that hangs
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8085 max=1;
        memcache_server 127.0.0.1:8087 max=1;
        memcache_failover next;
        memcache_timeout 200ms;
        memcache_connect_timeout 200ms;
        memcache_max_fails 1;

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }

        location /required/ {
            memcache_session sid 1000s required;
            proxy_pass http://127.0.0.1:8086/app/;
        }

        location /status {
            memcache_status;
        }
    }

    # the same with a backup server
    server {
        listen       127.0.0.1:8088;
        server_name  localhost;

        memcache_server 127.0.0.1:8089;
        memcache_server 127.0.0.1:8087 backup;
        memcache_failover backup;

        location /app/ {
            proxy_pass http://127.0.0.1:8086;
        }
    }

%%APPLICATION%%

EOF

$t->write_file('index.html', 'page');
$t->write_file('required', 'page');

my @m = map { Test::Memcached->start($t, port($_)) } 8085, 8087;
my $home = Test::Memcached->start($t, port(8089));

$t->run();

my $r;

###############################################################################

# R22: without memcached

for my $uri ('/index.html', '/status', '/app/page', '/required', '/try',
	'/missing')
{
	$r = page($uri, '', 8082);
	is(code($r), 200, "R22 down, $uri - without a cookie");
	$r = page($uri, 'sid=' . KNOWN, 8082);
	is(code($r), $uri =~ /required|try|missing/ ? 503 : 200, "R22 down, $uri");
	is(header($r, 'Set-Cookie'), undef, "R22 down, $uri - no cookie");
}
is(header(page('/index.html', 'sid=' . KNOWN, 8082), 'X-State'), 'unknown',
	'R22 down - state');

###############################################################################

# R42: a server hangs, and the one that stands in for it knows no sessions

my $kept = kept(@m);
my $before = page('/app/page', "sid=$kept");
is(header($before, 'X-State'), 'found', 'R42 before');

my %seen;
$m[0]->pause();

# until it is down and the other one has been asked for a while
my $enough = 0;
ok(wait_for(sub {
	$r = page('/app/new', "sid=$kept");
	$seen{header($r, 'X-State')}++;
	$seen{cookie}++ if header($r, 'Set-Cookie');
	$enough++ if asked_of(8087) > 3;
	return $enough > 20;
}), 'R42 down - the other one is asked');
is(join(' ', sort keys %seen), 'unknown', 'R42 down - nobody knows, no cookie');
is(code(page('/required/page', "sid=$kept")), 503, 'R42 down - required');
like(header(page('/app/renew', "sid=$kept"), 'Set-Cookie'), qr/^sid=/,
	'R42 down - a login works');
like(header(page('/app/new', ''), 'Set-Cookie'), qr/^sid=/,
	'R42 down - a new one');

$m[0]->resume();
ok(wait_for(sub { header(page('/app/new', "sid=$kept"), 'X-State')
	eq 'found' }), 'R42 back - the session is there');

# a backup server knows no sessions, either

$home->set("session:$kept", 'mary');
is(header(page('/app/page', "sid=$kept", 8088), 'X-State'), 'found',
	'R42 backup - before');
$home->kill_it();
ok(wait_for(sub { header($r = page('/app/new', "sid=$kept", 8088), 'X-State')
	eq 'unknown' && server_status('127.0.0.1:' . port(8089))->{failed_over} }),
	'R42 backup - it is asked');
is(header($r, 'Set-Cookie'), undef, 'R42 backup - no cookie');

###############################################################################

# A session that is kept by the first of the servers: the second does not miss it.
sub kept {
	my ($first, $second) = @_;

	for my $n (1 .. 50) {
		my $id = sprintf '%032x', $n;
		$first->set("session:$id", 'mary');
		return $id if header(page('/app/page', "sid=$id"),
			'X-State') eq 'found';
	}

	die "No session\n";
}

###############################################################################
