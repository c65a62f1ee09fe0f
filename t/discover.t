#!/usr/bin/perl

# Tests for memcache module: the servers that a configuration endpoint names,
# as they come and go.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Nginx::Lifecycle;
use Test::Nginx::Load;
use Test::Memcached;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')->plan(30);

$t->write_file_expand('nginx.conf', conf(<<'EOF'));

%%TEST_GLOBALS%%

%%MEMCACHE_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_zone memcache:32m;

    memcache_server 127.0.0.1:8081 discover max=4;
    memcache_discover_interval 200ms;
    memcache_hash consistent;
    memcache_timeout 8s;
    memcache_retry 100ms;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        location /status {
            memcache_status json;
        }

        location /metrics {
            memcache_status prometheus;
        }
    }
}

EOF

my @ports = map { port($_) } 8082 .. 8084;
my %m = map { ($_ => Test::Memcached->start($t, $_)) } @ports;
my ($file, $serial) = ($t->testdir() . '/nodes', 0);

# What the file says: a list, or what goes wrong.
my $script = sub {
	my ($request) = @_;
	return $request->answer() if $request->{verb} ne 'config'
		&& $request->{line} !~ /AmazonElastiCache/;

	open my $f, '<', $file or die "Can't open $file: $!\n";
	my $says = do { local $/; <$f> };
	my ($way, $list) = split /:/, $says, 2;

	return () if $way eq 'silence';
	return CLOSE if $way eq 'close';
	if ($request->{verb} eq 'config') {
		return "ERROR\r\n" if $way eq 'item';
		return "CONFIG cluster 0 " . length($list) . "\r\n$list\r\nEND\r\n";
	}
	return "VALUE AmazonElastiCache:cluster 0 " . length($list) . "\r\n$list\r\nEND\r\n";
};
Test::Memcached::Fake->start($t, port(8081), $script);

says("config:0\n\n");
quiet($t);
$t->run();
my $master = $t->read_file('nginx.pid') + 0;
settled($master, 2) or die "No workers\n";

###############################################################################

# before the first answer there is nobody to ask, and operations wait

is(status()->{clients}[0]{list_version}, 0, 'no list yet');
is(names(), '127.0.0.1:' . port(8081), 'the line stands for it');
my $waiting = kv_put('early', 'one', start => 1);
nodes(0, 1);
is(code(read_all($waiting)), 204, 'an operation waits for the list');

ok(wait_for(sub { everywhere(1) }), 'all workers have the list');
is(names(), expected(0, 1), 'its servers, by their names');
is(scalar(grep { code($_) == 204 } puts('one')), 40, 'stored');
ok((!grep { $_ == 0 } map { held($_, 'one') } 0, 1), 'at both');
like(http_get('/metrics'), qr/^memcache_list_version\{[^}]*\} 1$/m, 'its version as a metric');

# they come and go under load

my $load = Test::Nginx::Load->start($t);
nodes(0, 1, 2);
ok(wait_for(sub { everywhere(2) && names() eq expected(0, 1, 2) }), 'one comes');
nodes(1, 2);
ok(wait_for(sub { everywhere(3) && names() eq expected(1, 2) }), 'one goes');
ok(wait_for(sub { $m{$ports[0]}->open_connections() <= 1 }), 'and its connections');
nodes(2, 1);
nodes(0, 2, 1);
ok(wait_for(sub { everywhere(4) && names() eq expected(0, 1, 2) }), 'it returns');
my $seen = $load->stop();
is(join(' ', sort grep { !/^(200|204|404)$/ } keys %$seen), '', 'no operation failed')
	or diag(explain($seen));

# what is wrong changes nothing, and is said once

