#!/bin/sh
# Plays the conformance cases of other projects against ./gatepost: conformance.sh FOLDER
# The folder lies beside the project where the project is developed and in its CI; elsewhere this says what it leaves out.
# A corpus must reach 90 of 100: some cases ask for what newer standards forbid, or for checks that are not there yet.
set -eu
cases=$1
corpora="spf dkim arc dmarc rspamd"
if [ ! -x "$cases/start-gatepost.sh" ]; then
	if [ -n "${GATEPOST_CI:-}${CI:-}" ]; then
		echo "conformance: $cases is missing, and in CI nothing may be left out" >&2
		exit 1
	fi
	echo "conformance: left out, for $cases is not there"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
go build -C "$cases/run" -o "$work/run" .
cp "$cases/start-gatepost.sh" "$work/"
GATEPOST=$PWD/gatepost
export GATEPOST
cd "$cases"
# All at once: most of the time is spent waiting for DNS that does not answer. Each has ports of its own. The program exits with 1
# when a case fails; what counts is judged below.
for corpus in $corpora; do
	{ "$work/run" -server "$work/start-gatepost.sh" "$corpus" >"$work/$corpus.out" 2>&1 || true; } &
done
wait
failed=""
for corpus in $corpora; do
	cat "$work/$corpus.out"
	awk -v corpus="$corpus" '$2 == "pass" && $4 == "fail" { pass += $3; total += $NF } END {
		if (total == 0) { printf "conformance: %s: no case was played\n", corpus; exit 1 }
		printf "conformance: %-8s %4d of %4d\n", corpus, pass, total
		exit pass * 100 < total * 90
	}' "$work/$corpus.out" >>"$work/table" || failed="$failed $corpus"
done
echo
cat "$work/table"
if [ -n "$failed" ]; then
	echo "conformance: under 90 of 100:$failed" >&2
	exit 1
fi
