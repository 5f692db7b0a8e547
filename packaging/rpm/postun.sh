if [ -d /run/systemd/system ]; then
	systemctl daemon-reload >/dev/null 2>&1 || :
	# A daemon that ends and does not start again puts off all mail: where the new version refuses the policy that is in force, the old one goes on.
	if [ "$1" -ge 1 ] && systemctl --quiet is-active gatepost.service; then
		if wrong=$(gatepost check 2>&1 >/dev/null); then
			systemctl try-restart gatepost.service >/dev/null 2>&1 || :
		else
			echo "gatepost: the new version refuses the policy, so the old one was left running; mend it, then: systemctl restart gatepost" >&2
			echo "$wrong" >&2
		fi
	fi
fi
if [ "$1" -eq 0 ]; then
	rm -rf /var/spool/postfix/gatepost
fi
