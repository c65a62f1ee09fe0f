#!/usr/bin/perl

# Tests for memcache module: what contrib/ asks Prometheus for is what there
# is.

###############################################################################

use warnings;
use strict;

use Test::More;

BEGIN { use FindBin; chdir($FindBin::Bin); }

use lib 'lib';
use Test::Nginx qw/ :DEFAULT http_content /;
use Test::Nginx::Memcache;
use Test::Memcached;

###############################################################################

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http/)->has_daemon('memcached')
	->has_daemon('promtool');

my $config = http_conf(<<'EOF');

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        memcache_server 127.0.0.1:8081;

        location /kv/ {
            memcache_kv on;
        }

        location = /metrics {
            memcache_status prometheus;
        }
    }

EOF

my $contrib = "$FindBin::Bin/../contrib";
my $dashboard = JSON::PP->new->utf8->decode(slurp('memcache-dashboard.json'));
my $alerts = slurp('memcache-alerts.yml');

my @queries = map { ($_->{title}, map { $_->{expr} } @{$_->{targets}}) }
	@{$dashboard->{panels}};
push @queries, map { ref $_->{query} ? $_->{query}{query} : () }
	@{$dashboard->{templating}{list}};
push @queries, $alerts =~ /expr: (.*?)\n\s+(?:for|labels):/gs;

my %asked = map { ($_ => 1) }
	map { s/"[^"]*"//gr =~ /\bmemcache_\w+/g } @queries;
my @asked = sort keys %asked;

$t->plan(@asked + 9);

cmp_ok(scalar @{$dashboard->{panels}}, '>=', 10, 'panels');
cmp_ok(scalar @asked, '>=', 20, 'metrics');

my $m = Test::Memcached->start($t, port(8081));

# what README.md shows, on a machine with many processors

my ($sample) = slurp('README.md') =~ /```nginx\n(.*?)```/s;
my $servers = join '', map { "    memcache_server 127.0.0.1:$_;\n" } 1 .. 12;
$sample =~ s/http \{\n\K/    %%TEST_GLOBALS_HTTP%%\n$servers/;
like(check_config($t, <<"EOF"), qr/test is successful/, 'R55 with 16 workers');
%%TEST_GLOBALS%%
%%MEMCACHE_GLOBALS%%
daemon off;
worker_processes 16;
events {
    worker_connections 4096;
}
$sample
EOF
$t->write_file_expand('nginx.conf', $config);
$t->run();

kv_put('cow', 'moo');
kv_get('cow');

my $metrics = http_content(http_get('/metrics'));
my %there = map { ($_ => 1) } $metrics =~ /^(memcache_\w+)[ {]/mg;

ok($there{$_}, $_) for @asked;

# what they are told apart by

my %label = map { ($_ => 1) } qw/ job instance /, $metrics =~ /[{,](\w+)="/g;
my %used = map { ($_ => 1) } map { /[{,](\w+)[!=]~?"/g } @queries;
$used{$_} = 1 for map { split /[\s,]+/ } map { /\bby \(([^)]*)\)/g } @queries;
is_deeply([grep { !$label{$_} && $_ ne 'le' } sort keys %used], [], 'labels');

# no kind, class or state is asked for that there is not

my %word = map { ($_ => 1) } $metrics =~ /\b(?:op|class)="([^"]*)"/g;
my @words = map { split /\|/ }
	map { /\b(?:op|class)(?:!?=|[!=]~)"([\w|]+)"/g } @queries;
is_deeply([grep { !$word{$_} } @words], [], 'words');

# the panels lie side by side

my %place;
for my $panel (@{$dashboard->{panels}}) {
	my $at = $panel->{gridPos};
	for my $x ($at->{x} .. $at->{x} + $at->{w} - 1) {
		$place{"$x $_"}++ for $at->{y} .. $at->{y} + $at->{h} - 1;
	}
}
is(scalar(grep { $_ > 1 } values %place), 0, 'panels do not overlap');

# the rules

like(`promtool check rules $contrib/memcache-alerts.yml 2>&1`,
	qr/SUCCESS: 7 rules/, 'promtool check rules');
like(`cd $contrib && promtool test rules memcache-alerts-test.yml 2>&1`,
	qr/SUCCESS/, 'promtool test rules');

# and every query is one that Prometheus can read

my @expressions = map { map { $_->{expr} } @{$_->{targets}} }
	@{$dashboard->{panels}};
$t->write_file('dashboard.yml', "groups:\n- name: dashboard\n  rules:\n"
	. join '', map { sprintf "  - {record: 'a:b%d', expr: %s}\n", $_,
	JSON::PP->new->allow_nonref->encode($expressions[$_]
	=~ s/\$__rate_interval/5m/gr) } 0 .. $#expressions);
my $dir = $t->testdir();
like(`promtool check rules $dir/dashboard.yml 2>&1`,
	qr/SUCCESS: ${\ scalar @expressions} rules/, 'queries of the dashboard');

###############################################################################

sub slurp {
	my ($name) = @_;
	open my $f, '<:raw', "$contrib/$name" or die "Can't open $name: $!";
	local $/;
	return scalar <$f>;
}

###############################################################################