for (['garbage', 'config:hello', qr/"hello" is not a version and a line of servers/],
	['no server', "config:9\n\n", qr/it names no server/],
	['no address', "config:9\na.test||11211\n", qr/it names "a\.test" without an address/])
{
	my ($name, $says, $text) = @$_;
	says($says);
	ok(wait_for(sub { messages($t) =~ $text }), "$name: is said");
	is(names(), expected(0, 1, 2), "$name: the servers stay");
}
is(scalar(() = messages($t) =~ /"hello" is not/g), 1, 'once');

# the older question

nodes_by('item', 0, 1);
ok(wait_for(sub { everywhere(5) && names() eq expected(0, 1) }), 'the older question');

# the asker dies, whoever it is

my $version = 5;
for my $worker (workers($master)) {
	kill 'KILL', $worker;
	wait_for(sub { my @now = workers($master);
		return @now == 2 && !grep { $_ == $worker } @now });
	my @nodes = ++$version % 2 ? (0, 1) : (0, 1, 2);
	nodes(@nodes);
	ok(wait_for(sub { everywhere($version) && names() eq expected(@nodes) }), 'a worker dies');
}

# the list outlives a reload, also if nobody answers

says('silence:');
my %old = map { ($_ => 1) } workers($master);
kill 'HUP', $master;
wait_for(sub { my @now = workers($master);
	return @now == 2 && !grep { $old{$_} } @now }) or die "No reload\n";
ok(everywhere($version), 'the list is there after a reload');
is(scalar(grep { content($_) eq '200 two' } map { kv_put("r$_", 'two'); kv_get("r$_") } 1 .. 20),
	20, 'and is used');

# a node is replaced: its name is the same, its address is not

my $other = Test::Memcached->start($t, $ports[1], address => '127.0.0.2');
my @list = map { "n$_.test|127.0.0.1|$ports[$_]" } 0, 2;
says('config:' . ++$serial . "\n" . join(' ', @list, "n1.test|127.0.0.2|$ports[1]") . "\n");
ok(wait_for(sub { everywhere($version + 1)
	&& grep { $_->{asked_at} eq "127.0.0.2:$ports[1]" } servers() }), 'another address');
puts('three');
ok(scalar(grep { ($other->get("k$_") // '') eq 'three' } 1 .. 40), 'is asked');
is(scalar(grep { content($_) eq '200 three' } map { kv_get("k$_") } 1 .. 40), 40, 'by all');

# an endpoint that closes goes down, as any server; the list stays

my @names = names();
says('close:');
ok(wait_for(sub { messages($t) =~ /stay as they are: (?!it names|"hello")/ }), 'a close: is said');
is_deeply([names()], \@names, 'a close: the servers stay');

# that of the workers

expect_alerts($t, qr/exited on signal 9/);

###############################################################################

sub says {
	my ($text) = @_;
	open my $f, '>', "$file.new" or die "Can't create $file: $!\n";
	print $f $text;
	close $f;
	rename "$file.new", $file;
}

sub nodes { nodes_by('config', @_) }

sub nodes_by {
	my ($way, @nodes) = @_;
	my @list = map { "n$_.test|127.0.0.1|$ports[$_]" } @nodes;
	says("$way:" . ++$serial . "\n@list\n");
}

sub expected { join ' ', map { "n$_.test:$ports[$_]" } @_ }

sub servers { @{ status()->{clients}[0]{servers} } }

sub names { join ' ', map { $_->{address} } servers() }

# Whether each worker has this version of the list.
sub everywhere {
	my ($version) = @_;
	my %at;

	for (1 .. 40) {
		my $status = status();
		$at{$status->{pid}} = $status->{clients}[0]{list_version};
		last if keys %at == 2;
	}
	return keys %at == 2 && !grep { $_ != $version } values %at;
}

sub puts {
	my ($value) = @_;
	return http_many(map { ['PUT', "k$_", value => $value] } 1 .. 40);
}

sub held {
	my ($node, $value) = @_;
	return scalar grep { ($m{$ports[$node]}->get("k$_") // '') eq $value } 1 .. 40;
}

###############################################################################
