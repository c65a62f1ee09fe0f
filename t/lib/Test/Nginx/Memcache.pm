package Test::Nginx::Memcache;

# What the tests of the memcache module have in common.

###############################################################################

use warnings;
use strict;

use Exporter qw/ import /;
use File::Spec;
use FindBin;
use IO::Select;
use IO::Socket::INET;
use JSON::PP qw//;
use Test::More qw//;

use Test::Nginx qw/ :DEFAULT http_start http_content /;

our @EXPORT = qw/ conf kv_conf compile_sibling compile_module check_config kv_get kv_head kv_put kv_post kv_delete
	kv_request escape code header content http_many status server_status
	wait_for messages master ended worker_pids first_worker http_content /;

# A wait that takes longer, in seconds, is given up.
use constant PATIENCE => 20;

###############################################################################

# Configuration.

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
#
# and lets workers of root be root: a test's directory is its owner's alone.
sub conf {
	my ($text) = @_;
	my $user = $> == 0 && ($ENV{TEST_NGINX_GLOBALS} // '') !~ /\buser\s/
		? "user root;\n" : '';

	$text =~ s/%%MEMCACHE_GLOBALS%%/%%LOAD_MEMCACHE%%%%LOAD_MEMCACHE_KV%%/;
	$text =~ s/%%LOAD_MEMCACHE%%/load_module('memcache')/e;
	$text =~ s/%%LOAD_MEMCACHE_SESSION%%/load_session()/e;
	$text =~ s/%%LOAD_(MEMCACHE_\w+)%%/load_module(lc $1)/ge;
	$text =~ s/^(?=daemon )/$user/m;

	return $text;
}

# The text of a configuration with the REST store on one memcached, on one
# connection, that is given time; with more lines of the http block.
sub kv_conf {
	my ($http) = @_;

	return conf(<<'EOF' =~ s/%%HTTP%%/$http \/\/ ''/er);

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    %%HTTP%%

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

# The REST store.  Requests take a key of any bytes and, as options,
#
#	location	of the store, default: /kv/
#	args		"ttl=60" and the like
#	headers		lines without their end
#	and those of http(), such as start and PeerAddr

sub kv_get { kv_request('GET', @_) }

sub kv_head { kv_request('HEAD', @_) }

sub kv_delete { kv_request('DELETE', @_) }

sub kv_put {
	my ($key, $value, %extra) = @_;
	return kv_request('PUT', $key, %extra, value => $value);
}

sub kv_post {
	my ($key, $args, %extra) = @_;
	return kv_request('POST', $key, value => '', %extra, args => $args);
}

sub kv_request {
	my ($method, $key, %extra) = @_;
	return http(request($method, $key, \%extra), %extra);
}

# The request's text; takes its own options out of %extra.
sub request {
	my ($method, $key, $extra) = @_;
	my ($location, $args, $headers, $value) =
		delete @$extra{qw/ location args headers value /};
	my $uri = ($location // '/kv/') . escape($key);

	$uri .= "?$args" if defined $args;

	return join "\x0d\x0a", "$method $uri HTTP/1.0", 'Host: localhost',
		@{$headers // []},
		defined $value ? 'Content-Length: ' . length $value : (),
		'', $value // '';
}

sub escape {
	my ($key) = @_;
	$key =~ s/([^A-Za-z0-9._-])/sprintf '%%%02X', ord $1/ge;
	return $key;
}

###############################################################################

# Answers.

sub code {
	my ($reply) = @_;
	return defined $reply && $reply =~ m!^HTTP/1\.[01] (\d{3})!
		? $1 : 'no answer';
}

sub header {
	my ($reply, $name) = @_;
	my ($head) = split /\x0d\x0a\x0d\x0a/, $reply // '', 2;
	return defined $head && $head =~ /^\Q$name\E:\s*(.*?)\x0d?$/mi
		? $1 : undef;
}

# "200 value": code and body in one, for comparing.
sub content {
	my ($reply) = @_;
	return join ' ', code($reply), http_content($reply) // '(no body)';
}

###############################################################################

# Sends requests (texts, or lists for kv_request) all at once, each over its
# own connection, and returns the answers, in order.
sub http_many {
	my (@requests) = @_;
	my @sockets = map { http_start(ref $_ ? request(@$_[0, 1],
		{ @$_[2 .. $#$_] }) : $_) } @requests;

	return read_all(@sockets);
}

sub read_all {
	my (@sockets) = @_;
	my $open = IO::Select->new(grep { $_ } @sockets);
	my %reply = map { ($_ => '') } grep { $_ } @sockets;
	my $end = time() + PATIENCE;

	while ($open->count() && time() < $end) {
		for my $s ($open->can_read(1)) {
			next if $s->sysread($reply{$s}, 65536,
				length $reply{$s});
			$open->remove($s);
			$s->close();
		}
	}

	return map { $_ ? $reply{$_} : undef } @sockets;
}

###############################################################################

# Diagnostics.

# The status, decoded.
sub status {
	my ($uri) = @_;
	my $reply = http_get($uri // '/status?format=json');
	my $body = http_content($reply);

	return eval { JSON::PP->new->utf8->decode($body) }
		// die "Not JSON: " . ($reply // 'no answer') . "\n";
}

# What the status page says of a server, by a part of its address.
sub server_status {
	my ($address, $uri) = @_;
	my ($server) = grep { index($_->{address}, $address) >= 0 }
		map { @{$_->{servers}} } @{status($uri)->{clients}};
	return $server;
}

# The error log without what nginx says for debugging.
sub messages {
	my ($t) = @_;
	return join "\n", grep { !/ \[debug\] / && / \[[a-z]+\] / }
		split /\n/, $t->read_file('error.log');
}

# What the two libraries that a test may run on have no common word for: nginx's
# process, once its file names it; and that nginx has exited, or was left to
# run, so that the library has nothing to stop.
sub master {
	my ($t) = @_;
	return wait_for(sub { $t->read_file('nginx.pid') =~ /^(\d+)/ && $1 });
}

sub ended {
	my ($t) = @_;
	$t->{$_} = 0 for qw/ started _started /;
}

# Processes that were started as workers and have not exited.
sub worker_pids {
	my ($t) = @_;
	my $log = $t->read_file('error.log');
	my %alive = map { ($_ => 1) } $log =~ /start worker process (\d+)/g;

	delete @alive{$log =~ /process (\d+) exited/g};

	my @pids = sort { $a <=> $b } keys %alive;
	return @pids;
}

# The worker of an nginx that has been started just now, which the log
# may not say yet.
sub first_worker {
	my ($t) = @_;
	return wait_for(sub { (worker_pids($t))[0] });
}

# Asks until the answer is true, and returns it; undef if it never is.
sub wait_for {
	my ($ask) = @_;
	my $end = time() + PATIENCE;

	while (time() < $end) {
		my $answer = $ask->();
		return $answer if $answer;
		select undef, undef, undef, 0.02;
	}

	return undef;
}

###############################################################################

1;
