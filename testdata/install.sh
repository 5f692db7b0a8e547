#!/bin/sh
# Installs the named Debian packages that are missing. Services are not started. In CI a package that cannot be had is an error.
set -eu
missing=""
for package in "$@"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "missing packages:$missing; install them as root: apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	as_root="sudo"
fi
echo "installing$missing"
# Nothing is started by the installation: a policy-rc.d that says no, for as long as it takes, where the machine has none of its own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
	$as_root chmod 0755 /usr/sbin/policy-rc.d
	trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
fi
quietly() { log=$("$@" 2>&1) || { echo "$log" >&2; return 1; }; }
quietly $as_root apt-get update -q
# shellcheck disable=SC2086
quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
