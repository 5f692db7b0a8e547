package filter

import (
	"net/netip"
	"regexp"
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

// unquoted gives a local part without quotes and backslashes where it is the same mailbox without them (RFC 5321 4.1.2).
func unquoted(local string) string {
	if len(local) < 2 || local[0] != '"' || local[len(local)-1] != '"' {
		return local
	}
	plain := quotedPair.ReplaceAllString(local[1:len(local)-1], "$1")
	if !dotString.MatchString(plain) {
		return local
	}
	return plain
}

var (
	quotedPair = regexp.MustCompile(`\\(.)`)
	dotString  = regexp.MustCompile("^[^\\x00-\\x20\\x7f\"(),.:;<>@\\[\\]\\\\]+(\\.[^\\x00-\\x20\\x7f\"(),.:;<>@\\[\\]\\\\]+)*$") // RFC 5321 4.1.2
)

// plainAddress gives an address in one of the ways in which it can be written: without quotes that need not be, the domain as facts have it.
func plainAddress(address string) string {
	local, written := splitAddress(address)
	domain := domainOf(written)
	if domain == "" { // none was written, or what means none where a client has no name
		return address
	}
	return addressOf(unquoted(local), domain, address)
}

// addressOf joins the parts of an address, where another is not the same already.
func addressOf(local, domain, other string) string {
	if len(other) == len(local)+len("@")+len(domain) && other[len(local)] == '@' && strings.HasPrefix(other, local) && strings.HasSuffix(other, domain) {
		return other
	}
	return local + "@" + domain
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
		return strings.TrimSuffix(ascii, ".") // of a full stop in another script
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
