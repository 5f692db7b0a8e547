package authres

import (
	"io"
	"mime"
	"strings"

	"golang.org/x/net/idna"
)

// IsName reports whether a field name is Authentication-Results, as readers compare it: without regard to case and to blanks before
// the colon (RFC 5322 4.5.2).
func IsName(name string) bool {
	if n := len(name); n > 0 && isVisible(name[0]) && isVisible(name[n-1]) {
		return strings.EqualFold(name, "Authentication-Results") // as nearly all are
	}
	return strings.EqualFold(strings.Trim(name, " \t\r\n\x00\ufeff"), "Authentication-Results")
}

func isVisible(c byte) bool { return c > ' ' && c <= '~' }

// Claims reports whether a field bears our authserv-id, so that a reader could take it for ours (RFC 8601 5). The rule: what a tolerant
// reader finds where the authserv-id stands, behind comments and blanks, in quotes or not, in any case, with a version or a dot behind
// it, or cut off by anything that cannot be part of a name; and the same behind every comma, semicolon or line end where no
// method=result follows, for that is a second authserv-id in one field. Encoded words (RFC 2047) have no place there, but Sieve decodes them
// (RFC 5228 2.7.2), so they are read both ways. A field of somebody else that mentions our name in a value or comment stays.
func Claims(value, id string) bool {
	id = strings.ToLower(strings.TrimSuffix(id, "."))
	if strings.Contains(value, "=?") {
		if decoded, err := decoder.DecodeHeader(value); err == nil && claims(decoded, id) {
			return true
		}
	}
	return claims(value, id)
}

// decoder decodes encoded words of any charset to bytes: a host's name is ASCII in all of them that mail uses.
var decoder = mime.WordDecoder{CharsetReader: func(_ string, in io.Reader) (io.Reader, error) { return in, nil }}

func claims(value, id string) bool {
	s := &scanner{in: strings.Map(dropControl, value)}
	first := true
	for {
		s.blank()
		if s.at >= len(s.in) {
			return false
		}
		if name, bare := s.claimant(); sameName(name, id) && (first || bare) {
			return true
		}
		if !s.nextPart() {
			return false
		}
		first = false
	}
}

func dropControl(r rune) rune {
	if r == '\ufeff' || r == '\u200b' || r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f {
		return -1
	}
	return r
}

// claimant reads what stands where an authserv-id would, and whether it stands alone: no = behind it.
func (s *scanner) claimant() (name string, bare bool) {
	if s.in[s.at] == '"' {
		name, _ = s.quoted()
		name = strings.TrimSpace(name)
	} else {
		name = s.word(";=,/\"<>[]:@\\?!#$%&'*+^`{|}~")
	}
	after := scanner{in: s.in, at: s.at}
	return name, !after.take('=')
}

// nextPart goes behind the next semicolon or comma outside of quotes and comments.
func (s *scanner) nextPart() bool {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case '"':
			s.quoted()
		case '(':
			s.comment()
		case ';', ',':
			s.at++
			return true
		default:
			s.at++
		}
	}
	return false
}

// sameName compares names as readers do: without case, a final dot, and whether labels are written as A-labels or U-labels (RFC 8601 2.5).
func sameName(name, id string) bool {
	name = strings.TrimSuffix(name, ".")
	if strings.EqualFold(name, id) {
		return true
	}
	if len(name) > maxWritten || !strings.ContainsFunc(name+id, func(r rune) bool { return r >= 0x80 }) {
		return false
	}
	a, errA := idna.Lookup.ToASCII(name)
	b, errB := idna.Lookup.ToASCII(id)
	return errA == nil && errB == nil && a == b
}

// maxWritten is the length of the longest name in any script: each character, of at most four bytes, is at least one of the 253 in DNS. Bringing a
// longer one there takes the square of its length.
const maxWritten = 4 * 253
