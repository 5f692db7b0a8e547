package filter

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"

	"gatepost.example/filter/resolve"
)

// splitAddress splits a mail address at its last @: a quoted local part may hold one (RFC 5321 4.1.2).
func splitAddress(address string) (local, domain string) {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return address, ""
	}
	return address[:i], address[i+1:]
}

// mailDomain gives the domain of a mail address as facts have it, "" when there is none.
func mailDomain(address string) string {
	_, domain := splitAddress(address)
	return domainOf(domain)
}

// domainOf gives a host or domain name in the one form that facts have: lower case, A-labels, no trailing dot. What cannot be brought
// into it stays as it is, in lower case; it then equals no real domain.
func domainOf(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "unknown" {
		return ""
	}
	if isASCII(name) {
		return name
	}
	if ascii, err := idna.Lookup.ToASCII(name); err == nil {
		return ascii
	}
	return name
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// isFullName reports whether a HELO argument is what RFC 5321 4.1.1.1 asks for: a host name with a dot, or an address literal.
func isFullName(name string) bool {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		_, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:"))
		return closed && err == nil
	}
	name = strings.TrimSuffix(name, ".")
	return strings.Contains(name, ".") && len(name) <= 253 && resolve.IsHostName(name)
}
