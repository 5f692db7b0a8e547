package message

import (
	"net/netip"
	"regexp"
	"strings"
)

// Hop is who handed a message over, as the Received field of the host that took it says.
type Hop struct {
	Helo string     // as the client greeted
	Name string     // the name that the host verified, "" for none
	Addr netip.Addr // never v4-mapped
}

// received finds "from HELO (NAME [ADDRESS])" at the beginning of a Received field, as Postfix, Sendmail, Exim and others write it.
var received = regexp.MustCompile(`^from ([^ ;()]+) [^;\[\]]*?([^ ;()\[\]@]*) ?\[(?:IPv6:)?([0-9a-fA-F.:]+)\]`)

// maxReceived bounds what is read of a Received field.
const maxReceived = 2000

// ReadReceived reads who a Received field (RFC 5321 4.4) says that it came from. It reports false where it names no address.
func ReadReceived(value string) (Hop, bool) {
	value = strings.Join(strings.Fields(value[:min(len(value), maxReceived)]), " ")
	m := received.FindStringSubmatch(value)
	if m == nil {
		return Hop{}, false
	}
	addr, err := netip.ParseAddr(m[3])
	if err != nil {
		return Hop{}, false
	}
	h := Hop{Helo: m[1], Name: m[2], Addr: addr.Unmap()}
	if strings.EqualFold(h.Name, "unknown") || !strings.Contains(h.Name, ".") {
		h.Name = ""
	}
	return h, true
}
