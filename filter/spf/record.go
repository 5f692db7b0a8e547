package spf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Record is an SPF record, read (RFC 7208 4.6.1).
type Record struct {
	Directives  []Directive
	Redirect    string // domain-spec, "" without
	Explanation string // domain-spec of exp=, "" without
}

// Directive is one mechanism with its qualifier.
type Directive struct {
	Text      string // as written
	Qualifier byte   // + - ~ ?
	Mechanism string // all include a mx ptr ip4 ip6 exists
	Domain    string // domain-spec, "" for the current domain
	Network   netip.Prefix
	Bits4     int // cidr lengths of a and mx
	Bits6     int
}

// isRecord reports whether a TXT record is an SPF record: "v=spf1" and then a space or nothing (RFC 7208 4.5).
func isRecord(text string) bool {
	return len(text) >= 6 && strings.EqualFold(text[:6], "v=spf1") && (len(text) == 6 || text[6] == ' ')
}

// ParseRecord reads a whole record. Any syntax error in it counts, also behind a term that matches (RFC 7208 4.6).
func ParseRecord(text string) (*Record, error) {
	r := &Record{}
	hasRedirect, hasExp := false, false
	for term := range strings.SplitSeq(text[min(6, len(text)):], " ") {
		if term == "" {
			continue
		}
		if strings.ContainsFunc(term, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return nil, fmt.Errorf("%q has a character that is not printable ASCII", term)
		}
		name, value, isModifier := cutModifier(term)
		if !isModifier {
			d, err := parseDirective(term)
			if err != nil {
				return nil, err
			}
			r.Directives = append(r.Directives, d)
			continue
		}
		var err error
		switch name {
		case "redirect":
			if hasRedirect { // RFC 7208 6: at most once
				return nil, fmt.Errorf("redirect= stands twice")
			}
			hasRedirect, r.Redirect = true, value
			err = checkDomainSpec(value)
		case "exp":
			if hasExp {
				return nil, fmt.Errorf("exp= stands twice")
			}
			hasExp, r.Explanation = true, value
			err = checkDomainSpec(value)
		default:
			err = checkMacroString(value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", term, err)
		}
	}
	return r, nil
}

// cutModifier splits name=value; name is ALPHA *( ALPHA / DIGIT / "-" / "_" / "." ) (RFC 7208 4.6.1).
func cutModifier(term string) (name, value string, ok bool) {
	name, value, found := strings.Cut(term, "=")
	if !found || name == "" {
		return "", "", false
	}
	name = strings.ToLower(name)
	for i, c := range name {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '_' && c != '.') {
			return "", "", false
		}
	}
	return name, value, true
}

func parseDirective(term string) (Directive, error) {
	d := Directive{Text: term, Qualifier: '+', Bits4: 32, Bits6: 128}
	rest := term
	if strings.IndexByte("+-~?", rest[0]) >= 0 {
		d.Qualifier, rest = rest[0], rest[1:]
	}
	end := strings.IndexAny(rest, ":/")
	if end < 0 {
		end = len(rest)
	}
	d.Mechanism, rest = strings.ToLower(rest[:end]), rest[end:]
	var err error
	switch d.Mechanism {
	case "all":
		if rest != "" {
			err = fmt.Errorf("all takes nothing")
		}
	case "include", "exists":
		err = d.setDomain(rest, true)
	case "ptr":
		err = d.setDomain(rest, false)
	case "a", "mx":
		if rest, err = d.cutBits(rest); err == nil {
			err = d.setDomain(rest, false)
		}
	case "ip4", "ip6":
		err = d.setNetwork(rest)
	default:
		err = fmt.Errorf("unknown mechanism")
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", term, err)
	}
	return d, nil
}

// setDomain takes ":" domain-spec.
func (d *Directive) setDomain(rest string, needed bool) error {
	if rest == "" && !needed {
		return nil
	}
	spec, found := strings.CutPrefix(rest, ":")
	if !found || spec == "" {
		return fmt.Errorf("a domain is missing")
	}
	d.Domain = spec
	return checkDomainSpec(spec)
}

// cutBits takes the dual-cidr-length off the end: "/24", "//64", "/24//64" (RFC 7208 5.6). Any other slash is part of the domain.
func (d *Directive) cutBits(rest string) (string, error) {
	var err error
	if head, length, found := cutDigits(rest, "//"); found {
		if d.Bits6, err = bits(length, 128); err != nil {
			return "", err
		}
		rest = head
	}
	if head, length, found := cutDigits(rest, "/"); found {
		if d.Bits4, err = bits(length, 32); err != nil {
			return "", err
		}
		rest = head
	}
	return rest, nil
}

// cutDigits cuts a separator and the digits behind it off the end.
func cutDigits(s, separator string) (head, digits string, found bool) {
	bare := strings.TrimRight(s, "0123456789")
	if len(bare) == len(s) || !strings.HasSuffix(bare, separator) {
		return s, "", false
	}
	return strings.TrimSuffix(bare, separator), s[len(bare):], true
}

// bits reads a cidr length: no leading zeros, in range.
func bits(text string, most int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most || len(text) > 1 && text[0] == '0' || strings.Trim(text, "0123456789") != "" {
		return 0, fmt.Errorf("%q is no prefix length up to %d", text, most)
	}
	return n, nil
}

func (d *Directive) setNetwork(rest string) error {
	text, found := strings.CutPrefix(rest, ":")
	if !found {
		return fmt.Errorf("a network is missing")
	}
	most := 32
	if d.Mechanism == "ip6" {
		most = 128
	}
	host, length, hasLength := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || (addr.BitLen() == 32) != (most == 32) {
		return fmt.Errorf("%q is no address", host)
	}
	n := most
	if hasLength {
		if n, err = bits(length, most); err != nil {
			return err
		}
	}
	d.Network = netip.PrefixFrom(addr, n).Masked()
	return nil
}
