package Test::Browser;

# Chromium without a window, through its driver, in the language of WebDriver.

###############################################################################

use warnings;
use strict;

use HTTP::Tiny;
use JSON::PP;
use Test::Nginx;

use constant START_TIME => 60;
use constant REQUEST_TIME => 60;

# A browser of the test's own, with nothing from an earlier one.
sub start {
	my ($class, $t, $port) = @_;
	my $dir = $t->testdir();

	my $self = bless {
		base => "http://127.0.0.1:$port",
		http => HTTP::Tiny->new(timeout => REQUEST_TIME),
		json => JSON::PP->new->utf8->allow_nonref->canonical,
		starter => $$,
	}, $class;

	local @ENV{qw/ HOME XDG_CONFIG_HOME XDG_CACHE_HOME TMPDIR /}
		= ($dir) x 4;
	$t->run_daemon('chromedriver', "--port=$port",
		"--log-path=$dir/chromedriver.log");

	for (1 .. START_TIME * 10) {
		last if $self->{http}->get("$self->{base}/status")->{success};
		select undef, undef, undef, 0.1;
	}

	my $session = $self->call('POST', '/session', { capabilities => {
		alwaysMatch => {
			'goog:chromeOptions' => { args => ["--user-data-dir=$dir/chrome",
				qw! --headless --no-sandbox --disable-gpu --disable-quic
				--no-first-run --disable-background-networking
				--disable-component-update --disable-sync
				--disable-dev-shm-usage --hide-scrollbars --lang=en !] },
			'goog:loggingPrefs' => { browser => 'ALL', performance => 'ALL' },
		} } });

	$self->{session} = "/session/$session->{sessionId}";
	return $self;
}

sub stop {
	my ($self) = @_;
	my $session = delete $self->{session};
	$self->call('DELETE', $session) if $session;
}

sub DESTROY {
	my ($self) = @_;
	eval { $self->stop() } if $self->{starter} == $$;
}

# What the driver answers; dies with its words if that is an error.
sub call {
	my ($self, $method, $path, $data) = @_;
	my $r = $self->{http}->request($method, $self->{base} . $path, {
		headers => { 'Content-Type' => 'application/json' },
		$method eq 'POST' ? (content => $self->{json}->encode($data // {})) : (),
	});

	my $value = eval { $self->{json}->decode($r->{content})->{value} };
	die "$method $path: " . (ref $value eq 'HASH' && $value->{message}
		|| "$r->{status} $r->{content}") . "\n" unless $r->{success};
	return $value;
}

sub in_session {
	my ($self, $method, $path, $data) = @_;
	return $self->call($method, "$self->{session}$path", $data);
}

###############################################################################

sub open {
	my ($self, $url) = @_;
	$self->in_session('POST', '/url', { url => $url });
}

# What a function of this text returns in the page.
sub js {
	my ($self, $text, @args) = @_;
	return $self->in_session('POST', '/execute/sync',
		{ script => $text, args => \@args });
}

# The text that is shown of the first element that the selector finds.
sub text {
	my ($self, $selector) = @_;
	return $self->js('const e = document.querySelector(arguments[0]);
		return e && e.innerText.replace(/\s+/g, " ").trim()', $selector);
}

# Types into the element, as a user does; \x{e007} is the enter key.
sub type {
	my ($self, $selector, $text) = @_;
	my $element = $self->in_session('POST', '/element',
		{ using => 'css selector', value => $selector });
	my ($id) = values %$element;
	$self->in_session('POST', "/element/$id/value", { text => $text });
}

sub click {
	my ($self, $selector) = @_;
	my $element = $self->in_session('POST', '/element',
		{ using => 'css selector', value => $selector });
	my ($id) = values %$element;
	$self->in_session('POST', "/element/$id/click");
}

# A command of the DevTools.
sub devtools {
	my ($self, $command, %params) = @_;
	return $self->in_session('POST', '/goog/cdp/execute',
		{ cmd => $command, params => \%params });
}

sub theme {
	my ($self, $theme) = @_;
	$self->devtools('Emulation.setEmulatedMedia', features =>
		[{ name => 'prefers-color-scheme', value => $theme }]);
}

sub size {
	my ($self, $width, $height) = @_;
	$self->devtools('Emulation.setDeviceMetricsOverride', width => $width,
		height => $height, deviceScaleFactor => 1,
		mobile => JSON::PP::false);
}

# The PNG of the whole page, or of so much of its height.
sub screenshot {
	my ($self, $height) = @_;
	my $size = $self->js('const e = document.documentElement;
		return [innerWidth, Math.max(e.scrollHeight, innerHeight)]');

	my $png = $self->devtools('Page.captureScreenshot',
		captureBeyondViewport => JSON::PP::true,
		clip => { x => 0, y => 0, width => $size->[0], scale => 1,
		height => $height && $height < $size->[1] ? $height : $size->[1] });

	require MIME::Base64;
	return MIME::Base64::decode_base64($png->{data});
}

# What the page has said since the last time: mistakes in it, and what its
# policy did not allow.
sub complaints {
	my ($self) = @_;
	my $log = $self->in_session('POST', '/se/log', { type => 'browser' });
	return map { $_->{message} } grep { $_->{level} ne 'INFO' } @$log;
}

# What was asked for over the network since the last time.
sub requests {
	my ($self) = @_;
	my $log = $self->in_session('POST', '/se/log', { type => 'performance' });
	return map { $_->{params}{request}{url} }
		grep { $_->{method} eq 'Network.requestWillBeSent' }
		map { $self->{json}->decode($_->{message})->{message} } @$log;
}

###############################################################################

1;
