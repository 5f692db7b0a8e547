# Files belong to this user: it is there before they are.
getent group gatepost >/dev/null || groupadd -r gatepost
getent passwd gatepost >/dev/null || useradd -r -g gatepost -d /var/lib/gatepost -s /usr/sbin/nologin -c "Gatepost mail filter" gatepost
