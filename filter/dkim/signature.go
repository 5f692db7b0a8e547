package dkim

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
)

// Signature is a DKIM-Signature field, read (RFC 6376 3.5).
type Signature struct {
	Algorithm string // a=: "rsa-sha256", "ed25519-sha256"
	Signature []byte // b=
	Base64    string // b= as written, without white space: header.b is its beginning
	BodyHash  []byte // bh=
	HeaderC   message.Canon
	BodyC     message.Canon
	Domain    string   // d= in lower case A-labels
	Names     []string // h= in lower case
	Identity  string   // i=, "" when it is left out
	Within    string   // the domain of i=, in lower case A-labels; d= when it is left out
	Length    int64    // l=, -1 without
	Selector  string   // s= in lower case A-labels
	Time      int64    // t=, -1 without
	Expires   int64    // x=, -1 without

	memory [32]byte // of BodyHash
}

// Problem is why a signature cannot be verified: the code, and what for the log.
type Problem struct {
	Code string
	Text string
}

// Error gives both.
func (p *Problem) Error() string { return p.Code + ": " + p.Text }

func problem(code, format string, args ...any) *Problem {
	return &Problem{code, fmt.Sprintf(format, args...)}
}

// ParseSignature reads the value of a DKIM-Signature field. With a problem it gives what could be read all the same, for the finding.
func ParseSignature(value string) (*Signature, *Problem) {
	s := &Signature{}
	return s, s.parse(value)
}

// parse is ParseSignature in memory that is there.
func (s *Signature) parse(value string) *Problem {
	s.Length, s.Time, s.Expires = -1, -1, -1
	var room [usualTags]Tag
	tags, err := appendTags(room[:0], value)
	if err != nil {
		return problem(CodeSyntax, "%v", err)
	}
	if len(tags) == 0 {
		return problem(CodeSyntax, "no tags")
	}
	var wrong *Problem
	for _, t := range tags {
		if p := s.Set(t); p != nil && wrong == nil {
			wrong = p
		}
	}
	if wrong != nil {
		return wrong
	}
	for _, needed := range []string{"v", "a", "b", "bh", "d", "h", "s"} { // RFC 6376 3.5: REQUIRED
		if !slices.ContainsFunc(tags, func(t Tag) bool { return t.Name == needed }) {
			return problem(CodeSyntax, "tag %s is missing", needed)
		}
	}
	return s.judge()
}

// Set takes one tag. Unknown ones are ignored.
func (s *Signature) Set(t Tag) *Problem {
	var err error
	switch t.Name {
	case "v":
		if t.Value != "1" { // RFC 6376 6.1.1
			err = errors.New("not version 1")
		}
	case "a":
		s.Algorithm = strings.ToLower(t.Value)
	case "b":
		s.Base64 = unspace(t.Value)
		s.Signature, err = base64.StdEncoding.DecodeString(s.Base64)
	case "bh":
		s.BodyHash, err = base64.StdEncoding.AppendDecode(s.memory[:0], []byte(unspace(t.Value)))
	case "c":
		s.HeaderC, s.BodyC, err = parseCanon(t.Value)
	case "d":
		s.Domain, err = toName(t.Value, 2)
	case "h":
		return s.setNames(t.Value)
	case "i":
		s.Identity = unspace(t.Value)
	case "l":
		s.Length, err = number(t.Value)
	case "q":
		if !hasWord(t.Value, "dns/txt") { // RFC 6376 3.5: others are ignored; this one must be there
			err = errors.New("no method that is known")
		}
	case "s":
		s.Selector, err = toName(t.Value, 1)
	case "t":
		s.Time, err = number(t.Value)
	case "x":
		s.Expires, err = number(t.Value)
	}
	if err != nil {
		return problem(CodeSyntax, "%s=: %v", t.Name, err)
	}
	return nil
}

