package authres

import (
	"errors"
	"strings"
)

// scanner reads the tokens of a field's value.
type scanner struct {
	in   string
	at   int
	open bool // a comment was never closed
}

var errSyntax = errors.New("no Authentication-Results")

// blank passes over comments and folding white space (RFC 5322 3.2.2). It reports false for a comment that is never closed.
func (s *scanner) blank() bool {
	for s.at < len(s.in) {
		switch s.in[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		case '(':
			if !s.comment() {
				return false
			}
		default:
			return true
		}
	}
	return true
}

func (s *scanner) comment() bool {
	for depth := 0; s.at < len(s.in); {
		c := s.in[s.at]
		s.at++
		switch c {
		case '\\':
			s.at++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return true
			}
		}
	}
	s.at, s.open = len(s.in), true
	return false
}

// take passes over one character if it is next, behind blanks.
func (s *scanner) take(c byte) bool {
	if s.blank() && s.at < len(s.in) && s.in[s.at] == c {
		s.at++
		return true
	}
	return false
}

// end reports whether nothing but blanks is left.
func (s *scanner) end() bool {
	s.blank()
	return s.at >= len(s.in)
}

// quoted reads a quoted string (RFC 5322 3.2.4), without its quotes and escapes.
func (s *scanner) quoted() (string, bool) {
	var b strings.Builder
	for s.at++; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; c {
		case '\\':
			if s.at++; s.at < len(s.in) {
				b.WriteByte(s.in[s.at])
			}
		case '"':
			s.at++
			return b.String(), true
		case '\r', '\n': // of a fold
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), false
}

// word reads characters up to a blank, a comment or one of stops.
func (s *scanner) word(stops string) string {
	start := s.at
	for s.at < len(s.in) && strings.IndexByte(" \t\r\n("+stops, s.in[s.at]) < 0 {
		s.at++
	}
	return s.in[start:s.at]
}

// name reads an authserv-id behind blanks: a quoted string or a token, never an address (RFC 8601 2.2 authserv-id).
func (s *scanner) name() (string, bool) {
	if !s.blank() || s.at >= len(s.in) {
		return "", false
	}
	if s.in[s.at] == '"' {
		text, ok := s.quoted()
		return text, ok && (s.at >= len(s.in) || s.in[s.at] != '@')
	}
	w := s.word(`;="@`)
	return w, w != ""
}

// value reads a value: a quoted string or a token, behind blanks (RFC 2045 5.1), or an address (RFC 8601 2.2 pvalue).
func (s *scanner) value(stops string) (string, bool) {
	if !s.blank() || s.at >= len(s.in) {
		return "", false
	}
	if s.in[s.at] == '"' {
		text, ok := s.quoted()
		if ok && s.at < len(s.in) && s.in[s.at] == '@' { // "local part"@domain: the quotes are syntax there too
			return text + s.word(stops), true
		}
		return text, ok
	}
	w := s.word(stops + `"`)
	return w, w != ""
}
