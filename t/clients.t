#!/usr/bin/perl

# Tests for memcache module: clients of blocks of the configuration and subsets
# of their servers, as a sibling in C uses them.

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

use constant { OK => 0, SERVER_DOWN => 20, INVALID_KEY => 25,
	NOT_CONFIGURED => 33, INVALID => 36, TOO_MANY => 39 };

# What the sibling says to a submit() when the process starts is what came of
# it, or 1000 and what submit() said.

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached');

plan(skip_all => 'no compiler, or no headers of nginx')
	unless compile_sibling($t, 'clients');

$t->plan(45);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

<load>

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    memcache_server 127.0.0.1:8081 max=1;
    memcache_timeout 30s;
    memcache_connect_timeout 30s;

    clients_conf http;

    upstream u {
        clients_conf upstream;
        server 127.0.0.1:8081;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        clients_conf inherits;
        <setting>

        location / {
            clients;
        }

        location /status {
            memcache_status;
        }

        location /inner {
            clients;
            clients_conf location;
        }
    }

    server {
        listen       127.0.0.1:8082;
        server_name  localhost;

        memcache_server 127.0.0.1:8083 weight=2;
        memcache_server 127.0.0.1:8084;
        memcache_server 127.0.0.1:8085 weight=3;
        memcache_server 127.0.0.1:8086;
        memcache_timeout 30s;
        memcache_max_value 100k;

        clients_conf own;

        location / {
            clients;
        }
    }

    server {
        listen       127.0.0.1:8087;
        server_name  localhost;

        <many>

        location / {
            clients;
        }
    }
}

EOF

# servers that nobody connects to
my $many = join "\n", map { "memcache_server 127.0.1.$_:11211 max=1;" } 1 .. 33;

my $m = Test::Memcached->start($t, port(8081));
my %server = map { ($_ => Test::Memcached->start($t, port($_))) }
	8083, 8084, 8085;

my @orders = (
	['module, sibling',
		'%%LOAD_MEMCACHE%% load_module %%TESTDIR%%/clients.so;'],
	['sibling, module',
		'load_module %%TESTDIR%%/clients.so; %%LOAD_MEMCACHE%%'],
);

###############################################################################

# Clients of blocks, in a worker and nowhere else (A2), also where the sibling's
# init_process runs first (A5).

my $connections = 0;

for (@orders) {
	my ($name, $load) = @$_;

	$m->send("delete init\r\n");
	$m->line();
	start($t, $load, '');

	for my $label (qw/ http inherits location /) {
		my $r = ask('conf', label => $label);
		is("$r->{servers} $r->{same}", '1 1', "$name - $label");
		ok(wait_for(sub { ask('conf', label => $label)->{start} == OK }),
			"A5 - $name - $label, stored in init_process");
	}

	my $r = ask('conf', label => 'own');
	is("$r->{servers} $r->{same}", '4 0', "$name - own");
	is(ask('conf', label => 'own', at => 8082)->{same}, 1,
		"$name - own is the request's");
	is(ask('conf', label => 'upstream')->{refused}, NOT_CONFIGURED,
		"$name - upstream");
	is($m->get('init'), 'location', "$name - the last one to store");
	is($m->connections(), ++$connections, "$name - one connection");
	is(scalar @{status()->{clients}}, 3, "$name - clients");

	$t->stop();
}

# No server block uses the client of the http block: whoever asks gets it.

start($t, $orders[1][1], 'memcache_queue 5;');

is(scalar @{status()->{clients}}, 4, 'on demand - asked for');
my $r = ask('conf', label => 'http');
is("$r->{servers} $r->{same}", '1 0', 'on demand - not that of the request');
is(ask('conf', label => 'inherits')->{same}, 1, 'on demand - that is another');

###############################################################################

# Subsets.

my ($one, $two, $three) = map { '127.0.0.1:' . port($_) } 8083 .. 8085;

$r = ask('subset', servers => '2,0', at => 8082);
is("$r->{servers} $r->{same} $r->{list}", "2 0 $one=2,$three=3,",
	'subset - in the order of the configuration');
is("$r->{behind} $r->{last} $r->{address} $r->{max}",
	INVALID . " 0 $three 102400", 'subset - of a subset');
is(ask('subset', servers => '3,2,1,0', at => 8082)->{same}, 1,
	'subset - all are the client itself');
is(ask('subset', servers => '', at => 8082)->{refused}, INVALID,
	'subset - none');
$r = ask('subset', servers => '0,1,0', at => 8082);
is("$r->{refused} $r->{null}", INVALID . ' 1', 'subset - one twice');
is(ask('subset', servers => '4', at => 8082)->{refused}, INVALID,
	'subset - no such server');
is(ask('subset', servers => '0,1,2,3,0', at => 8082)->{refused}, INVALID,
	'subset - more than there are');

# keys are on its servers, and where it says

my (@stored, %at);

for my $n (1 .. 30) {
	my @where = (key => "k$n", servers => '0,2', at => 8082);
	my $index = ask('where', @where)->{index};

	push @stored, ask('store', @where, value => $n)->{status};
	push @{$at{$index}}, $server{$index ? 8085 : 8083}->get("k$n") // '-';
}

is("@stored", join(' ', (OK) x 30), 'subset - stored');
is(join(' ', sort { $a <=> $b } map { @$_ } values %at), join(' ', 1 .. 30),
	'subset - where it says');
is(join(' ', sort keys %at), '0 1', 'subset - on each of its servers');
is($server{8084}->connections(), 0, 'subset - on no other');
is($server{8083}->connections(), 1, 'subset - the connections of its client');

$r = ask('where', key => '', servers => '0,2', at => 8082);
is("$r->{status} $r->{index}", INVALID_KEY . ' 4711', 'where - no key');

# a server that is down is down in all of them

my @down = (key => 'k', value => 'v', servers => '3', at => 8082);
is(ask('store', @down)->{status}, SERVER_DOWN, 'down');
is(ask('store', @down)->{refused}, SERVER_DOWN, 'down - at once');
my @key = grep { ask('where', key => $_, at => 8082)->{index} == 3 } 'a' .. 'z';
is(ask('store', @down, key => $key[0], servers => '0,1,2,3')->{refused},
	SERVER_DOWN, 'down - for all');

# so many and no more

$r = ask('all', n => 32, at => 8087);
is("$r->{made} $r->{status} $r->{first}", '32 0 0', 'as many as there may be');
$r = ask('all', n => 33, at => 8087);
is("$r->{made} $r->{status} $r->{first}", '32 ' . TOO_MANY . ' 0', 'too many');

$t->stop();

###############################################################################

sub start {
	my ($t, $load, $setting) = @_;
	my $text = $conf;

	$text =~ s/<load>/$load/;
	$text =~ s/<setting>/$setting/;
	$text =~ s/<many>/$many/;
	$t->write_file_expand('nginx.conf', conf($text));
	$t->run();
}

# What the sibling says, as a hash.
sub ask {
	my ($do, %args) = @_;
	my $port = port(delete $args{at} // 8080);
	my $text = http_content(http(join("\x0d\x0a", "GET /?do=$do"
		. join('', map { "&$_=$args{$_}" } sort keys %args)
		. ' HTTP/1.0', 'Host: localhost', '', ''),
		PeerAddr => "127.0.0.1:$port")) // '';

	return { $text =~ /(\w+)=(\S*)/g };
}

###############################################################################
