#!/usr/bin/perl

# Tests for memcache module: R11, values that are kept for clients that read
# slowly, or not at all, have a bound per worker.

###############################################################################

use warnings;
use strict;

use Test::More;

use IO::Socket::INET;
use Socket;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

use constant { LARGE => 500_000, MAX => 4 * 1024 * 1024 };

my $text = <<'EOF';

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081;
    memcache_max_retained 4m;
    send_timeout 60s;

    server {
        listen       127.0.0.1:8080 sndbuf=8k;
        server_name  localhost;

        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }
}

EOF

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(26);

# the directive

for (['0', qr/it must be a size from 1/], ['x', qr/it must be a size/],
	['4m; memcache_max_retained 4m', qr/is duplicate/])
{
	my ($value, $says) = @$_;
	like(check_config($t, $text =~ s/retained 4m/retained $value/r), $says,
		"memcache_max_retained $value");
}
like(check_config($t, $text =~ s/(?=send_timeout)/server { listen 127.0.0.1:8082; memcache_max_retained 1m; } /r),
	qr/"memcache_max_retained" directive is not allowed here/,
	'memcache_max_retained in a server');

$t->write_file_expand('nginx.conf', conf($text));
my $m = Test::Memcached->start($t, port(8081));
$t->run();

###############################################################################

$m->set('large', 'x' x LARGE);
$m->set('small', 's' x 20000);
$m->set('tiny', 'tiny');
$m->set('over', 'o' x 900_000);

is_deeply(status()->{retained}, { bytes => 0, max => MAX, refused => 0 },
	'R11 nothing is kept');

# clients that do not read: some wait, the others are refused

my @idle = map { idle('large') } 1 .. 12;
ok(wait_for(sub { status()->{retained}{refused} > 0 }), 'R11 refused');
my $kept = status()->{retained}{bytes};
cmp_ok($kept, '>', MAX / 2, 'R11 kept');
cmp_ok($kept, '<=', MAX / 4 * 3, 'R11 kept, large ones leave a quarter');
is(code(http_get('/kv/large')), 503, 'R11 one more');
is(content(http_get('/kv/tiny')), '200 tiny', 'R11 a tiny one');
is(length http_content(http_get('/kv/small')), 20000, 'R11 a small one');
is(code(http_get('/kv/large', method => 'HEAD')), 503, 'R11 HEAD');

# small ones have their bound, too

push @idle, map { idle('small') } 1 .. 150;
ok(wait_for(sub { status()->{retained}{bytes} > MAX - 20000 }),
	'R11 many small ones');
cmp_ok(status()->{retained}{bytes}, '<=', MAX, 'R11 many small ones, bound');
is(code(http_get('/kv/small')), 503, 'R11 one more small one');
is(content(http_get('/kv/tiny')), '200 tiny', 'R11 a tiny one goes on');

like($t->read_file('error.log'),
	qr/\[error\].*values were not kept for clients, \d+ bytes are, .* 4194304/,
	'R11 logged');
my $lines = () = $t->read_file('error.log') =~ /values were not kept/g;
cmp_ok($lines, '<', 30, 'R11 lines are summed up');
unlike($t->read_file('error.log'), qr/memcache_max_retained is reached/,
	'R11 no line for each');

# they leave, and read

my $first = shift @idle;
my $reply = '';
1 while $first->sysread($reply, 65536, length $reply);
is(length http_content($reply), LARGE, 'R11 who reads gets all of it');

close $_ for @idle;
ok(wait_for(sub { status()->{retained}{bytes} == 0 }), 'R11 all are given back');
is(length http_content(http_get('/kv/large')), LARGE, 'R11 goes on');

###############################################################################

# one value alone may be larger than the bound

$t->write_file_expand('nginx.conf',
	conf($text =~ s/retained 4m/retained 100k/r));
my $old = (worker_pids($t))[0];
$t->reload();
ok(wait_for(sub { !grep { $_ == $old } worker_pids($t) }), 'reload');
is(length http_content(http_get('/kv/over')), 900_000, 'R11 one alone');
my $s = idle('over');
ok(wait_for(sub { status()->{retained}{bytes} == 900_000 }), 'R11 it is kept');
is(code(http_get('/kv/over')), 503, 'R11 another one is not');

###############################################################################

# A client that does not read, and has no room for what comes.
sub idle {
	my ($key) = @_;
	socket(my $s, PF_INET(), SOCK_STREAM(), 0) or die;
	setsockopt($s, SOL_SOCKET(), SO_RCVBUF(), 4096) or die;
	connect($s, sockaddr_in(port(8080), inet_aton('127.0.0.1'))) or die;
	syswrite $s, "GET /kv/$key HTTP/1.0\r\nHost: localhost\r\n\r\n";
	return bless $s, 'IO::Socket::INET';
}

###############################################################################
