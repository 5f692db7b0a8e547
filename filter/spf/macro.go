package spf

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// macro is one part of a macro-string: literal text, or %{letter digits r delimiters}.
type macro struct {
	text       string
	letter     byte // lower case; 0 for text
	escape     bool // an upper case letter asks for URL escapes
	keep       int  // right-hand parts to keep, 0 for all
	reverse    bool
	delimiters string
}

// parseMacros reads a macro-string (RFC 7208 7.1). exp lets the letters c, r and t stand, which belong to explanations.
func parseMacros(text string, exp bool) ([]macro, error) {
	var out []macro
	for text != "" {
		i := strings.IndexByte(text, '%')
		if i < 0 {
			return append(out, macro{text: text}), nil
		}
		if i > 0 {
			out = append(out, macro{text: text[:i]})
		}
		text = text[i:]
		if len(text) < 2 {
			return nil, fmt.Errorf("%% stands alone")
		}
		switch text[1] {
		case '%':
			out, text = append(out, macro{text: "%"}), text[2:]
		case '_':
			out, text = append(out, macro{text: " "}), text[2:]
		case '-':
			out, text = append(out, macro{text: "%20"}), text[2:]
		case '{':
			end := strings.IndexByte(text, '}')
			if end < 0 {
				return nil, fmt.Errorf("%%{ is never closed")
			}
			m, err := parseMacro(text[2:end], exp)
			if err != nil {
				return nil, err
			}
			out, text = append(out, m), text[end+1:]
		default:
			return nil, fmt.Errorf("%q is no macro", text[:2])
		}
	}
	return out, nil
}

func parseMacro(body string, exp bool) (macro, error) {
	m, ok := readMacro(body, exp)
	if !ok {
		return m, fmt.Errorf("%%{%s} is no macro", body)
	}
	return m, nil
}

func readMacro(body string, exp bool) (m macro, ok bool) {
	if body == "" {
		return m, false
	}
	m = macro{letter: body[0] | 0x20, escape: body[0] < 'a'}
	letters := "slodiphv"
	if exp {
		letters += "crt"
	}
	if strings.IndexByte(letters, m.letter) < 0 || body[0] < 'A' {
		return m, false
	}
	rest := body[1:]
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	if digits > 0 {
		n, err := strconv.Atoi(rest[:digits])
		if err != nil {
			n = 128 // more than any name has
		}
		if n == 0 { // RFC 7208 7.1: at least one part
			return m, false
		}
		m.keep, rest = n, rest[digits:]
	}
	if rest != "" && (rest[0] == 'r' || rest[0] == 'R') {
		m.reverse, rest = true, rest[1:]
	}
	m.delimiters = rest
	return m, strings.Trim(rest, ".-+,/_=") == ""
}

// checkMacroString reports what is wrong with a macro-string outside of explanations.
func checkMacroString(text string) error {
	_, err := parseMacros(text, false)
	return err
}

// checkDomainSpec reports what is wrong with a domain-spec: a macro-string that ends in a macro or in a dot and a top label
// (RFC 7208 7.1).
func checkDomainSpec(text string) error {
	macros, err := parseMacros(text, false)
	if err != nil {
		return err
	}
	if len(macros) == 0 {
		return fmt.Errorf("a domain is missing")
	}
	if macros[len(macros)-1].letter != 0 {
		return nil
	}
	tail := strings.TrimSuffix(macros[len(macros)-1].text, ".")
	i := strings.LastIndexByte(tail, '.')
	if i < 0 || !isTopLabel(tail[i+1:]) {
		return fmt.Errorf("%q does not end in a top-level domain", text)
	}
	return nil
}

// isTopLabel: letters, digits and inner hyphens, not all digits.
func isTopLabel(label string) bool {
	if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	letters := strings.Trim(strings.ToLower(label), "0123456789") != ""
	return letters && !strings.ContainsFunc(strings.ToLower(label), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
	})
}

// maxExpansion bounds what one macro-string may become; names are cut to 253 later, explanations to a reply line.
const maxExpansion = 4096

// expand fills in a macro-string. Its syntax was checked before.
func (e *evaluation) expand(text, domain string, exp bool) (string, error) {
	macros, err := parseMacros(text, exp)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range macros {
		value := m.text
		if m.letter != 0 {
			value = m.transform(e.value(m.letter, domain))
		}
		if room := maxExpansion - b.Len(); len(value) >= room {
			b.WriteString(value[:room])
			break
		}
		b.WriteString(value)
	}
	return b.String(), nil
}

// value gives what a macro letter stands for (RFC 7208 7.2).
func (e *evaluation) value(letter byte, domain string) string {
	switch letter {
	case 's':
		return e.local + "@" + e.senderDomain
	case 'l':
		return e.local
	case 'o':
		return e.senderDomain
	case 'd':
		return domain
	case 'i':
		return dotted(e.query.Client)
	case 'p':
		return e.validatedName(domain)
	case 'v':
		if e.query.Client.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'h':
		return e.query.Helo
	case 'c':
		return e.query.Client.String()
	case 'r':
		if e.query.Receiver == "" {
			return "unknown"
		}
		return e.query.Receiver
	case 't':
		return strconv.FormatInt(e.query.Now.Unix(), 10)
	}
	return ""
}

// dotted gives an address as names have it: IPv6 as nibbles (RFC 7208 7.3).
func dotted(addr netip.Addr) string {
	if addr.Is4() {
		return addr.String()
	}
	var b strings.Builder
	for i, octet := range addr.As16() {
		if i > 0 {
			b.WriteByte('.')
		}
		fmt.Fprintf(&b, "%x.%x", octet>>4, octet&15)
	}
	return b.String()
}

// transform splits, reverses, keeps the right-hand parts, and escapes (RFC 7208 7.3).
func (m macro) transform(value string) string {
	delimiters := m.delimiters
	if delimiters == "" {
		delimiters = "."
	}
	if m.keep > 0 || m.reverse || m.delimiters != "" {
		parts := splitAny(value, delimiters)
		if m.reverse {
			slices.Reverse(parts)
		}
		if m.keep > 0 && m.keep < len(parts) {
			parts = parts[len(parts)-m.keep:]
		}
		value = strings.Join(parts, ".")
	}
	if m.escape {
		value = urlEscape(value)
	}
	return value
}

func splitAny(s, chars string) []string {
	var out []string
	for {
		i := strings.IndexAny(s, chars)
		if i < 0 {
			return append(out, s)
		}
		out, s = append(out, s[:i]), s[i+1:]
	}
}

// urlEscape escapes all but the unreserved characters of RFC 3986 2.3.
func urlEscape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// cutName cuts an expanded name from the left, label by label, to what DNS takes (RFC 7208 7.3).
func cutName(name string) string {
	name = strings.TrimSuffix(name, ".")
	for len(name) > 253 {
		_, rest, found := strings.Cut(name, ".")
		if !found {
			break
		}
		name = rest
	}
	return name
}
