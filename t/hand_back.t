#!/usr/bin/perl

# Tests for memcache module: what the client does by itself has an end that no
# server can move (R47).  A get that is given a lease hands it back; what is said
# to that is no lease, and keeps no worker that is told to exit.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx;
use Test::Nginx::Memcache;
use Test::Memcached::Fake;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->plan(16)
	->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;
        memcache_server 127.0.0.1:8081 max=1;
        location /kv/ { memcache_kv on; }
        location /status { memcache_status; }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;
        memcache_server 127.0.0.1:8083 max=1;
        location /kv/ { memcache_kv on; }
    }

    server {
        listen       127.0.0.1:8084;
        server_name  localhost;
        memcache_server 127.0.0.1:8085 max=1;
        location /kv/ { memcache_kv on; }
    }

EOF

my $handed_back = $t->testdir() . '/handed_back';

# appoints whoever asks for anything, whatever it is that was asked for
Test::Memcached::Fake->start($t, port(8081), sub {
	my ($request) = @_;
	my $key = $request->{key};
	my ($opaque) = grep { /^O/ } @{$request->{flags}};

	if ($request->{verb} eq 'mg') {
		return grep({ $_ eq 'v' } @{$request->{flags}})
			? "VA 3 f0 c7 k$key W X $opaque\r\nabc\r\n"
			: "HD s3 f0 c7 t-1 k$key W X $opaque\r\n";
	}
	return $request->answer() if $request->{verb} !~ /^m[sad]$/;
	note_it($handed_back, $key) if grep { /^C/ } @{$request->{flags}};
	return "HD $opaque W X c7 k$key\r\n";
});

# the same, and does not answer to what hands a lease back
my $mute = $t->testdir() . '/mute';
Test::Memcached::Fake->start($t, port(8083), sub {
	my ($request) = @_;
	my ($opaque) = grep { /^O/ } @{$request->{flags}};

	return "VA 3 f0 c7 k$request->{key} W X $opaque\r\nabc\r\n"
		if $request->{verb} eq 'mg';
	return $request->answer() if $request->{verb} ne 'md';
	note_it($mute, 'md');
	return;
});

# one that gives a lease, and does not say which process it is
my ($asked, $untold) = map { $t->testdir() . "/$_" } qw/ asked untold /;
Test::Memcached::Fake->start($t, port(8085), sub {
	my ($request) = @_;
	my ($opaque) = grep { /^O/ } @{$request->{flags}};

	if ($request->{verb} eq 'stats') {
		note_it($asked, 'stats');
		return;
	}
	if ($request->{verb} eq 'ms' && !$request->{tries}) {
		# there is something, and whoever stores over it has to wait
		return "NS $opaque\r\n" if grep { $_ eq 'ME' } @{$request->{flags}};
		note_it($asked, 'ms');
		return;
	}
	return $request->answer() if $request->{tries}
		|| $request->{verb} !~ /^m[gd]$/
		|| ($request->{verb} eq 'mg' && !grep { $_ eq 'v' } @{$request->{flags}});
	note_it($untold, 'version ' . substr $request->{flags}[0], 1)
		if $request->{verb} eq 'md';
	return $request->{verb} eq 'md' ? "HD $opaque\r\n"
		: "VA 0 f0 c7 k$request->{key} W $opaque\r\n\r\n";
});

$t->run();

###############################################################################

is(code(kv_get('cow')), 404, 'R47 get - it is stale');
ok(wait_for(sub { lines($handed_back) }), 'R47 get - handed back');

# with more to do behind it, so that all that it leads to has happened
is(code(kv_get("other$_")), 404, "R47 get $_") for 1 .. 3;
is(code(kv_delete('other')), 404, 'R47 delete');
is(code(kv_put('other', 'v')), 204, 'R47 set');
is(code(kv_get('last')), 404, 'R47 get - last');

wait_for(sub { lines($handed_back) >= 6 });
is_deeply([sort { $a cmp $b } split /\n/, lines_of($handed_back)],
	[qw/ cow last other other1 other2 other3 /], 'R47 once for each lookup');
is(server_status(port(8081))->{handed_back}, 6, 'R47 counted');

# a client that goes away when it has won, and nobody has told it

my $s = kv_post('cow', 'lease=5000', start => 1,
	PeerAddr => '127.0.0.1:' . port(8084));
ok(wait_for(sub { lines($asked) }), 'gone - it has won');
close $s;
ok(wait_for(sub { lines($untold) }), 'gone - handed back');
is(lines_of($untold), "version 7\n", 'gone - by its version');

# the same where the item is to be created over what is there

$s = kv_put('new', 'x', headers => ['If-None-Match: *'], start => 1,
	PeerAddr => '127.0.0.1:' . port(8084));
ok(wait_for(sub { lines_of($asked) =~ /^ms$/m }), 'gone - it creates');
close $s;
ok(wait_for(sub { lines($untold) == 2 }), 'gone - handed back again');

# a worker that is told to exit

kv_get('cow', PeerAddr => '127.0.0.1:' . port(8082));
wait_for(sub { lines($mute) });

my $worker = first_worker($t);
kill 'QUIT', $worker;
ok(wait_for(sub { !kill 0, $worker }), 'R47 the worker exits');

###############################################################################

sub note_it {
	my ($file, $line) = @_;
	open my $f, '>>', $file or die "Can't write $file: $!\n";
	print $f "$line\n";
}

sub lines_of {
	my ($file) = @_;
	open my $f, '<', $file or return '';
	return join '', <$f>;
}

sub lines {
	my ($file) = @_;
	return scalar split /\n/, lines_of($file);
}

###############################################################################
