#!/bin/sh
# Makes secrets/ for compose.yaml, once, out of a federation that "entente init" has
# made: passwords of the database, and what belongs to the hub.
#
#   ./secrets.sh FEDERATION
#
# The hub runs as user 10001 and refuses secrets that others could read, so this needs
# the right to give files away.
set -eu
federation=${1:?usage: secrets.sh FEDERATION}
cd "$(dirname "$0")"
[ ! -e secrets ] || { echo "secrets.sh: secrets/ is there already, and nothing is overwritten" >&2; exit 1; }
kid=$(sed -n 's/.*signing_kid: *\([^ }]*\).*/\1/p' "$federation/hub/hub.yaml")
[ -n "$kid" ] || { echo "secrets.sh: $federation/hub/hub.yaml names no signing_kid" >&2; exit 1; }
umask 077
random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
entente=$(random)
mkdir secrets secrets/hub secrets/authority
for name in SUPERUSER REPLICATION REWIND RESTAPI; do echo "PATRONI_${name}_PASSWORD=$(random)"; done >secrets/patroni.env
echo "ENTENTE_PASSWORD=$entente" >>secrets/patroni.env
echo "postgres://entente:$entente@pg-1:5432,pg-2:5432,pg-3:5432/entente?sslmode=disable&target_session_attrs=read-write&connect_timeout=5" >secrets/hub/postgres.dsn
cp -R "$federation/hub/keys" "$federation/hub/keys.secret" "$federation/hub/tls.crt" "$federation/hub/tls.key" secrets/hub/
# Of the authority nothing but what everybody may have: its private keys stay where they are.
cp "$federation/authority/ca.crt" "$federation/authority/authority.jwk" secrets/authority/
cp -R "$federation/statements" secrets/statements
chmod -R u=rwX,go= secrets
chown -R 10001:10001 secrets/hub secrets/authority secrets/statements
sed "s|^  signing_kid: .*|  signing_kid: $kid|" hub.yaml >secrets/hub.yaml
chmod 0644 secrets/hub.yaml
