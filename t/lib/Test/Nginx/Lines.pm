package Test::Nginx::Lines;

# A configuration with lines of a test in its blocks, as "nginx -t" sees it.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;

use Test::Nginx::Memcache;

our @EXPORT = qw/ check first_line /;

###############################################################################

# The line before the first one that a test has put into the http block.
sub first_line {
	my ($t) = @_;
	my @lines = split /^/, $t->read_file('nginx.conf');
	return (grep { $lines[$_] =~ /# lines of a test$/ } 0 .. $#lines)[0] + 1;
}

# Checks a configuration with lines in the given blocks.
sub check {
	my ($t, %lines) = @_;
	my %in = (main => '', events => 'worker_connections 200000;',
		http => '', server => '', location => '', %lines);

	return check_config($t, <<EOF);

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%
%%LOAD_MEMCACHE_RATE_LIMIT%%
%%LOAD_MEMCACHE_SESSION%%
%%LOAD_MEMCACHE_TOKIO_BRIDGE%%

daemon off;

$in{main}

events {
    $in{events}
}

http {
    %%TEST_GLOBALS_HTTP%%

    # lines of a test
    $in{http}

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;

        $in{server}

        location / {
            $in{location}
        }
    }
}

EOF
}

###############################################################################

1;

###############################################################################
