#!/usr/bin/env bash
# Makes every certificate and key in this folder but localhost.*, anew. README.md says what each is for. Wants OpenSSL 3.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

# Fixed dates: no test may begin to fail because time goes by. `openssl ca` is the one command of OpenSSL 3.0 that takes them.
begin=20200101000000Z
end=21000101000000Z

cat > ca.cnf <<CNF
[ca]
default_ca = here
[here]
new_certs_dir = $work
database = $work/index.txt
rand_serial = yes
unique_subject = no
policy = any
copy_extensions = none
default_md = sha256
[any]
commonName = optional
[req]
distinguished_name = name
[name]
CNF

ec() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2> /dev/null; }
rsa() { openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$1.key" 2> /dev/null; }
ed25519() { openssl genpkey -algorithm ED25519 -out "$1.key" 2> /dev/null; }

# sign NAME "COMMON NAME" EXTENSIONS ISSUER [OPTIONS OF openssl ca]: from NAME.key. An issuer that is NAME itself signs itself.
sign() {
  local name=$1 subject=$2 extensions=$3 issuer=$4
  shift 4
  : > index.txt
  openssl req -new -config ca.cnf -key "$name.key" -subj "/${subject:+CN=$subject}" -out request.pem
  printf '%b' "$extensions" > extensions.cnf
  local by=(-cert "$issuer.crt" -keyfile "$issuer.key")
  if [ "$name" = "$issuer" ]; then by=(-selfsign -keyfile "$name.key"); fi
  openssl ca -batch -notext -config ca.cnf -in request.pem -out "$name.crt" -extfile extensions.cnf \
    -startdate "$begin" -enddate "$end" "${by[@]}" "$@" 2> log || { cat log >&2; exit 1; }
}

authority='basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n'
for_server() { printf '%s' "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\nsubjectAltName=$1\n"; }
client='basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n'
here_names='DNS:localhost,DNS:handshake.test,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1'

# The authorities. Their keys are thrown away: nothing can be added, only made anew.
ec root && sign root "Test Root" "$authority" root
for kind in ec rsa ed25519; do
  $kind "intermediate-$kind" && sign "intermediate-$kind" "Test Intermediate $kind" "$authority" root
done
ec unknown-root && sign unknown-root "Unknown Root" "$authority" unknown-root

# leaf NAME "COMMON NAME" EXTENSIONS ISSUER [OPTIONS]: shown together with what is between it and the root.
leaf() {
  sign "$@"
  case $4 in intermediate-*) cat "$4.crt" >> "$1.crt" ;; esac
  leaves+=("$1")
}
leaves=()

ec server && leaf server localhost "$(for_server "$here_names")" intermediate-ec
ec replacement && leaf replacement replacement "$(for_server "$here_names")" intermediate-ec
ec other && leaf other other.test "$(for_server DNS:other.test)" intermediate-ec
ec wild && leaf wild '*.wild.test' "$(for_server 'DNS:*.wild.test')" intermediate-ec

ec expired && leaf expired localhost "$(for_server "$here_names")" intermediate-ec -startdate 20190101000000Z -enddate 20200101000000Z
ec not-yet-valid && leaf not-yet-valid localhost "$(for_server "$here_names")" intermediate-ec -startdate 20990101000000Z
ec wrong-name && leaf wrong-name elsewhere.test "$(for_server DNS:elsewhere.test)" intermediate-ec
ec self-signed && leaf self-signed localhost "$(for_server "$here_names")" self-signed
ec nameless && leaf nameless '' 'basicConstraints=CA:FALSE\nsubjectAltName=critical,DNS:localhost\n' nameless
ec unknown-authority && leaf unknown-authority localhost "$(for_server "$here_names")" unknown-root

# What a channel binding is made of depends on the signature (RFC 5929 4.1).
ec sha384 && leaf sha384 localhost "$(for_server "$here_names")" intermediate-ec -md sha384
rsa sha512-rsa && leaf sha512-rsa localhost "$(for_server "$here_names")" intermediate-rsa -md sha512
ec rsa-pss && leaf rsa-pss localhost "$(for_server "$here_names")" intermediate-rsa -md sha384 \
  -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest
ed25519 ed25519 && leaf ed25519 localhost "$(for_server "$here_names")" intermediate-ed25519 -md default

ec client && leaf client cert_user "$client" intermediate-ec
ec client-expired && leaf client-expired cert_user "$client" intermediate-ec -startdate 20190101000000Z -enddate 20200101000000Z
ec client-unknown-authority && leaf client-unknown-authority cert_user "$client" unknown-root

for name in "${leaves[@]}"; do cp "$name.crt" "$name.key" "$here/"; done
cp root.crt unknown-root.crt "$here/"
chmod 644 "$here"/*.crt "$here"/*.key
