package Test::Nginx::Conf;

# Configurations with the memcache module, and modules that tests compile;
# Test::Nginx::Memcache exports them.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use File::Spec;
use FindBin;
use Test::More qw//;

use Test::Nginx qw/ log_in /;

our @EXPORT = qw/ conf http_conf kv_conf kv_servers compile_sibling
	compile_module check_config /;

###############################################################################

use constant KV_SERVER => <<'EOF';
    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status;
        }
    }
EOF

# Where the modules are: those of "make build", unless told otherwise.
sub modules {
	return $ENV{TEST_NGINX_MEMCACHE_MODULES}
		// File::Spec->rel2abs("$FindBin::Bin/../target/modules");
}

sub load_module {
	my ($name) = @_;
	my $file = modules() . "/ngx_http_${name}_module.so";

	Test::More::BAIL_OUT("no $file, run \"make build\" first")
		unless -e $file;

	return "load_module $file;\n";
}

sub load_session {
	return `$Test::Nginx::NGINX -V 2>&1` =~ m!--add-module=\S*/session\b!
		? '' : load_module('memcache_session');
}

# Expands, in the text of a configuration,
#
#	%%MEMCACHE_GLOBALS%%	loads the module and the kv sibling
#	%%LOAD_MEMCACHE%%	loads the module
#	%%LOAD_MEMCACHE_KV%%	loads the sibling
#	%%LOAD_MEMCACHE_TEST%%	loads the one of siblings/rust, and so on
#	%%LOAD_MEMCACHE_SESSION%%	loads examples/session, or nothing
#			if nginx was built with it
#	%%KV_SERVER%%		a server block with the REST store and the status
#
# and lets workers of root be root: a test's directory is its owner's alone.
sub conf {
	my ($text) = @_;
	my $user = $> == 0 && ($ENV{TEST_NGINX_GLOBALS} // '') !~ /\buser\s/
		? "user root;\n" : '';

	$text =~ s/%%KV_SERVER%%\n/KV_SERVER/e;
	$text =~ s/%%MEMCACHE_GLOBALS%%/%%LOAD_MEMCACHE%%%%LOAD_MEMCACHE_KV%%/;
	$text =~ s/%%LOAD_MEMCACHE%%/load_module('memcache')/e;
	$text =~ s/%%LOAD_MEMCACHE_SESSION%%/load_session()/e;
	$text =~ s/%%LOAD_(MEMCACHE_\w+)%%/load_module(lc $1)/ge;
	$text =~ s/^(?=daemon )/$user/m;

	return $text;
}

# The text of a configuration with this in its http block.  It loads the module
# and the kv sibling; or, if they are named, these siblings: "kv" and "test" are
# of the modules that were built, "abi.so" is in the test's directory.
sub http_conf {
	my ($http, @siblings) = @_;
	my $load = join '', map { /\.so$/ ? "load_module %%TESTDIR%%/$_;\n"
		: load_module("memcache_$_") } @siblings ? @siblings : 'kv';

	return conf(<<"EOF");

%%TEST_GLOBALS%%

%%LOAD_MEMCACHE%%
$load
daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

$http
}

EOF
}

# The same with the REST store on one memcached, on one connection, that is
# given time; with more lines of the http block.
sub kv_conf {
	my ($http) = @_;

	return http_conf(<<'EOF' =~ s/%%HTTP%%/$http \/\/ ''/er);
    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    %%HTTP%%

%%KV_SERVER%%
EOF
}

# So many server blocks with the REST store, from port 8020 on, each on a
# memcached of its own, from port 8040 on.
sub kv_servers {
	my ($n, $params) = @_;
	$params //= 'max=1';

	return join '', map { <<"EOF" } 0 .. $n - 1;
    server {
        listen       127.0.0.1:@{[8020 + $_]};
        server_name  localhost;
        memcache_server 127.0.0.1:@{[8040 + $_]} $params;
        location /kv/ { memcache_kv on; }
    }
EOF
}

# Compiles siblings/NAME.c and siblings/NAME/*.c, or other sources, to NAME.so in
# the test's directory, for the nginx that the modules were built for.  A header
# in the test's include/ is used instead of the project's.  False if there is no
# compiler, or no headers of nginx.
sub compile_sibling {
	my ($t, $name, @sources) = @_;
	my $source = $ENV{NGINX_SOURCE_DIR} // '/usr/share/nginx/src';
	my $objs = $ENV{NGINX_BUILD_DIR} // "$FindBin::Bin/../target/nginx/debian";

	@sources = ("$FindBin::Bin/siblings/$name.c",
		glob "$FindBin::Bin/siblings/$name/*.c") unless @sources;

	return if !-e "$source/src/core/nginx.h" || !-e "$objs/ngx_auto_config.h"
		|| system('gcc --version >/dev/null 2>&1') != 0;

	my @nginx = nginx_cflags($source, $objs);
	my @command = ('gcc', qw! -O1 -g -Wall -Wextra -Werror -fPIC -shared
		-Wno-unused-parameter -Wno-type-limits !,
		split(' ', $ENV{TEST_NGINX_SIBLING_CFLAGS} // ''),
		'-I' . $t->testdir() . '/include', "-I$FindBin::Bin/../include",
		@nginx,
		'-o', $t->testdir() . "/$name.so", @sources);

	system(@command) == 0 or die "Can't compile $name\n";
	return 1;
}

# The same for a module that leaves the list of modules to nginx's build.
sub compile_module {
	my ($t, $name, $source) = @_;
	my $module = "ngx_http_${name}_module";

	$t->write_file("$name.modules.c", <<"EOF");
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  $module;

ngx_module_t  *ngx_modules[] = { &$module, NULL };
char          *ngx_module_names[] = { "$module", NULL };
char          *ngx_module_order[] = { NULL };
EOF

	return compile_sibling($t, $name, $source,
		$t->testdir() . "/$name.modules.c");
}

# What a compiler has to be told to find nginx's headers.
sub nginx_cflags {
	my ($source, $objs) = @_;

	open my $f, '-|', 'bash', "$FindBin::Bin/../build/nginx-cflags.sh",
		$source, $objs or die "Can't run bash: $!\n";
	chomp(my @options = <$f>);
	close $f or die "No options for the headers in $objs\n";
	return @options;
}

# What "nginx -t" says to a configuration.
sub check_config {
	my ($t, $text) = @_;
	my $dir = $t->testdir();

	$t->write_file_expand('nginx.conf', conf($text));

	open my $f, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh',
		$Test::Nginx::NGINX, '-t', '-p', "$dir/", '-c', 'nginx.conf',
		'-e', 'error.log'
		or die "Can't run nginx -t: $!";
	local $/;
	my $said = <$f> // '';
	close $f;

	# the test leaves an empty one behind, for which run() would not wait
	unlink "$dir/nginx.pid";

	log_in($said);
	die "nginx -t: $said" if $said =~ /Sanitizer/;
	return $said;
}

###############################################################################

1;
