package Test::Certificates;

# Certificates for a test, made by openssl.

###############################################################################

use warnings;
use strict;

###############################################################################

# Makes an authority in the folder: NAME.pem and NAME.key.
sub authority {
	my ($class, $dir, $name) = @_;

	$name //= 'ca';
	openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=$name' "
		. "-addext basicConstraints=critical,CA:true "
		. "-keyout $dir/$name.key -out $dir/$name.pem");

	return bless { dir => $dir, name => $name }, $class;
}

# Makes a certificate that it has signed: NAME.pem and NAME.key.  "for" is what
# it is for, such as "DNS:localhost,IP:127.0.0.1"; "days" may be negative.
sub sign {
	my ($self, $name, %about) = @_;
	my ($dir, $ca) = @{$self}{qw/ dir name /};
	my $days = $about{days} // 2;

	open my $f, '>', "$dir/$name.ext" or die "Can't write: $!\n";
	print $f "subjectAltName=" . ($about{for} // 'DNS:localhost') . "\n";
	close $f;

	openssl("req -newkey rsa:2048 -nodes -subj '/CN=$name' "
		. "-keyout $dir/$name.key -out $dir/$name.csr");
	openssl("x509 -req -in $dir/$name.csr -CA $dir/$ca.pem "
		. "-CAkey $dir/$ca.key -CAcreateserial -days $days "
		. "-extfile $dir/$name.ext -out $dir/$name.pem");
}

# Makes NAME2.key of NAME.key, which can be read with the password alone.
sub lock {
	my ($self, $name, $locked, $password) = @_;
	openssl("pkey -in $self->{dir}/$name.key -aes256 "
		. "-passout 'pass:$password' -out $self->{dir}/$locked.key");
}

sub openssl {
	my ($command) = @_;
	my $said = `openssl $command 2>&1`;
	die "openssl $command: $said" if $?;
}

###############################################################################

1;
