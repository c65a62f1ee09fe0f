package Test::Nginx::Session;

# What the tests of examples/session have in common.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;

use Test::Nginx;
use Test::Nginx::Memcache;

our @EXPORT = qw/ NONE KNOWN OTHER application page asked_of /;

# One that nobody was given, and two that an application has chosen.
use constant NONE => '0123456789abcdef0123456789abcdef';
use constant { KNOWN => 'a' x 32, OTHER => 'b' x 32 };

###############################################################################

# The server block of the application: it is offered an ID, and takes it or not.
sub application {
	return <<'EOF';
    server {
        listen       127.0.0.1:8086;
        server_name  localhost;

        memcache_session off;
        add_header X-Accel-Session $accel always;
        add_header Cache-Control "public, max-age=3600";

        location / {
            set $accel "";
            return 200 "id $http_session_id";
        }

        location /app/new {
            set $accel new;
            return 200 "offered $http_session_new";
        }

        location /app/renew {
            set $accel renew;
            return 200 "offered $http_session_new";
        }

        location /app/else {
            set $accel RENEW;
            return 200 "offered $http_session_new";
        }

        location /app/none {
            set $accel "";
            return 404;
        }
    }
EOF
}

# A page, asked for with a cookie.
sub page {
	my ($uri, $cookie, $port) = @_;

	return http(join("\x0d\x0a", "GET $uri HTTP/1.0", 'Host: localhost',
		$cookie ? "Cookie: $cookie" : (), '', ''),
		PeerAddr => '127.0.0.1:' . port($port // 8080));
}

# How many sessions were looked for, on the memcached of this port.
sub asked_of {
	return server_status(port($_[0]))->{operations}{get_and_touch};
}

###############################################################################

1;
