package resolvetest

import (
	"errors"
	"strings"
)

// word is one item of a record's line, its escapes resolved to raw bytes.
type word struct {
	text   string
	quoted bool
}

// scanner cuts zone text into words.
type scanner struct {
	rest string
	line int
}

// record gives the words of the next line that has any, and the number of its first line; no words at the end of the text.
func (s *scanner) record() (words []word, line int, err error) {
	inside := false // parentheses
	line = s.line
	for s.rest != "" {
		c := s.rest[0]
		switch {
		case c == '\n':
			s.rest = s.rest[1:]
			s.line++
			if len(words) > 0 && !inside {
				return words, line, nil
			}
			if len(words) == 0 {
				line = s.line
			}
		case c == ' ' || c == '\t' || c == '\r':
			s.rest = s.rest[1:]
		case c == ';':
			end := strings.IndexByte(s.rest+"\n", '\n')
			s.rest = s.rest[end:]
		case c == '(' || c == ')':
			if inside == (c == '(') {
				return nil, s.line, errors.New("parentheses do not match")
			}
			inside = !inside
			s.rest = s.rest[1:]
		default:
			w, err := s.word()
			if err != nil {
				return nil, s.line, err
			}
			words = append(words, w)
		}
	}
	if inside {
		return nil, line, errors.New("a parenthesis is not closed")
	}
	return words, line, nil
}

// word reads one word or quoted string (RFC 1035 5.1).
func (s *scanner) word() (word, error) {
	w := word{quoted: s.rest[0] == '"'}
	stop := " \t\r\n;()\""
	if w.quoted {
		s.rest, stop = s.rest[1:], "\"\n"
	}
	var b strings.Builder
	for s.rest != "" && strings.IndexByte(stop, s.rest[0]) < 0 {
		c, size, err := unescape(s.rest)
		if err != nil {
			return w, err
		}
		b.WriteByte(c)
		s.rest = s.rest[size:]
	}
	w.text = b.String()
	if w.quoted {
		if s.rest == "" || s.rest[0] != '"' {
			return w, errors.New("a quoted string is not closed on its line")
		}
		s.rest = s.rest[1:]
	}
	return w, nil
}

// unescape gives the byte that the text begins with, and how much of the text stands for it.
func unescape(text string) (c byte, size int, err error) {
	if text[0] != '\\' {
		return text[0], 1, nil
	}
	if len(text) < 2 || text[1] == '\n' {
		return 0, 0, errors.New("a backslash stands before nothing")
	}
	if text[1] < '0' || text[1] > '9' {
		return text[1], 2, nil
	}
	n := 0
	for i := 1; i <= 3; i++ {
		if i >= len(text) || text[i] < '0' || text[i] > '9' {
			return 0, 0, errors.New(`a number after a backslash has three digits, \000 to \255`)
		}
		n = 10*n + int(text[i]-'0')
	}
	if n > 255 {
		return 0, 0, errors.New(`a number after a backslash is at most 255`)
	}
	return byte(n), 4, nil
}
