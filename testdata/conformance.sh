#!/bin/sh
# Plays the conformance cases of other projects against ./gatepost: conformance.sh FOLDER
# The folder lies beside the project where the project is developed and in its CI; elsewhere this says what it leaves out.
set -eu
cases=$1
corpora="spf dkim dmarc rspamd"
if [ ! -x "$cases/start-gatepost.sh" ]; then
	if [ -n "${GATEPOST_CI:-}" ]; then
		echo "conformance: $cases is missing, and in CI nothing may be left out" >&2
		exit 1
	fi
	echo "conformance: left out, for $cases is not there"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -C "$cases/run" -o "$work/run" .
cp "$cases/start-gatepost.sh" "$work/"
project=$PWD
cd "$cases"
# The program says which cases failed, and then a line for each corpus. Its exit status is judged below: some cases ask for what
# newer standards forbid.
# shellcheck disable=SC2086
GATEPOST="$project/gatepost" "$work/run" -server "$work/start-gatepost.sh" $corpora >"$work/out" 2>&1 || true
cat "$work/out"
awk '$2 == "pass" && /fail/ { pass += $3; total += $NF } END {
	if (total == 0) { print "conformance: no case was played"; exit 1 }
	printf "conformance: %d of %d\n", pass, total
	if (pass * 100 < total * 90) exit 1
}' "$work/out"
