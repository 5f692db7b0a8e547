package authres

import (
	"fmt"
	"strconv"
	"strings"

	"gatepost.example/filter/check"
)

// Parse reads the value of an Authentication-Results field by the whole grammar of RFC 8601 2.2: comments, quoted strings, versions,
// folds. Comments are passed over.
func Parse(text string) (Field, error) {
	s := &scanner{in: text}
	f := Field{}
	var ok bool
	if f.ID, ok = s.name(); !ok {
		return f, fmt.Errorf("%w: there is no authserv-id", errSyntax)
	}
	if s.blank() && s.at < len(s.in) && s.in[s.at] != ';' {
		n, err := strconv.Atoi(s.word(";"))
		if err != nil {
			return f, fmt.Errorf("%w: what stands behind the authserv-id is no version", errSyntax)
		}
		f.Version = n
	}
	for !s.end() {
		if !s.take(';') {
			return f, fmt.Errorf("%w: a semicolon is missing at byte %d", errSyntax, s.at)
		}
		if s.end() {
			break
		}
		r, none, err := s.result()
		if err != nil {
			return f, err
		}
		if !none {
			f.Results = append(f.Results, r)
		}
	}
	if s.open {
		return f, fmt.Errorf("%w: a comment is never closed", errSyntax)
	}
	return f, nil
}

// Words gives the results of a method in lower case, in the order of the field, also where another part of it breaks the grammar: large
// receivers write "dmarc=fail action=none". What stands in quotes and comments is no result.
func Words(text, method string) []string {
	var out []string
	s := &scanner{in: text}
	for s.nextPart() {
		part := scanner{in: text, at: s.at}
		if text[s.at-1] != ';' || !part.blank() || !strings.EqualFold(part.word(";=/"), method) {
			continue
		}
		if part.take('/') {
			part.blank()
			part.word(";=")
		}
		if part.take('=') && part.blank() {
			out = append(out, strings.ToLower(part.word(";=,")))
		}
	}
	return out
}

// result reads "method[/version] = value [reason = text] {ptype.property = pvalue}", or "none".
func (s *scanner) result() (r Result, none bool, err error) {
	r.Method = strings.ToLower(s.word(";=/"))
	if r.Method == "" {
		return r, false, fmt.Errorf("%w: a method is missing at byte %d", errSyntax, s.at)
	}
	if s.take('/') {
		s.blank()
		if r.Version, err = strconv.Atoi(s.word(";=")); err != nil {
			return r, false, fmt.Errorf("%w: %s has no version behind /", errSyntax, r.Method)
		}
	}
	if !s.take('=') {
		if r.Method == "none" && (s.end() || s.in[s.at] == ';') {
			return r, true, nil
		}
		return r, false, fmt.Errorf("%w: %s has no result", errSyntax, r.Method)
	}
	s.blank()
	if r.Value = strings.ToLower(s.word(";=")); r.Value == "" {
		return r, false, fmt.Errorf("%w: %s has no result", errSyntax, r.Method)
	}
	for !s.end() && s.in[s.at] != ';' {
		if err := s.property(&r); err != nil {
			return r, false, err
		}
	}
	return r, false, nil
}

// property reads "reason = text" or "ptype . property = pvalue", with blanks anywhere between.
func (s *scanner) property(r *Result) error {
	kind := strings.ToLower(s.word(";=."))
	if kind == "reason" && s.take('=') {
		text, ok := s.value(";")
		if !ok {
			return fmt.Errorf("%w: reason has no text", errSyntax)
		}
		r.Reason = text
		return nil
	}
	if kind == "" || !s.take('.') {
		return fmt.Errorf("%w: a property is missing at byte %d", errSyntax, s.at)
	}
	s.blank()
	name := strings.ToLower(s.word(";="))
	if name == "" || !s.take('=') {
		return fmt.Errorf("%w: property %s has no name", errSyntax, kind)
	}
	value, ok := s.value(";")
	if !ok {
		return fmt.Errorf("%w: property %s.%s has no value", errSyntax, kind, name)
	}
	r.Props = append(r.Props, check.Property{Type: kind, Name: name, Value: value})
	return nil
}
