/usr/libexec/gatepost/make-folders
# Presets say whether a new service is in use; the admin starts it.
if [ "$1" -eq 1 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload preset gatepost.service gatepost.socket >/dev/null 2>&1 || :
fi
