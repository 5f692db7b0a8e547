package message

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// shifted is text of ISO-2022-JP (RFC 1468) from the escape into two-byte characters to that back into ASCII. Japanese programs write it into
// names as it is, or in encoded words. Its bytes are those of ASCII, and the escape itself has a parenthesis.
var shifted = regexp.MustCompile(`(?:\x1b(?:\$[@B]|\$\(D|\(I)[!-~]*)+\x1b\([BJ]`)

// hasDomain finds what a reader of its bytes could take for a domain in such a text.
var hasDomain = regexp.MustCompile(`@[("\[\\]*[0-9A-Za-z_-][0-9A-Za-z_()"\[\]\\-]*\.`)

// withoutShifts gives a value with a blank for each such text. Readers that know no ISO-2022-JP see its bytes: where there could be a domain
// in them, or more than one @ beside them, it stays as it is.
func withoutShifts(value string) string {
	if strings.IndexByte(value, '\x1b') < 0 {
		return value
	}
	for _, text := range shifted.FindAllString(value, -1) {
		if hasDomain.MatchString(text) {
			return value
		}
	}
	clean := shifted.ReplaceAllString(value, " ")
	if strings.Count(clean, "@") > 1 {
		return value
	}
	return clean
}

// trail is a character of Shift_JIS, Big5 or GBK whose second byte is that of an @ or a backslash. A first byte is no UTF-8.
var trail = regexp.MustCompile(`\x{fffd}[@\\]`)

// withoutTrails gives a value whose names hold such characters as they are, as programs in Japan and China write them, without what could be an @ or
// a backslash to readers of the bytes. Where there could be a domain behind, or one more @, the value stays as it is.
func withoutTrails(value string) string {
	if utf8.ValidString(value) {
		return value
	}
	places := trail.FindAllStringIndex(value, maxTrails+1)
	if len(places) > maxTrails {
		return value
	}
	for _, place := range places {
		behind := value[place[1]:]
		if i := strings.IndexAny(behind, "<>,;:"); i >= 0 {
			behind = behind[:i]
		}
		if value[place[1]-1] == '@' && strings.Contains(behind, ".") {
			return value
		}
	}
	if clean := trail.ReplaceAllString(value, "\ufffd\ufffd"); strings.Count(clean, "@") == 1 {
		return clean
	}
	return value
}

// maxTrails bounds the characters of that kind: no name has more.
const maxTrails = 100
