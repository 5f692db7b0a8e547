#!/bin/sh
# Installs the named Debian packages that are missing. Services are not started, and a Postfix that was not there gets no configuration,
# so that it is not started at the next boot either. A package that cannot be had is an error.
set -eu
missing=""
for package in "$@"; do
	dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
as_root=""
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null; then
		echo "there is no sudo here, and these packages are missing:$missing; install them as root: apt-get install --no-install-recommends$missing" >&2
		exit 1
	fi
	as_root="sudo"
fi
if ! command -v apt-get >/dev/null; then
	echo "these packages are missing, and there is no apt-get to install them:$missing" >&2
	exit 1
fi
echo "installing$missing (nothing is started, and an installed Postfix keeps its configuration)"
trap 'exit 1' HUP INT TERM
# Nothing is started by the installation: a policy-rc.d that says no, for as long as it takes, where the machine has none of its own.
if [ ! -e /usr/sbin/policy-rc.d ]; then
	printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
	$as_root chmod 0755 /usr/sbin/policy-rc.d
	trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
fi
quietly() { log=$("$@" 2>&1) || { echo "$log" >&2; return 1; }; }
quietly $as_root apt-get update -q
case "$missing " in
*" postfix "*)
	echo "postfix postfix/main_mailer_type select No configuration" | quietly $as_root debconf-set-selections
	;;
esac
# Not at the price of another package: where a different mail server is installed, that is for people to decide.
# shellcheck disable=SC2086
quietly $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends --no-remove $missing
