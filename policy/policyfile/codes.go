package policyfile

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Codes is a set of IPv4 addresses by what each of their four bytes may be: the codes of a list that one weight belongs to.
type Codes [4]set

// set has a bit for each value of a byte.
type set [4]uint64

func (s *set) add(from, to int) {
	for n := from; n <= to; n++ {
		s[n/64] |= 1 << (n % 64)
	}
}

func (s *set) has(b byte) bool { return s[b/64]>>(b%64)&1 == 1 }

// Matches reports whether an IPv4 address is in the set.
func (p *Codes) Matches(addr netip.Addr) bool {
	if !addr.Is4() {
		return false
	}
	for i, b := range addr.As4() {
		if !p[i].has(b) {
			return false
		}
	}
	return true
}

// parseCodes reads an address whose bytes may be sets, as Postfix writes them (postconf(5), postscreen_dnsbl_sites): "127.0.0.2",
// "127.0.[0..255].3", "127.0.0.[2;4..11]". The error says what is wrong and how to write it.
func parseCodes(text string) (Codes, error) {
	var p Codes
	parts := splitBytes(text)
	if len(parts) != len(p) {
		return p, fmt.Errorf("%q is no code of a list; write an address such as 127.0.0.2, or 127.0.0.[2;4..11] for several", text)
	}
	for i, part := range parts {
		inner, bracketed := strings.CutPrefix(part, "[")
		if bracketed {
			var closed bool
			if inner, closed = strings.CutSuffix(inner, "]"); !closed {
				return p, fmt.Errorf("%q: a bracket is not closed", text)
			}
		}
		if err := p[i].parse(inner, bracketed); err != nil {
			return p, fmt.Errorf("%q: %w", text, err)
		}
	}
	return p, nil
}

// splitBytes splits at dots, but not at the two dots of a range within brackets.
func splitBytes(text string) []string {
	var parts []string
	inside, from := false, 0
	for i := range len(text) {
		switch {
		case text[i] == '[':
			inside = true
		case text[i] == ']':
			inside = false
		case text[i] == '.' && !inside:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}

// parse reads "2" or, in brackets, "2;4..11".
func (s *set) parse(text string, several bool) error {
	if !several {
		n, err := parseByte(text)
		if err == nil {
			s.add(n, n)
		}
		return err
	}
	for one := range strings.SplitSeq(text, ";") {
		first, last, isRange := strings.Cut(one, "..")
		from, err := parseByte(first)
		if err != nil {
			return err
		}
		to := from
		if isRange {
			if to, err = parseByte(last); err != nil {
				return err
			}
		}
		if to < from {
			return fmt.Errorf("the range %q goes down; write the smaller number first", one)
		}
		s.add(from, to)
	}
	return nil
}

func parseByte(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil || len(text) > 1 && text[0] == '0' {
		return 0, fmt.Errorf("%q is no number from 0 to 255", text)
	}
	return int(n), nil
}
