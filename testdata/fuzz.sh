#!/bin/sh
# Runs every fuzz target of the project for the given time each: fuzz.sh 8s
set -eu
time=${1:-8s}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for package in $(go list ./...); do
	for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
		if go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package" >"$log" 2>&1; then
			echo "fuzz $package $target: $(grep -o 'execs: [0-9]*' "$log" | tail -1)"
		else
			cat "$log"
			exit 1
		fi
	done
done
