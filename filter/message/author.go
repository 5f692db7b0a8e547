package message

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
)

// Author is what the From fields of a message say, for DMARC and for rules.
type Author struct {
	Fields  int      // From fields in the header
	Domains []string // distinct author domains in lower case A-labels, in order of appearance; an unreadable one is "", and what a reader could see beside them is one more, "?"
	Address string   // the address when there is exactly one field with exactly one; else ""
	Domain  string   // the author domain when there is exactly one field and one domain; else ""
}

// ExtractAuthor reads every From field. Mail readers disagree about odd ones, and an attacker chooses what they disagree about: so it
// takes every address, and where one reader could see another author than the next it counts one domain more, so that DMARC is not
// possible (RFC 9989 4.2). Odd forms that all readers understand alike count as one. Work is linear in the fields.
func ExtractAuthor(h *Header) Author {
	a := Author{}
	addresses, last := 0, ""
	for _, f := range h.Fields {
		is, odd := isFrom(f.Name)
		if hidesFrom(f.Value) {
			a.addDomain(doubtful)
		}
		if !is {
			continue
		}
		a.Fields++
		found, doubt := readMailboxes(f.Value)
		if odd || doubt {
			a.addDomain(doubtful)
		}
		if len(found) == 0 {
			a.addDomain("")
		}
		for _, address := range found {
			addresses, last = addresses+1, address
			a.addDomain(authorDomain(address))
		}
	}
	for name, n := range h.Beyond() { // unread: whoever reads them may see anybody there
		if is, _ := isFrom(name); is {
			a.Fields += n
			a.addDomain(doubtful)
		}
	}
	if a.Fields == 1 && len(a.Domains) == 1 && a.Domains[0] != "" && a.Domains[0] != doubtful {
		a.Domain = a.Domains[0]
		if addresses == 1 {
			a.Address = last
		}
	}
	return a
}

// doubtful stands among the domains for an author that some reader could see.
const doubtful = "?"

// maxDomains bounds the domains that are told apart; more than one is all that anybody asks.
const maxDomains = 20

func (a *Author) addDomain(domain string) {
	if len(a.Domains) < maxDomains && !slices.Contains(a.Domains, domain) {
		a.Domains = append(a.Domains, domain)
	}
}

// isFrom reports whether some reader takes a field for From. Blanks before the colon are old and legal (RFC 5322 4.5.2); a control
// character in the name is neither, nor what cannot be seen or is a blank of Unicode, which readers trim too.
func isFrom(name string) (is, odd bool) {
	if is = strings.EqualFold(Field{Name: name}.Bare(), "From"); is || isPlain(name) {
		return is, false
	}
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f || r == '\ufffd' || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	return strings.EqualFold(clean, "From"), true
}

// hidesFrom reports whether a value holds a From field for readers that end a line at a bare CR or LF too.
func hidesFrom(value string) bool {
	for {
		line, rest, more := strings.Cut(value, "\n")
		for i := strings.IndexByte(line, '\r'); i >= 0; i = strings.IndexByte(line, '\r') {
			line, value = line[i+1:], value[i+1:]
			if beginsFrom(value) {
				return true
			}
		}
		if !more {
			return false
		}
		if value = rest; beginsFrom(value) {
			return true
		}
	}
}

// beginsFrom reports whether a text begins as a From field.
func beginsFrom(text string) bool {
	if text == "" || text[0] <= ' ' { // as in every fold
		return false
	}
	name, _, found := strings.Cut(text[:min(len(text), maxFromName)], ":")
	if !found {
		return false
	}
	is, _ := isFrom(name)
	return is
}

// maxFromName bounds the name of a field within a value, with its blanks.
const maxFromName = 32

// isPlain reports whether a name is of visible ASCII characters, as RFC 5322 2.2 has it.
func isPlain(name string) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// ALabels gives a domain name in lower case with its labels as DNS has them (RFC 5890 2.3.2.1); what cannot be brought into them stays as it is,
// and what is longer than any name: bringing it there takes the square of its length.
func ALabels(lower string) string {
	if isPlain(lower) && !strings.Contains(lower, "xn--") || isTooLong(lower) {
		return lower
	}
	if ascii, err := idna.Lookup.ToASCII(lower); err == nil {
		return ascii
	}
	return lower
}

// authorDomain gives the domain of an address in lower case A-labels, "" when it has none that DNS could know.
func authorDomain(address string) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return ""
	}
	domain := plainDomain(address[i+1:])
	if len(domain) > maxName || strings.HasPrefix(domain, ".") || strings.Contains(domain, "..") || strings.ContainsFunc(domain, noNamePart) {
		return ""
	}
	return domain
}

// maxName is the length of the longest name that DNS can hold, written with dots, and maxLabel that of a label of it (RFC 1035 2.3.4).
const (
	maxName  = 253
	maxLabel = 63
)

// isTooLong reports whether a name in any script is too long for DNS, where each character of it takes at least one.
func isTooLong(name string) bool {
	whole, label := 0, 0
	for _, r := range name {
		if whole, label = whole+1, label+1; strings.ContainsRune(".\u3002\uff0e\uff61", r) { // full stops of IDNA
			label = 0
		}
		if label > maxLabel || whole > maxName+1 { // with a dot behind it
			return true
		}
	}
	return false
}

// plainDomain brings a domain into lower case and A-labels, without the dots behind it, in whatever script: readers drop them.
func plainDomain(domain string) string {
	return strings.TrimRight(ALabels(strings.ToLower(strings.TrimRight(domain, "."))), ".")
}

func noNamePart(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// looksOther reports whether what stands for a domain is none, and might be read as one by who passes over, or cuts at, what no name holds.
func looksOther(domain string) bool {
	if text, is := strings.CutPrefix(domain, "["); is { // an address literal (RFC 5321 4.1.3)
		text, closed := strings.CutSuffix(text, "]")
		_, err := netip.ParseAddr(strings.TrimPrefix(text, "IPv6:"))
		return !closed || err != nil
	}
	domain = plainDomain(domain)
	return domain == "" || len(domain) > maxName || strings.ContainsFunc(domain, noNamePart)
}
