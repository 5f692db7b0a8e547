#!/bin/sh
# Starts Gatepost for the bench of milters, under the shipped rules with what the bench asks for: its name, its DNS server, no network
# trusted (the bench's clients are strangers, some of them on loopback). packaging/bench.md says how to run it.
#
#   ./peers.sh product /path/to/gatepost.sh unix:run/gatepost.sock
#   ADDR=127.0.0.1:8899 ./peers.sh product /path/to/gatepost.sh 127.0.0.1:8899
#
# Environment: GATEPOST the binary (built from this source tree by default), MODE observe or enforce, POLICY a policy.toml in place of
# the shipped one. In enforce mode the bench counts every refusal as wrong: some senders of its corpus have no MX and no address, so that
# the rule no-such-sender puts them off, and its 64 clients of one network may run over a limit.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
run=$PWD/run/gatepost
mkdir -p "$run"
case "${ADDR:-unix:run/gatepost.sock}" in
  unix:*) listen="unix:$PWD/run/gatepost.sock" ;;
  *) listen="inet:$ADDR" ;;
esac
policy=$run/policy.toml
awk -v listen="$listen" -v directory="$run" -v mode="${MODE:-observe}" -f "$here/policy.awk" "${POLICY:-$root/policy.toml}" > "$policy"
if [ -z "${GATEPOST:-}" ]; then
  GATEPOST=$run/gatepost
  (cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$GATEPOST" ./cmd/gatepost)
fi
exec "$GATEPOST" serve --policy "$policy"
