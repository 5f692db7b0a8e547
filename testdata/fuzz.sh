#!/bin/sh
# Runs every fuzz target of the project: fuzz.sh EACH ALL, both in seconds. Each target runs for EACH, less where there are so many
# that all together would take more than ALL; building them comes on top.
set -eu
each=${1:-8}
all=${2:-240}
log=$(mktemp)
targets=$(mktemp)
trap 'rm -f "$log" "$targets"' EXIT
trap 'exit 1' HUP INT TERM
for package in $(go list ./...); do
	go test -list '^Fuzz' "$package" >"$log" || { cat "$log" >&2; exit 1; }
	sed -n "s|^Fuzz.*|$package &|p" "$log" >>"$targets"
done
count=$(wc -l <"$targets")
if [ "$count" = 0 ]; then
	echo "fuzz: no target was found" >&2
	exit 1
fi
if [ $((each * count)) -gt "$all" ]; then
	each=$((all / count))
	[ "$each" -gt 0 ] || each=1
fi

run() { go test -run '^$' -fuzz "^$2\$" -fuzztime "${each}s" "$1" >"$log" 2>&1 </dev/null; }

# Go's own fuzzing ends with "context deadline exceeded" and nothing else when its time is up in the wrong moment (golang/go 75804): that is no
# finding, and the target runs again. A finding names its input, or says more than that.
is_race() {
	! grep -q -e 'Failing input' -e 'panic' -e '_test.go:' "$log" && grep -q '^    context deadline exceeded$' "$log"
}

while read -r package target; do
	tries=1
	until run "$package" "$target"; do
		if [ "$tries" = 3 ] || ! is_race; then
			cat "$log" >&2
			exit 1
		fi
		tries=$((tries + 1))
	done
	echo "fuzz $package $target: $(grep -o 'execs: [0-9]*' "$log" | tail -n 1)"
done <"$targets"
