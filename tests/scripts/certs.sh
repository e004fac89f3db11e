#!/bin/sh
# Makes the certificates that the tests need:   certs.sh OUTDIR
#
# Needs a POSIX shell and the openssl command (3.0 or later). Does nothing if
# OUTDIR/stamp is newer than this script and younger than 20 hours; otherwise
# remakes everything. Says nothing on success; on failure prints what openssl
# said and exits 1.
#
# NAME-chain.pem is what a server sends, NAME-key.pem its private key. All leaf
# certificates are for the DNS name "localhost" unless said, all good ones are
# valid for 30 days. All RSA leaves share one key, so that only the certificate
# differs, except: selfsigned, unknown and rsa1024 have keys of their own.
#
#   rsa          RSA leaf, RSA intermediate; root-rsa.pem (not in the chain)
#   ec           P-256 leaf, P-256 intermediate; root-ec.pem is P-384
#   p384         P-384 leaf, P-384 intermediate, under root-ec.pem
#   wronghost    DNS name other.example
#   wildcard     DNS name *.example.test
#   expired      was valid in 2020          notyet       valid from 2040
#   selfsigned   self-signed, CA:FALSE      unknown      under unknown-root.pem
#   leafonly     the RSA leaf without its intermediate
#   rsa1024      leaf key of 1024 bits      sha1         leaf signed with SHA-1
#   rsa2047      leaf key of 2047 bits      under2047    the same of an intermediate
#   sha384       leaf signed with SHA-384   sha512       leaf signed with SHA-512
#   pss          leaf signed with RSA-PSS   critext      unknown critical extension
#   ip           CN=127.0.0.1, no SAN       ipsan        SAN IP:127.0.0.1, other CN
#   notca        intermediate says CA:FALSE reversed     leaf, root, intermediate
#   clientauth   extended key usage clientAuth only
#   ekucrit      critical extended key usage serverAuth
#   nccrit       intermediate with critical name constraints, for localhost
#   ncsoft       intermediate with others that are not critical, for other.example
#   encipher     key usage keyEncipherment only
#   nosigning    intermediate may not sign  badsig       signed with another key
#   duplicate    leaf, leaf, intermediate   trailing     both roots and a leaf behind it
#   stutter      leaf three times, intermediate twice
#   again        leaf, intermediate, leaf
#   cross        root-rsa, signed by unknown-root, behind it
#   pathlen      a second intermediate under the first one, whose pathlen is 0
#   deep         eight intermediates; the one next to the root is deep1.pem
#   long         DNS name of 253 bytes
#   expiredroot  under old-root.pem, of 2020
#   weakroot     under weak-root.pem, of 1024 bits
#   cnonly       CN=localhost, no SAN       cnother      CN=localhost, SAN other.example
#   ncroot       under nc-root.pem, which is constrained to other.example
#   kuroot       under ku-root.pem, which may not sign certificates
#   shortroot    an intermediate under short-root.pem, whose pathlen is 0
#   ed25519      Ed25519 leaf               edinter      RSA leaf under an Ed25519 intermediate
#   psskey       leaf key that is for RSA-PSS only
#
# Also: selfsigned.pem, leafonly.pem, roots.pem (both roots), and bundles:
#
#   bundle-empty      0 bytes               bundle-noise     200 KB noise, root-rsa
#   bundle-crlf       CRLF line ends        bundle-text      "x509 -text" preambles
#   bundle-norsaroot  root-ec only          bundle-rootless  text, no PEM block
#   bundle-keyonly    one PRIVATE KEY       bundle-truncated root-rsa cut in half
#   bundle-samename   other key under the DN of root-rsa, then root-rsa
#   bundle-wrongkey   other key under the DN of root-rsa, only
#   bundle-three      two other keys under the DN of root-rsa, then root-rsa
#   bundle-crossed    the same, then unknown-root
#   bundle-big        the system's roots (or 40 made ones), root-rsa, root-ec

set -eu

