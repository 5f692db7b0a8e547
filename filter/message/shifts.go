package message

import (
	"regexp"
	"strings"
)

// shifted is text of ISO-2022-JP (RFC 1468) from the escape into two-byte characters to that back into ASCII. Japanese programs write it into
// names as it is, or in encoded words. Its bytes are those of ASCII, and the escape itself has a parenthesis.
var shifted = regexp.MustCompile(`(?:\x1b(?:\$[@B]|\$\(D|\(I)[!-~]*)+\x1b\([BJ]`)

// withoutShifts gives a value with a blank for each such text. Readers that know no ISO-2022-JP see its bytes: where there could be a domain
// in them, or more than one @ beside them, it stays as it is.
func withoutShifts(value string) string {
	if strings.IndexByte(value, '\x1b') < 0 {
		return value
	}
	for _, text := range shifted.FindAllString(value, -1) {
		if _, behind, _ := strings.Cut(text, "@"); strings.Contains(behind, ".") {
			return value
		}
	}
	clean := shifted.ReplaceAllString(value, " ")
	if strings.Count(clean, "@") > 1 {
		return value
	}
	return clean
}
