package resolve

import (
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of RFC 1035 2.3.4, in bytes of text. A name of 255 bytes on the wire is at most 253 bytes of text without trailing dot.
const (
	maxLabel = 63
	maxName  = 253
)

// CleanName gives a name as Answers and caches keep it: lower case (ASCII only), no trailing dot. Bytes outside ASCII stay.
// It is false for a name that no question can carry: an empty label, a label over 63 bytes, more than 253 bytes, or the root itself.
func CleanName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if name == "" || len(name) > maxName {
		return lower(name), false
	}
	label := 0
	for i := range len(name) {
		if name[i] != '.' {
			label++
			continue
		}
		if label == 0 || label > maxLabel {
			return lower(name), false
		}
		label = 0
	}
	return lower(name), label > 0 && label <= maxLabel
}

// IsHostName reports whether a name has labels of 1 to 63 bytes, all of them letters, digits, hyphens, and the underscore that many names have
// beside what RFC 5321 4.1.2 lists.
func IsHostName(name string) bool {
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 || label > maxLabel {
				return false
			}
			label = 0
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			label++
		default:
			return false
		}
	}
	return label > 0 && label <= maxLabel
}

// lower folds the case of ASCII letters only, as DNS compares names (RFC 4343 3).
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] |= 0x20
				}
			}
			return string(b)
		}
	}
	return s
}

// ReverseName gives the name whose PTR records name the host at an address (RFC 1035 3.5, RFC 3596 2.5):
// "1.2.0.192.in-addr.arpa". A v4-mapped address counts as IPv4. The zero Addr gives "".
func ReverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	if !addr.IsValid() {
		return ""
	}
	var room [80]byte
	name := room[:0]
	if addr.Is4() {
		bytes := addr.As4()
		for i := len(bytes) - 1; i >= 0; i-- {
			name = append(strconv.AppendUint(name, uint64(bytes[i]), 10), '.')
		}
		return string(append(name, "in-addr.arpa"...))
	}
	bytes := addr.As16()
	for i := len(bytes) - 1; i >= 0; i-- {
		const hex = "0123456789abcdef"
		name = append(name, hex[bytes[i]&0xf], '.', hex[bytes[i]>>4], '.')
	}
	return string(append(name, "ip6.arpa"...))
}

// String gives the type's mnemonic, "TYPE99" for one that has none here (RFC 3597 5).
func (t Type) String() string {
	switch t {
	case A:
		return "A"
	case PTR:
		return "PTR"
	case MX:
		return "MX"
	case TXT:
		return "TXT"
	case AAAA:
		return "AAAA"
	}
	return "TYPE" + strconv.Itoa(int(t))
}

var statusWords = [...]string{"found", "no data", "no such domain", "timeout", "server failure", "bad name"}

// String gives the status in words, for logs and explanations.
func (s Status) String() string {
	if int(s) < len(statusWords) {
		return statusWords[s]
	}
	return "status " + strconv.Itoa(int(s))
}
