#!/usr/bin/perl

# Tests for examples/kv: GET and HEAD change nothing (R48).  Every query that
# README.md documents, whatever its method, is sent with these, and the server
# is asked for all that it knows of its items before and after it.

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

use constant KEYS => qw/ ever mortal number stale made none /;

my @queries = documented();

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->plan(9 + 4 * @queries)->write_file_expand('nginx.conf', http_conf(<<'EOF'));

    memcache_server 127.0.0.1:8081 max=1;
    memcache_connect_timeout 30s;
    memcache_timeout 30s;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        location /kv/ {
            memcache_kv on;
        }

        # what README and SECURITY advise
        location /read/ {
            memcache_kv on;
            limit_except GET { deny all; }
        }
    }

EOF

my $m = Test::Memcached->start($t, port(8081));

$t->run();

###############################################################################

# Items of all kinds: one that lives for ever and one that does not, a number,
# one that is marked as stale and being made anew, one that is being made; of
# one more there is nothing.

$m->set('ever', 'cow', 7);
$m->set('mortal', 'cow', 0, 5000);
$m->set('number', '10');
$m->set('stale', 'cow');
is(code(kv_post('stale', 'invalidate')), 204, 'stale');
is(header(kv_post($_, 'lease=5000'), 'X-Memcache-Lease'), 'won', $_)
	for 'stale', 'made';

kv_get($_) for KEYS;

my $before = items();
is(scalar(() = $before =~ /^key=/mg), 5, 'five items');

for my $query (@queries) {
	for my $method (qw/ GET HEAD /) {
		my $just = items();
		my %codes;

		for my $location (qw! /kv/ /read/ !) {
			for my $key ($query->{key} ? KEYS : '') {
				my $r = kv_request($method, $key,
					args => $query->{args},
					location => $location,
					headers => $query->{headers});
				$codes{code($r)} = 1;
			}
		}

		my $name = "$method as of $query->{text}";
		# that an item was read is all that may be noted of it
		my $after = items();
		my $reads = ($codes{200} || $codes{304}) && $query->{text} !~ /inspect/;
		is($reads ? unread($after) : $after, $reads ? unread($before)
			: $just, $name);
		is(join(' ', grep { !/^(200|204|304|400|404|405|412)$/ }
			keys %codes), '', "$name - answered");
	}
}

# in the read-only location there is no other method

is(join(' ', map { code(kv_request($_, 'ever', location => '/read/',
	args => 'touch=1', value => 'x')) } qw/ PUT POST DELETE PATCH /),
	'403 403 403 403', 'other methods');
is(unread(items()), unread($before), 'other methods - nothing changed');

# Whoever reads an item that is marked as stale is given the lease, if nobody
# has it, and the module hands it back: its version counts up, and it is stale,
# and to be made, and there for as long, as before.

$m->set('marked', 'cow', 3, 5000);
kv_post('marked', 'invalidate');

my $marked = about('marked');
is(join(' ', map { code(kv_request($_, 'marked', location => '/read/')) }
	qw/ GET HEAD /), '404 404', 'marked - missed');
is(about('marked'), $marked, 'marked - as it was');
my $r = kv_post('marked', 'lease=9');
is(content($r) . ' ' . header($r, 'X-Memcache-Lease'), '200 cow won',
	'marked - nobody has the lease');

###############################################################################

# What README's table of requests says, with values for what it leaves open,
# alone and beside other arguments; "... with" is the row before it with a header.
sub documented {
	open my $f, '<', '../README.md' or die "Can't read README.md: $!";
	my ($table) = do { local $/; <$f> } =~ /^\| request \| (.*?)^$/ms
		or die "No table of requests\n";
	my (@queries, $row);

	for my $first ($table =~ /^\| (.*?) \|/mg) {
		if ($first =~ /^… with /) {
			push @queries, map { { %$row, headers => [$_] } }
				$first =~ /`(.*?)`/g;
			next;
		}

		my $key = $first =~ /KEY/;

		for my $query ($first =~ /`(.*?)`/g) {
			my ($args) = $query =~ /\?(.*)/;

			s/=(?:n|secs)\b/=1/, s/^(noop|stats|flush_all)=1/$1=0/,
				s/^keys=.*/'keys=' . join ',', KEYS/e
				for grep { defined } $args;
			$row = { key => $key, args => $args };
			push @queries, $row, map { { key => $key,
				args => join '&', $args // (), $_ } }
				qw/ ttl=1 recache=2592000 delay=1 initial=1 /;
		}
	}

	# what was documented once, what contradicts itself, what is nothing
	push @queries, map { { key => 1, args => $_ } } qw/ touch=1&inspect
		inspect&lease=5000 keys=ever&touch=1 fetch=1 delete set=x /;

	for my $query (@queries) {
		$query->{text} = join ' ', $query->{key} ? 'KEY' : '(no key)',
			$query->{args} // (), @{$query->{headers} // []};
	}

	my %seen;
	return grep { !$seen{$_->{text}}++ } @queries;
}

# All that the server says of its items, and their values.
sub items {
	my (%value, @items);

	for my $key (KEYS) {
		$m->send("mg $key v u\r\n");
		$value{$key} = substr $m->take($1 + 2), 0, -2
			if $m->line() =~ /^VA (\d+)/;
	}

	# the list may leave out what the server is just working on, and has
	# what the module stores for a second to find out what the server can do
	wait_for(sub { @items = grep { exists $value{key_of($_)} } list();
		@items == keys %value }) or die "Not all is listed: @items\n";

	return join "\n", sort map { "$_ value=" . $value{key_of($_)} } @items;
}

sub key_of {
	return ($_[0] =~ /^key=(\S+)/)[0];
}

# What it says of one item, save its version.
sub about {
	my ($key) = @_;
	my $line = wait_for(sub { (grep { key_of($_) eq $key } list())[0] })
		or die "$key is not listed\n";

	return unread($line) =~ s/(?<=cas=)\d+//gr;
}

# The same without when and whether they were read.
sub unread {
	my ($items) = @_;
	return $items =~ s/ (?:la|fetch)=\w+//gr;
}

sub list {
	my @items;

	$m->send("lru_crawler metadump all\r\n");

	while ((my $line = $m->{connection}->getline() // die 'closed') !~ /^END/) {
		push @items, $line =~ s/\s+$//r;
	}

	return @items;
}

###############################################################################
