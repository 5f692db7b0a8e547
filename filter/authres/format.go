package authres

import (
	"strconv"
	"strings"
)

// Bounds of what is written. RFC 5322 2.1.1: a line has at most 998 characters.
const (
	maxResults = 100
	maxValue   = 330 // an address has at most 64 + 1 + 253 characters
)

// Format gives the value of the field for a milter: the authserv-id and then a line for each result, folded by LF and a tab. It is
// printable ASCII whatever the results hold: control and other characters become a question mark, long values are cut.
func Format(f Field) string {
	var b strings.Builder
	b.Grow(512) // what most fields need
	b.WriteString(name(f.ID))
	if f.Version > 0 {
		b.WriteString(" " + strconv.Itoa(f.Version))
	}
	if len(f.Results) == 0 {
		return b.String() + "; none" // RFC 8601 2.2: no-result
	}
	for _, r := range f.Results[:min(len(f.Results), maxResults)] {
		b.WriteString(";\n\t")
		b.WriteString(keyword(r.Method))
		if r.Version > 0 {
			b.WriteString("/" + strconv.Itoa(r.Version))
		}
		b.WriteByte('=')
		b.WriteString(keyword(r.Value))
		line := 0
		if r.Reason != "" {
			b.WriteString(" reason=" + value(r.Reason))
		}
		for _, p := range r.Props {
			if p.Value == "" {
				continue
			}
			kind, name, text := keyword(p.Type), keyword(p.Name), value(p.Value)
			if line += len(kind) + len(".") + len(name) + len("=") + len(text); line > 500 {
				b.WriteString("\n\t")
				line = 0
			}
			for _, part := range [...]string{" ", kind, ".", name, "=", text} {
				b.WriteString(part)
			}
		}
	}
	return b.String()
}

// keyword gives a word of ours as the grammar has it: letters, digits and inner hyphens (RFC 8601 2.2 Keyword, RFC 5321 Ldh-str).
func keyword(s string) string {
	if s != "" && len(s) <= maxValue && s[0] != '-' && s[len(s)-1] != '-' && isEach(s, isOfKeyword) {
		return s // as our own words are
	}
	s = strings.Map(func(r rune) rune {
		if !isOfKeyword(r) {
			return '-'
		}
		return r
	}, s)
	if s = strings.Trim(s[:min(len(s), maxValue)], "-"); s == "" {
		return "x"
	}
	return s
}

// isEach reports whether something is true of each byte of a text; of those of a character beyond ASCII it is to be false.
func isEach(s string, is func(rune) bool) bool {
	for i := range len(s) {
		if !is(rune(s[i])) {
			return false
		}
	}
	return true
}

func isOfKeyword(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// value gives a pvalue: a token or an address as it is, else a quoted string (RFC 8601 2.2).
func value(s string) string {
	clean := printable(s)
	if isToken(clean) {
		return clean
	}
	if local, domain, found := strings.Cut(clean, "@"); found && (local == "" || isDotAtom(local)) && isDotAtom(domain) && isToken(domain) {
		return clean
	}
	return quote(clean)
}

// name gives an authserv-id: a token as it is, else a quoted string (RFC 8601 2.2).
func name(s string) string {
	if clean := printable(s); isToken(clean) {
		return clean
	}
	return quote(printable(s))
}

// printable makes a text ASCII without control characters, and cuts it.
func printable(s string) string {
	if len(s) <= maxValue && isEach(s, isPrintable) {
		return s
	}
	clean := strings.Map(func(r rune) rune {
		if !isPrintable(r) {
			return '?'
		}
		return r
	}, s)
	return clean[:min(len(clean), maxValue)]
}

func isPrintable(r rune) bool { return r >= ' ' && r <= '~' }

var escaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

func quote(s string) string {
	return `"` + escaper.Replace(s) + `"`
}

// isToken: RFC 2045 5.1: printable, without blanks and tspecials.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c > '~' || !inToken[c] {
			return false
		}
	}
	return s != ""
}

// inToken tells which characters of ASCII a token is of.
var inToken = func() (in [128]bool) {
	for c := byte('!'); c <= '~'; c++ {
		in[c] = strings.IndexByte(`()<>@,;:\"/[]?=`, c) < 0
	}
	return in
}()

// isDotAtom: RFC 5322 3.2.3.
func isDotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.IndexByte(`()<>@,;:\".[]`, byte(r)) >= 0
		}) {
			return false
		}
	}
	return true
}
