#!/usr/bin/perl

# Tests for memcache module: F55, allocations that fail.  Of those that a
# request or a reload makes, each fails once, alone and with all behind it:
# the answer is right or an error, the worker goes on, and so do its
# connections to memcached.

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

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler')
	if system('gcc --version >/dev/null 2>&1') != 0;
plan(skip_all => 'AddressSanitizer has an allocator of its own')
	if ($ENV{TEST_NGINX_SIBLING_CFLAGS} // '') =~ /sanitize/;
plan(skip_all => 'valgrind has an allocator of its own')
	if $ENV{VALGRIND_NGINX};

my $d = $t->testdir();

system('gcc', qw! -O1 -g -Wall -Wextra -Werror -fPIC -shared -o !,
	"$d/memory.so", 'preload/memory.c', '-ldl') == 0
	or die "Can't compile preload/memory.c\n";

$t->plan(40)->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;
    memcache_coalesce on;

    client_max_body_size 1m;

    log_format memcache '$status $memcache_status';
    access_log memcache.log memcache;

%%KV_SERVER%%

EOF

# armed, first, count, least, counted, failed, object; as in preload/memory.c
use constant CONTROL => 'Q6 Z64';
use constant ALL => 1_000_000;

# whose allocations: those of the modules, or those of nginx
use constant { OURS => 'ngx_http_memcache', NGINX => 'nginx' };

my $m = Test::Memcached->start($t, port(8081));
my $large = 'L' x 300_000;

$m->set($_, "value of $_") for qw/ a b c /;
$m->set('large', $large);

# No value before it was half as large, so that there is no spare memory for it.
my $first = 'F' x 700_000;
$m->set('first', $first);

$t->write_file('control', pack(CONTROL, (0) x 6, ''));

{
	local $ENV{MEMORY_FILE} = "$d/control";
	local $ENV{LD_PRELOAD} = "$d/memory.so";
	$t->run();
}

is(content(kv_get('a')), '200 value of a', 'get');

my ($worker) = worker_pids($t);
my ($counted) = control(OURS, 0, 0, 0, sub { kv_get('a') });

cmp_ok($counted, '>', 0, 'allocations are counted');

###############################################################################

my %request = (
	'get' => [ sub { content(kv_get('a')) }, '200 value of a' ],
	'miss' => [ sub { code(kv_get('nothing')) }, 404 ],
	'set' => [ sub { code(kv_put('s', 'moo')) }, 204 ],
	'multi-get' => [ sub { content(http_get('/kv/?keys=a,b,c')) },
		'200 value of avalue of bvalue of c' ],
	'large get' => [ sub { content(kv_get('large')) }, "200 $large" ],
	'large set' => [ sub { code(kv_put('ls', $large)) }, 204 ],
	'lease' => [ sub { code(kv_post('a', 'lease=60')) }, 200 ],
	'status' => [ sub { code(http_get('/status')) }, 200 ],
);
my $many = $request{'multi-get'};

$many->[1] = $many->[0]->();

for my $name (sort keys %request) {
	my ($ask, $right) = @{$request{$name}};

	each_fails("F55 $name", OURS, 1, $ask, $right);
	each_fails("F55 $name - and all behind", OURS, ALL, $ask, $right);
	each_fails("F55 $name - of nginx", NGINX, 1, $ask, $right);
}

# for a value no memory is kept back

my (undef, $failed) = control(OURS, 1, ALL, length $first,
	sub { is(code(kv_get('first')), 500, 'F55 memory for a value') });
is($failed, 1, 'F55 memory for a value - once');
is(content(kv_get('a')), '200 value of a', 'F55 memory for a value - next');
control(OURS, 1, ALL, length $large,
	sub { is(code(kv_put('ls', $large)), 500, 'F55 memory for a body') });

# what comes while there is no memory is refused, until there is some again

control(OURS, 1, ALL, 0, sub {
	kv_put('s', 'moo');
	is(code(kv_get('a')), 500, 'F55 refused');
});
is(content(kv_get('a')), '200 value of a', 'F55 refused - and no more');
is(server_status(port(8081))->{pending}, 0, 'F55 nothing is pending');

is(join(' ', worker_pids($t)), $worker, 'F55 the worker goes on');
is($m->connections(), 1, 'F55 so does its connection');

# a worker that is new: connections, buffers, the client itself

my $reload = sub {
	my ($before) = worker_pids($t);
	$t->reload();
	wait_for(sub { my @now = worker_pids($t);
		@now == 1 && $now[0] != $before }) or return 'no new worker';
	return content(kv_get('a'));
};

each_fails('F55 reload', OURS, 1, $reload, '200 value of a');
each_fails('F55 reload - and all behind', OURS, ALL, $reload,
	'200 value of a');

is(content(kv_get('first')), "200 $first", 'F55 at last');

# what the access log calls it

like($t->read_file('memcache.log'), qr/^500 NO_MEMORY$/m,
	'R21 no memory has its name');
unlike($t->read_file('memcache.log'), qr/ INVALID$/m, 'R21 nothing else has');

###############################################################################

# Runs the code while allocations fail; what was counted, and what failed.
sub control {
	my ($object, $first, $count, $least, $code) = @_;

	poke(pack(CONTROL, 1, $first, $count, $least, 0, 0, $object));
	$code->();
	my @now = unpack(CONTROL, peek());
	poke(pack('Q', 0));

	return @now[4, 5];
}

sub peek {
	open my $f, '<:raw', "$d/control" or die "Can't open control: $!";
	local $/;
	return scalar <$f>;
}

# The file is mapped: it is changed, not replaced.
sub poke {
	my ($bytes) = @_;

	open my $f, '+<:raw', "$d/control" or die "Can't open control: $!";
	syswrite($f, $bytes) == length $bytes or die "Can't write: $!";
	close $f;
}

# Lets the first allocation fail, then the second, and so on, until there are no
# more; answers have to be right or errors, those of nginx's own
# failures may be none, and what is asked next has to be right.
sub each_fails {
	my ($name, $object, $count, $ask, $right) = @_;
	my (@wrong, %seen);
	my $k = 1;

	for (;; $k++) {
		my $got;
		my (undef, $failed) = control($object, $k, $count, 0,
			sub { $got = $ask->() });

		last if !$failed || $k > 2000;
		$seen{$got eq $right ? 'right' : code_of($got)}++;

		push @wrong, "$k: " . substr($got, 0, 60) unless $got eq $right
			|| $got =~ /^50[0-4]/
			|| $object eq NGINX && $got =~ /^no answer/;

		my $next = content(kv_get('b'));
		push @wrong, "$k, next: $next" if $next ne '200 value of b';
		last if @wrong > 5;
	}

	is(join("\n", @wrong), '', "$name, " . ($k - 1) . ': '
		. join(', ', map { "$seen{$_} x $_" } sort keys %seen));
}

sub code_of {
	my ($got) = @_;
	return $got =~ /^(\d{3}|no answer)/ ? $1 : substr $got, 0, 20;
}

###############################################################################
