#!/usr/bin/perl

# Tests for memcache module: the status of very many clients is made a little at
# a time, so that the worker serves others meanwhile, and where there is no
# memory for it, the answer is 503.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;
use IO::Select;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { CLIENTS => 3000, QUICK => 20 };

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(23);

# each has a client of its own: they have different prefixes

my $servers = join '', map { <<"EOF" } 1 .. CLIENTS - 1;
    server {
        listen       127.0.0.1:8080;
        server_name  name$_;
        memcache_prefix p$_:;
    }
EOF

$t->write_file_expand('nginx.conf', conf(<<'EOF' . $servers . "}\n"));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 1;

events {
    worker_connections 8192;
}

http {
    %%TEST_GLOBALS_HTTP%%

    server_names_hash_max_size 16384;
    memcache_server 127.0.0.1:8081 smax=1 max=1;

    server {
        listen       127.0.0.1:8080 default_server;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /quick {
            return 204;
        }

        location /status {
            memcache_status;
        }
    }

EOF

Test::Memcached->start($t, port(8081));
$t->write_file('nginx.conf', $t->read_file('nginx.conf')
	=~ s!error\.log debug;!error.log info;!r);
$t->run();

is(code(kv_put('cow', 'moo')), 204, 'it works');

# all of it is there

my $json = status();
is(scalar(@{$json->{clients}}), CLIENTS, 'R51 JSON');
is(scalar(grep { @{$_->{servers}} == 1 } @{$json->{clients}}), CLIENTS,
	'R51 JSON - servers');
is($json->{clients}[0]{servers}[0]{operations}{set}, 1, 'R51 JSON - the first');
is(scalar(@{status('/status.json?key=cow')->{routes}}), CLIENTS,
	'R51 JSON - routes');

my $metrics = http_content(http_get('/status.prometheus'));
is(scalar(() = $metrics =~ /^memcache_server_up\{/mg), CLIENTS,
	'R51 Prometheus');
is(scalar(() = $metrics =~ /^# TYPE memcache_server_up /mg), 1,
	'R51 Prometheus - a metric once');
is(scalar(() = $metrics =~ /_bucket\{.*le="0\./mg), 0,
	'R51 Prometheus - no buckets of so many');

my $page = http_content(http_get('/status'));
like($page, qr/2800 more clusters are not shown/, 'R51 page');
like($page, qr!</html>\s*\z!, 'R51 page - whole');

for my $format (qw/ html json prometheus /) {
	my $head = http_head("/status.$format");
	like($head, qr/^Content-Length: [1-9]\d{5,}\r$/m, "R51 HEAD $format");
}

# others are served before it is ready

for my $format (qw/ json prometheus /) {
	my $slow = http_get("/status.$format", start => 1);
	my @quick = map { http_get('/quick', start => 1) } 1 .. QUICK;
	my $open = IO::Select->new($slow, @quick);
	my ($before, $ready) = (0, 0);

	while (!$ready && $open->count()) {
		for my $s ($open->can_read(20)) {
			$ready = 1 if $s == $slow;
			$open->remove($s);
			$before++ if !$ready;
		}
	}
	is($before, QUICK, "R51 $format - others first");
	my $all = '';
	1 while $slow->sysread($all, 65536, length $all);
	is(code($all), 200, "R51 $format - and then it");
}

# who leaves, and who is asked to exit meanwhile

$_->close() for map { http_get('/status.json', start => 1) } 1 .. 5;
is(code(http_get('/quick')), 204, 'R51 clients that leave');

my ($old) = worker_pids($t);
my $slow = http_get('/status.prometheus', start => 1);
http_get('/quick');
$t->reload();
my $all = '';
1 while $slow->sysread($all, 65536, length $all);
is(scalar(() = $all =~ /^memcache_server_up\{/mg), CLIENTS,
	'R51 a worker that exits');
ok(wait_for(sub { !grep { $_ == $old } worker_pids($t) }), 'R51 it does exit');

# no memory

SKIP: {
	skip 'no prlimit', 3 if system('prlimit --version >/dev/null 2>&1') != 0;
	skip 'AddressSanitizer has an address space of its own', 3
		if ($ENV{TEST_NGINX_SIBLING_CFLAGS} // '') =~ /sanitize/;

	my ($worker) = worker_pids($t);
	open my $f, '<', "/proc/$worker/status" or die "No worker: $!\n";
	my ($kib) = do { local $/; <$f> } =~ /^VmSize:\s+(\d+)/m;
	my $most = ($kib + 4096) * 1024;

	system('prlimit', "--pid=$worker", "--as=$most:unlimited");
	is(join(' ', map { code(http_get("/status.$_")) }
		qw/ json prometheus json /), '503 503 503', 'R51 no memory');
	is(content(kv_get('cow')), '200 moo', 'R51 no memory - the rest works');
	system('prlimit', "--pid=$worker", '--as=unlimited:unlimited');
	is(join(' ', map { code(http_get("/status.$_")) }
		qw/ json prometheus html /), '200 200 200', 'R51 memory again');
}

###############################################################################
