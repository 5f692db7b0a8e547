package arc

import (
	"fmt"
	"strconv"
	"strings"

	"gatepost.example/filter/dkim"
	"gatepost.example/filter/message"
)

// set is the three fields of one instance (RFC 8617 4.1), by their number in the header.
type set struct {
	results int // ARC-Authentication-Results
	signed  int // ARC-Message-Signature
	seal    int // ARC-Seal
}

const missing = -1

// failure is why a chain fails.
type failure struct {
	code, text string
}

func fail(code, format string, args ...any) *failure {
	return &failure{code, fmt.Sprintf(format, args...)}
}

// kinds are the three fields of a set.
var kinds = map[string]func(*set) *int{
	"arc-authentication-results": func(s *set) *int { return &s.results },
	"arc-message-signature":      func(s *set) *int { return &s.signed },
	"arc-seal":                   func(s *set) *int { return &s.seal },
}

// collect gives the sets in the order of their instances; none when the message bears no ARC field. Each instance from 1 to the last
// must have each field once (RFC 8617 5.2, step 3).
func collect(h *message.Header) ([]set, *failure) {
	var sets []set
	for number, f := range h.Fields {
		name := f.Bare()
		if len(name) < len("ARC-") || !strings.EqualFold(name[:len("ARC-")], "ARC-") {
			continue
		}
		place := kinds[strings.ToLower(name)]
		if place == nil {
			continue
		}
		i, ok := instance(f)
		if !ok {
			return sets, fail(CodeStructure, "%s has no instance from 1 to %d", f.Name, MaxInstance)
		}
		for len(sets) < i {
			sets = append(sets, set{missing, missing, missing})
		}
		if at := place(&sets[i-1]); *at == missing {
			*at = number
		} else {
			return sets, fail(CodeStructure, "instance %d has two %s", i, f.Name)
		}
	}
	for i, s := range sets {
		if s.results == missing || s.signed == missing || s.seal == missing {
			return sets, fail(CodeStructure, "instance %d is not whole", i+1)
		}
	}
	return sets, nil
}

// instance gives the value of the tag i= of any ARC field. In ARC-Authentication-Results it stands first, before a semicolon.
func instance(f message.Field) (int, bool) {
	var value string
	if strings.EqualFold(f.Bare(), "ARC-Authentication-Results") {
		first, _, found := strings.Cut(f.Value, ";")
		name, text, isTag := strings.Cut(first, "=")
		if !found || !isTag || strings.Trim(name, " \t\r\n") != "i" {
			return 0, false
		}
		value = strings.Trim(text, " \t\r\n")
	} else {
		tags, err := dkim.ParseTags(f.Value)
		if err != nil {
			return 0, false
		}
		for _, t := range tags {
			if t.Name == "i" {
				value = t.Value
			}
		}
	}
	i, err := strconv.Atoi(value)
	return i, err == nil && i >= 1 && i <= MaxInstance && len(value) <= 2
}

// signature is an ARC-Message-Signature or ARC-Seal, read.
type signature struct {
	dkim.Signature
	names []string // h= of a message signature
	chain string   // cv= of a seal
	has   map[string]bool
}

// read reads a field. The tags are DKIM's, but that i= is the instance and that v= is not used (RFC 8617 4.1.2, 4.1.3).
func read(f message.Field) (*signature, *failure) {
	tags, err := dkim.ParseTags(f.Value)
	if err != nil {
		return nil, fail(CodeSyntax, "%s: %v", f.Name, err)
	}
	s := &signature{Signature: dkim.Signature{Length: -1, Time: -1, Expires: -1}, has: map[string]bool{}}
	for _, t := range tags {
		s.has[t.Name] = true
		switch t.Name {
		case "i", "v":
		case "cv":
			s.chain = t.Value
		case "h":
			if strings.Count(t.Value, ":") >= dkim.MaxNames {
				return nil, fail(CodeSyntax, "%s: h= has over %d names", f.Name, dkim.MaxNames)
			}
			for name := range strings.SplitSeq(t.Value, ":") {
				s.names = append(s.names, strings.ToLower(strings.Trim(name, " \t\r\n")))
			}
		default:
			if wrong := s.Set(t); wrong != nil {
				return nil, fail(CodeSyntax, "%s: %s", f.Name, wrong.Text)
			}
		}
	}
	if !s.has["c"] { // sealers that leave it out, and the ARC test suite, mean relaxed
		s.HeaderC, s.BodyC = message.Relaxed, message.Relaxed
	}
	for _, needed := range []string{"a", "b", "d", "s"} {
		if !s.has[needed] {
			return nil, fail(CodeSyntax, "%s: tag %s is missing", f.Name, needed)
		}
	}
	if !s.Acceptable() {
		return nil, fail(CodeSyntax, "%s: a=%s is not accepted", f.Name, s.Algorithm)
	}
	return s, nil
}
