#!/bin/sh
# Plays the conformance cases of other projects against ./gatepost: conformance.sh FOLDER
# The folder lies beside the project where the project is developed and in its CI; elsewhere this says what it leaves out.
# Every case must pass but those that a newer standard turned around: they are listed here with the sentence that says so. One that is
# listed and passes is a mistake too. What no milter shows, explanations of SPF (exp=), vectors of records and of fields, is compared by
# tests with the same files; they say what they have compared, and each names what a standard turned around.
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
project=$OLDPWD
{ GATEPOST_CI=1 go test -C "$project" -count=1 -v -run 'OfOthers$' ./filter/spf ./filter/authres ./filter/dmarc >"$work/vectors.out" 2>&1 || echo failed >"$work/vectors.failed"; } &
for corpus in $corpora; do
	{ "$work/run" -server "$work/start-gatepost.sh" "$corpus" >"$work/$corpus.out" 2>&1 || true; } &
done
wait
# corpus, case, why
cat >"$work/expected" <<'X'
rspamd rspamd/dmarc/dmarc-subdomain-pass-dkim-relaxed-alignment RFC 9989 4.10.2: where a walk finds no record, the organizational domain is the initial target: the parent here is its own, and not the subdomain's
rspamd rspamd/dmarc/dmarc-subdomain-pass-spf-relaxed-alignment RFC 9989 4.10.2: the same
X
failed=""
for corpus in $corpora; do
	cat "$work/$corpus.out"
	grep -o '^FAIL  *[^ ]*' "$work/$corpus.out" | sed 's/^FAIL  *//; s/:$//' | sort >"$work/fails" || true
	awk -v c="$corpus" '$1 == c { print $2 }' "$work/expected" | sort >"$work/listed"
	diff "$work/listed" "$work/fails" >"$work/diff" || failed="$failed $corpus"
	awk -v corpus="$corpus" -v listed="$(wc -l <"$work/listed")" '$2 == "pass" && $4 == "fail" { pass += $3; total += $NF } END {
		if (total == 0) { printf "conformance: %s: no case was played\n", corpus; exit 1 }
		printf "conformance: %-21s %4d of %4d", corpus, pass, total
		if (listed > 0) printf ", %d turned around by a newer standard", listed
		printf "\n"
	}' "$work/$corpus.out" >>"$work/table" || failed="$failed $corpus"
done
if [ -e "$work/vectors.failed" ] || ! sed -n 's/.*conformance: \(.*\) \([0-9]*\) of \([0-9]*\)/conformance: \1|\2|\3/p' "$work/vectors.out" |
	awk -F'|' '{ rest = $3; sub(/^[0-9]*/, "", rest); printf "%-34s %4d of %4d%s\n", $1, $2, $3, rest; n++ } END { exit n != 4 }' >>"$work/table"; then
	cat "$work/vectors.out"
	failed="$failed vectors"
fi
echo
cat "$work/table"
sed 's/^/turned around: /' "$work/expected"
if [ -n "$failed" ]; then
	echo "conformance: cases fail that are not listed, or pass that are, in:$failed" >&2
	exit 1
fi