func (s *Signature) setNames(value string) *Problem {
	if strings.Count(value, ":") >= MaxNames {
		return problem(CodeManyNames, "h= has over %d names", MaxNames)
	}
	value = strings.ToLower(value)
	s.Names = make([]string, 0, strings.Count(value, ":")+1)
	for more := true; more; {
		var name string
		name, value, more = strings.Cut(value, ":")
		if name = trim(name); name == "" { // a colon too many, which other verifiers pass over: it signs nothing
			continue
		}
		if strings.IndexByte(name, ';') >= 0 || hasSpace(name) {
			return problem(CodeSyntax, "h= has %q for a name", name)
		}
		s.Names = append(s.Names, name)
	}
	return nil
}

// Acceptable reports whether the algorithm is one that counts: rsa-sha256 (RFC 8301 3.1) or ed25519-sha256 (RFC 8463).
func (s *Signature) Acceptable() bool {
	return s.Algorithm == "rsa-sha256" || s.Algorithm == "ed25519-sha256"
}

// judge proves what the tags must be together.
func (s *Signature) judge() *Problem {
	switch {
	case !s.Acceptable(): // RFC 8301 3.1: rsa-sha1 must not verify
		return problem(CodeAlgorithm, "a=%s is not accepted", s.Algorithm)
	case !slices.Contains(s.Names, "from"): // RFC 6376 5.4
		return problem(CodeNoFrom, "h= does not name From")
	case s.Expires >= 0 && s.Time >= 0 && s.Expires <= s.Time: // RFC 6376 3.5: x= must be greater than t=
		return problem(CodeSyntax, "x= is not behind t=")
	case len(s.BodyHash) != 32:
		return problem(CodeSyntax, "bh= has %d bytes, not 32", len(s.BodyHash))
	}
	if s.Within = s.Domain; s.Identity == "" {
		return nil
	}
	at := strings.LastIndexByte(s.Identity, '@')
	if at < 0 {
		return problem(CodeIdentity, "i= has no @")
	}
	domain, err := toName(s.Identity[at+1:], 1)                                       // white space in i= was dropped before: it may be folded (RFC 6376 2.11)
	if err != nil || domain != s.Domain && !strings.HasSuffix(domain, "."+s.Domain) { // RFC 6376 3.5
		return problem(CodeIdentity, "i= is not within d=")
	}
	s.Within = domain
	return nil
}

// hasWord reports whether a colon-separated list has a word.
func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ":") {
		if strings.EqualFold(trim(w), word) {
			return true
		}
	}
	return false
}

func parseCanon(value string) (header, body message.Canon, err error) {
	h, b, both := strings.Cut(strings.ToLower(value), "/")
	if header, err = canonOf(h); err != nil || !both {
		return header, message.Simple, err // RFC 6376 3.5: the body's default
	}
	body, err = canonOf(b)
	return header, body, err
}

func canonOf(word string) (message.Canon, error) {
	switch word {
	case "simple":
		return message.Simple, nil
	case "relaxed":
		return message.Relaxed, nil
	}
	return 0, fmt.Errorf("%q is no canonicalization", word)
}

// number reads an unsigned decimal number. RFC 6376 3.5 lets one have 76 digits; what is beyond an int64 is as good as its largest.
func number(value string) (int64, error) {
	if value == "" || len(value) > 76 || strings.Trim(value, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no number", value)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		n = 1<<63 - 1
	}
	return n, nil
}

// toName gives a domain or selector in lower case A-labels (RFC 8616 4), with at least so many labels.
func toName(value string, labels int) (string, error) {
	name := message.ALabels(strings.ToLower(value))
	if len(name) > 253 || strings.Count(name, ".")+1 < labels || !resolve.IsHostName(name) {
		return "", fmt.Errorf("%q is no domain name", value)
	}
	return name, nil
}

// Unsigned gives the value of a signature field with the value of its b= taken out (RFC 6376 3.5): what stands between the = of b= and
// the next semicolon.
func Unsigned(value string) string {
	at := 0
	for at < len(value) {
		end := strings.IndexByte(value[at:], ';')
		if end < 0 {
			end = len(value)
		} else {
			end += at
		}
		if name, _, found := strings.Cut(value[at:end], "="); found && trim(name) == "b" {
			return value[:at+len(name)+1] + value[end:]
		}
		at = end + 1
	}
	return value
}