if [ $# -ne 1 ] || [ -z "$1" ]; then
	echo "usage: certs.sh OUTDIR" >&2
	exit 2
fi
case $1 in
	/*) out=$1 ;;
	*) out=$PWD/$1 ;;
esac
self=$0

fresh() {
	[ -f "$out/stamp" ] &&
		[ -n "$(find "$out/stamp" -newer "$self" -mmin -1200 2>/dev/null)" ]
}

if fresh; then
	exit 0
fi

# One maker at a time: parallel tests may all ask for the same directory.

mkdir -p "$out"
lock=$out/lock
work=$out/work
tries=0
until mkdir "$lock" 2>/dev/null; do
	tries=$((tries + 1))
	if [ -n "$(find "$lock" -prune -mmin +3 2>/dev/null)" ]; then
		rmdir "$lock" 2>/dev/null || :	# left behind by a killed run
	elif [ "$tries" -gt 100 ]; then
		echo "certs.sh: $lock is still there after $tries s" >&2
		exit 1
	else
		sleep 1
	fi
done

finish() {
	status=$?
	trap - EXIT
	if [ "$status" -ne 0 ]; then
		echo "certs.sh: FAILED (status $status) at: $step" >&2
		[ ! -f "$work/log" ] || cat "$work/log" >&2
	fi
	rm -rf "$work"
	rmdir "$lock" 2>/dev/null || :
	exit "$status"
}
step=start
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

if fresh; then		# somebody else made them while this run waited
	exit 0
fi

rm -rf "$work"
mkdir "$work"
rm -f "$out"/stamp "$out"/*.pem
cd "$work"

cat >openssl.cnf <<'END'
[req]
distinguished_name = dn
prompt = no
string_mask = utf8only
[dn]
CN = unused
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[inter]
basicConstraints = critical,CA:TRUE,pathlen:0
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[notca]
basicConstraints = critical,CA:FALSE
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
[wronghost]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:other.example
[wildcard]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:*.example.test
[nosan]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
[ipsan]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
[clientauth]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = clientAuth
subjectAltName = DNS:localhost
[critext]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
2.999.1 = critical,ASN1:UTF8String:nobody knows this
[ekucrit]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = critical,serverAuth
subjectAltName = DNS:localhost
[encipher]
basicConstraints = critical,CA:FALSE
keyUsage = critical,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost
[long]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
extendedKeyUsage = serverAuth
subjectAltName = DNS:$ENV::LONG
[nccrit]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
nameConstraints = critical,permitted;DNS:localhost
[ncsoft]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
nameConstraints = permitted;DNS:other.example
[nosigning]
basicConstraints = critical,CA:TRUE
keyUsage = critical,cRLSign
[ncother]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
nameConstraints = critical,permitted;DNS:other.example
[ca]
default_ca = dated
[dated]
database = index
new_certs_dir = .
rand_serial = yes
unique_subject = no
default_md = sha256
policy = any
[any]
commonName = supplied
END
: >index
OPENSSL_CONF=$work/openssl.cnf
i=63 LONG=		# labels of 63, 63, 63 and 61 bytes
while [ "${#LONG}" -lt 253 ]; do
	[ -z "$LONG" ] || LONG=$LONG.
	[ "${#LONG}" -lt 192 ] || i=61
	LONG=$LONG$(printf "%0${i}d" 0 | tr 0 a)
done
export OPENSSL_CONF LONG

# ssl ARGS...: runs openssl, keeping what it says for the case of failure.
ssl() {
	step="openssl $*"
	openssl "$@" >>log 2>&1
}

# rsa_key FILE BITS, ec_key FILE CURVE
rsa_key() {
	ssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$2" -out "$1"
}
ec_key() {
	ssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:$2" \
		-pkeyopt ec_param_enc:named_curve -out "$1"
}

# selfsign CERT KEY SUBJECT EXTENSIONS
selfsign() {
	ssl req -x509 -new -sha256 -days 30 -key "$2" -subj "$3" \
		-extensions "$4" -out "$1"
}

# issue CERT KEY SUBJECT EXTENSIONS ISSUER [OPTION...]: ISSUER.pem and
# ISSUER.key sign; the options go to "openssl x509".
issue() {
	i_cert=$1 i_key=$2 i_subj=$3 i_ext=$4 i_ca=$5
	shift 5
	[ $# -gt 0 ] || set -- -sha256
	ssl req -new -sha256 -key "$i_key" -subj "$i_subj" -out csr
	ssl x509 -req -in csr -days 30 -CA "$i_ca.pem" -CAkey "$i_ca.key" \
		-set_serial "0x$(openssl rand -hex 12 | sed 's/^./4/')" \
		-extfile openssl.cnf -extensions "$i_ext" -out "$i_cert" "$@"
}

# issue_dated CERT KEY SUBJECT EXTENSIONS ISSUER FROM TO
issue_dated() {
	ssl req -new -sha256 -key "$2" -subj "$3" -out csr
	ssl ca -batch -notext -in csr -cert "$5.pem" -keyfile "$5.key" \
		-extensions "$4" -startdate "$6" -enddate "$7" -out "$1"
}

# emit NAME KEY CERT...: NAME-chain.pem and NAME-key.pem
emit() {
	step="emit $1"
	e_name=$1 e_key=$2
	shift 2
	cat "$@" >"$out/$e_name-chain.pem"
	cat "$e_key" >"$out/$e_name-key.pem"
}

# rsa_leaf NAME SUBJECT EXTENSIONS [OPTION...]: a leaf with the common RSA key
# under the RSA intermediate, and its chain
rsa_leaf() {
	l_name=$1 l_subj=$2 l_ext=$3
	shift 3
	issue "$l_name.pem" leaf.key "$l_subj" "$l_ext" inter-rsa "$@"
	emit "$l_name" leaf.key "$l_name.pem" inter-rsa.pem
}

# rsa_under NAME DN EXTENSIONS: a leaf under an intermediate of its own, which has
# the key of the RSA intermediate
rsa_under() {
	issue "$1-inter.pem" inter-rsa.key "/C=XX/O=Certificate Tests/CN=$2" "$3" root-rsa
	cp inter-rsa.key "$1-inter.key"
	issue "$1.pem" leaf.key /CN=localhost leaf "$1-inter"
	emit "$1" leaf.key "$1.pem" "$1-inter.pem"
}

# keys and authorities

rsa_root_dn='/C=XX/O=Certificate Tests/CN=Test RSA Root'
rsa_key root-rsa.key 2048
rsa_key inter-rsa.key 2048
rsa_key leaf.key 2048
rsa_key other.key 2048
rsa_key twin1.key 2048
rsa_key twin2.key 2048
rsa_key small.key 1024
rsa_key almost.key 2047
ec_key root-ec.key P-384
ec_key inter-ec.key P-256
ec_key leaf-ec.key P-256
ec_key inter-p384.key P-384
ec_key leaf-p384.key P-384

selfsign root-rsa.pem root-rsa.key "$rsa_root_dn" root
selfsign twin1.pem twin1.key "$rsa_root_dn" root
selfsign twin2.pem twin2.key "$rsa_root_dn" root
selfsign root-ec.pem root-ec.key '/C=XX/O=Certificate Tests/CN=Test EC Root' root
selfsign unknown-root.pem twin1.key '/C=XX/O=Certificate Tests/CN=Unknown Root' root
cp twin1.key unknown-root.key
issue inter-rsa.pem inter-rsa.key '/C=XX/O=Certificate Tests/CN=Test RSA Intermediate' \
	inter root-rsa
issue inter-ec.pem inter-ec.key '/C=XX/O=Certificate Tests/CN=Test EC Intermediate' \
	inter root-ec -sha384
issue inter-p384.pem inter-p384.key '/C=XX/O=Certificate Tests/CN=Test P-384 Intermediate' \
	inter root-ec -sha384
issue notca-inter.pem inter-rsa.key '/C=XX/O=Certificate Tests/CN=Test No Authority' \
	notca root-rsa
cp inter-rsa.key notca-inter.key

# chains

rsa_leaf rsa /CN=localhost leaf
rsa_leaf wronghost /CN=other.example wronghost
rsa_leaf wildcard '/CN=*.example.test' wildcard
rsa_leaf sha1 /CN=localhost leaf -sha1
rsa_leaf pss /CN=localhost leaf -sha256 -sigopt rsa_padding_mode:pss \
	-sigopt rsa_pss_saltlen:-1
rsa_leaf ip /CN=127.0.0.1 nosan
rsa_leaf cnonly /CN=localhost nosan
rsa_leaf cnother /CN=localhost wronghost
rsa_leaf ipsan '/CN=address only' ipsan
rsa_leaf critext /CN=localhost critext
rsa_leaf clientauth /CN=localhost clientauth
rsa_leaf sha384 /CN=localhost leaf -sha384
rsa_leaf sha512 /CN=localhost leaf -sha512

issue_dated expired.pem leaf.key /CN=localhost leaf inter-rsa \
	20200101000000Z 20201231235959Z
emit expired leaf.key expired.pem inter-rsa.pem
issue_dated notyet.pem leaf.key /CN=localhost leaf inter-rsa \
	20400101000000Z 20401231235959Z
emit notyet leaf.key notyet.pem inter-rsa.pem

issue ec.pem leaf-ec.key /CN=localhost leaf inter-ec
emit ec leaf-ec.key ec.pem inter-ec.pem
issue p384.pem leaf-p384.key /CN=localhost leaf inter-p384 -sha384
emit p384 leaf-p384.key p384.pem inter-p384.pem
issue rsa1024.pem small.key /CN=localhost leaf inter-rsa
emit rsa1024 small.key rsa1024.pem inter-rsa.pem
issue rsa2047.pem almost.key /CN=localhost leaf inter-rsa
emit rsa2047 almost.key rsa2047.pem inter-rsa.pem
issue inter2047.pem almost.key '/C=XX/O=Certificate Tests/CN=Test Almost' inter root-rsa
cp almost.key inter2047.key
issue under2047.pem leaf.key /CN=localhost leaf inter2047
emit under2047 leaf.key under2047.pem inter2047.pem
issue notca.pem leaf.key /CN=localhost leaf notca-inter
emit notca leaf.key notca.pem notca-inter.pem
issue unknown.pem other.key /CN=localhost leaf unknown-root
emit unknown other.key unknown.pem
selfsign selfsigned.pem other.key /CN=localhost leaf
emit selfsigned other.key selfsigned.pem
emit leafonly leaf.key rsa.pem
emit reversed leaf.key rsa.pem root-rsa.pem inter-rsa.pem

# chains that most servers never send

rsa_leaf ekucrit /CN=localhost ekucrit
rsa_leaf encipher /CN=localhost encipher
rsa_leaf long '/CN=a long name' long
rsa_under nccrit 'Test Constrained' nccrit
rsa_under ncsoft 'Test Softly Constrained' ncsoft
rsa_under nosigning 'Test No Signer' nosigning
emit duplicate leaf.key rsa.pem rsa.pem inter-rsa.pem
emit stutter leaf.key rsa.pem rsa.pem rsa.pem inter-rsa.pem inter-rsa.pem
emit again leaf.key rsa.pem inter-rsa.pem rsa.pem
emit trailing leaf.key rsa.pem inter-rsa.pem root-rsa.pem root-ec.pem selfsigned.pem
issue cross-root.pem root-rsa.key "$rsa_root_dn" root unknown-root
emit cross leaf.key rsa.pem inter-rsa.pem cross-root.pem

selfsign forger.pem twin2.key '/C=XX/O=Certificate Tests/CN=Test RSA Intermediate' root
cp twin2.key forger.key
issue badsig.pem leaf.key /CN=localhost leaf forger
emit badsig leaf.key badsig.pem inter-rsa.pem

issue sub.pem other.key '/C=XX/O=Certificate Tests/CN=Test Second Intermediate' inter inter-rsa
cp other.key sub.key
issue pathlen.pem leaf.key /CN=localhost leaf sub
emit pathlen leaf.key pathlen.pem sub.pem inter-rsa.pem

cp root-rsa.pem deep0.pem
i=0 names=
while [ $i -lt 8 ]; do
	cp root-rsa.key deep$i.key	# one key for all
	j=$((i + 1))
	issue deep$j.pem root-rsa.key "/C=XX/O=Certificate Tests/CN=Test Level $j" root deep$i
	names="deep$j.pem $names"
	i=$j
done
cp root-rsa.key deep8.key
issue deep.pem leaf.key /CN=localhost leaf deep8
# shellcheck disable=SC2086
emit deep leaf.key deep.pem $names

ssl req -new -sha256 -key twin2.key -subj '/CN=Test Old Root' -out csr
ssl ca -batch -notext -selfsign -in csr -keyfile twin2.key -extensions root \
	-startdate 20200101000000Z -enddate 20201231235959Z -out old-root.pem
cp twin2.key old-root.key
issue expiredroot.pem leaf.key /CN=localhost leaf old-root
emit expiredroot leaf.key expiredroot.pem
selfsign short-root.pem twin1.key '/C=XX/O=Certificate Tests/CN=Test Short Root' inter
cp twin1.key short-root.key
issue shortroot-inter.pem inter-rsa.key '/C=XX/O=Certificate Tests/CN=Test Below Short Root' inter short-root
cp inter-rsa.key shortroot-inter.key
issue shortroot.pem leaf.key /CN=localhost leaf shortroot-inter
emit shortroot leaf.key shortroot.pem shortroot-inter.pem
selfsign nc-root.pem twin1.key '/C=XX/O=Certificate Tests/CN=Test Constrained Root' ncother
cp twin1.key nc-root.key
issue ncroot.pem leaf.key /CN=localhost leaf nc-root
emit ncroot leaf.key ncroot.pem
selfsign ku-root.pem twin1.key '/C=XX/O=Certificate Tests/CN=Test Root That May Not Sign' nosigning
cp twin1.key ku-root.key
issue kuroot.pem leaf.key /CN=localhost leaf ku-root
emit kuroot leaf.key kuroot.pem
selfsign weak-root.pem small.key '/C=XX/O=Certificate Tests/CN=Test Weak Root' root
cp small.key weak-root.key
issue weakroot.pem leaf.key /CN=localhost leaf weak-root
emit weakroot leaf.key weakroot.pem

ssl genpkey -algorithm ED25519 -out ed25519.key
ssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -out psskey.key
issue ed25519.pem ed25519.key /CN=localhost leaf inter-rsa
emit ed25519 ed25519.key ed25519.pem inter-rsa.pem
issue edinter-ca.pem ed25519.key '/C=XX/O=Certificate Tests/CN=Test Ed25519' inter root-rsa
cp ed25519.key edinter-ca.key
issue edinter.pem leaf.key /CN=localhost leaf edinter-ca
emit edinter leaf.key edinter.pem edinter-ca.pem
issue psskey.pem psskey.key /CN=localhost leaf inter-rsa
emit psskey psskey.key psskey.pem inter-rsa.pem

step='copying'
cp root-rsa.pem root-ec.pem unknown-root.pem selfsigned.pem old-root.pem weak-root.pem short-root.pem nc-root.pem ku-root.pem deep1.pem "$out/"
cp rsa.pem "$out/leafonly.pem"
cat root-rsa.pem root-ec.pem >"$out/roots.pem"

# bundles

step='making bundles'
: >"$out/bundle-empty.pem"
{
	# always the same noise: a keystream
	dd if=/dev/zero bs=1024 count=200 2>>log | openssl enc -aes-128-ctr \
		-K 000102030405060708090a0b0c0d0e0f -iv 00000000000000000000000000000000
	echo
	cat root-rsa.pem
} >"$out/bundle-noise.pem"
awk '{ printf "%s\r\n", $0 }' "$out/roots.pem" >"$out/bundle-crlf.pem"
ssl x509 -in root-ec.pem -text -out text-ec
ssl x509 -in root-rsa.pem -text -out text-rsa
cat text-ec text-rsa >"$out/bundle-text.pem"
cp root-ec.pem "$out/bundle-norsaroot.pem"
i=0
while [ $i -lt 200 ]; do
	i=$((i + 1))
	echo "$i: this file has lines, even ----- dashes -----, but no certificate."
done >"$out/bundle-rootless.pem"
cp leaf-ec.key "$out/bundle-keyonly.pem"
cat twin1.pem root-rsa.pem >"$out/bundle-samename.pem"
cp twin1.pem "$out/bundle-wrongkey.pem"
cat twin1.pem twin2.pem root-rsa.pem >"$out/bundle-three.pem"
cat twin1.pem twin2.pem root-rsa.pem unknown-root.pem >"$out/bundle-crossed.pem"
half=$(($(wc -c <root-rsa.pem) / 2))
dd if=root-rsa.pem of="$out/bundle-truncated.pem" bs=$half count=1 2>>log
echo >>"$out/bundle-truncated.pem"
if [ -s /etc/ssl/certs/ca-certificates.crt ]; then
	cat /etc/ssl/certs/ca-certificates.crt >big
else
	: >big
	i=0
	while [ $i -lt 40 ]; do
		i=$((i + 1))
		ec_key big.key P-256
		selfsign big.pem big.key "/C=XX/O=Certificate Tests/CN=Filler Root $i" root
		cat big.pem >>big
	done
fi
cat big root-rsa.pem root-ec.pem >"$out/bundle-big.pem"

# The good chains must be good, and the wrong ones wrong.

for i in rsa ec p384 sha384 sha512 duplicate stutter again trailing cross nccrit ekucrit; do
	ssl verify -CAfile "$out/roots.pem" -untrusted "$out/$i-chain.pem" \
		-verify_hostname localhost "$out/$i-chain.pem"
done
for i in wronghost wildcard expired notyet selfsigned unknown critext notca clientauth \
	ncsoft nosigning badsig pathlen expiredroot weakroot ncroot kuroot cnother; do
	step="$i must not verify"
	if openssl verify -CAfile "$out/roots.pem" -untrusted "$out/$i-chain.pem" \
		-purpose sslserver -verify_hostname localhost "$out/$i-chain.pem" >>log 2>&1; then
		exit 1
	fi
done

step='writing the stamp'
: >"$out/stamp"
