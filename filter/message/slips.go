package message

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// forgive settles slips: brackets, quotes and comments that are not closed or closed twice, a scheme before the address. An honest program
// makes them, and its address stays the only one that anybody could see. Any other @ makes them doubt.
func (m *mailboxes) forgive() {
	i := slices.IndexFunc(m.found, hasAt)
	if i < 0 || !isLone(m.in) {
		m.doubt = true
		return
	}
	address := m.found[i]
	address = address[strings.LastIndexFunc(address[:strings.IndexByte(address, '@')], parts)+1:]
	m.doubt = m.doubt || address[0] == '@'
	m.found = []string{address}
}

// isLone reports whether a value holds one @, or one and the same address several times, and no other with its encoded words decoded.
func isLone(value string) bool {
	decoded, err := decoder.DecodeHeader(value)
	if err != nil {
		return false
	}
	decoded = withoutShifts(decoded)
	if strings.Count(value, "@") == 1 && strings.Count(decoded, "@") == 1 {
		return true
	}
	address := ""
	for _, text := range [...]string{value, decoded} {
		for word := range strings.FieldsFuncSeq(text, parts) {
			if word = strings.Trim(word, "'"); !hasAt(word) {
				continue
			}
			if address == "" {
				address = word
			}
			if !strings.EqualFold(word, address) {
				return false
			}
		}
	}
	return strings.Count(address, "@") == 1
}

// bareAddress gives an address without what some programs and people put around it: quotes, brackets, a comma or semicolon behind it, and blanks or
// marks of direction that were copied with it. Slip is true for what not all readers pass over.
func bareAddress(text string) (address string, slip bool) {
	text = strings.TrimLeftFunc(text, isUnseen)
	address = strings.TrimRightFunc(strings.TrimRight(text, " \t,;"), isUnseen)
	slip = address != strings.TrimRight(text, " \t")
	for _, quote := range []string{"'", `"`} {
		if inner, is := strings.CutPrefix(address, quote); is && strings.HasSuffix(inner, quote) {
			address = strings.TrimSuffix(inner, quote)
		}
	}
	if inner, is := strings.CutSuffix(address, "]"); is && strings.Count(inner, "[") == 1 { // Shop [info@example.org]
		if _, behind, _ := strings.Cut(inner, "["); hasAt(behind) {
			return behind, true
		}
	}
	return address, slip
}

func isUnseen(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }

func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// withoutPairs gives the text of a quoted string or a comment without the backslashes of its quoted pairs (RFC 5322 3.2.1).
func withoutPairs(text string) string {
	if strings.IndexByte(text, '\\') < 0 {
		return text
	}
	return pair.ReplaceAllString(text, "$1")
}

var pair = regexp.MustCompile(`(?s)\\(.)`)
