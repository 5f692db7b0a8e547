package dmarc

import (
	"net/url"
	"strings"
)

// Policy is what a domain owner asks for: none, quarantine or reject.
type Policy string

// The policies; "" is none asked for.
const (
	Monitor    Policy = "none"
	Quarantine Policy = "quarantine"
	Reject     Policy = "reject"
)

// Record is a DMARC record, read (RFC 9989 4.7).
type Record struct {
	P, SP, NP  Policy // SP and NP are "" when left out
	StrictDKIM bool   // adkim=s
	StrictSPF  bool   // aspf=s
	PSD        byte   // y, n or u
	Testing    bool   // t=y
}

// isRecord reports whether a TXT record is a DMARC record: the tag v stands first and its value is exactly DMARC1.
func isRecord(text string) bool {
	first, _, _ := strings.Cut(text, ";")
	name, value, found := strings.Cut(first, "=")
	return found && strings.EqualFold(trim(name), "v") && trim(value) == "DMARC1"
}

// ParseRecord reads a record for which isRecord holds. It reports false for one that counts as none: no valid p, or an invalid sp or np,
// and no address for reports. With such an address it counts as p=none. Unknown tags and values that are none are ignored; of a tag
// that stands twice the first counts.
func ParseRecord(text string) (*Record, bool) {
	r := &Record{PSD: 'u'}
	seen := map[string]bool{}
	valid, reports := true, false
	for spec := range strings.SplitSeq(text, ";") {
		name, value, found := strings.Cut(spec, "=")
		name, value = strings.ToLower(trim(name)), trim(value)
		if !found || seen[name] {
			continue
		}
		seen[name] = true
		switch name {
		case "p":
			r.P = policyOf(value)
		case "sp":
			r.SP = policyOf(value)
			valid = valid && r.SP != ""
		case "np":
			r.NP = policyOf(value)
			valid = valid && r.NP != ""
		case "adkim":
			r.StrictDKIM = strings.EqualFold(value, "s")
		case "aspf":
			r.StrictSPF = strings.EqualFold(value, "s")
		case "psd":
			if v := strings.ToLower(value); v == "y" || v == "n" {
				r.PSD = v[0]
			}
		case "t":
			r.Testing = strings.EqualFold(value, "y")
		case "rua":
			reports = hasURI(value)
		}
	}
	if r.P != "" && valid {
		return r, true
	}
	r.P, r.SP, r.NP = Monitor, "", ""
	return r, reports
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

func policyOf(value string) Policy {
	switch p := Policy(strings.ToLower(value)); p {
	case Monitor, Quarantine, Reject:
		return p
	}
	return ""
}

// hasURI reports whether a list of addresses for reports has a valid one. A size behind ! is passed over.
func hasURI(list string) bool {
	for uri := range strings.SplitSeq(list, ",") {
		uri, _, _ = strings.Cut(trim(uri), "!")
		if u, err := url.Parse(uri); err == nil && u.Scheme != "" && (u.Opaque != "" || u.Host != "") {
			return true
		}
	}
	return false
}

// of gives the policy for the author domain: p where the record is its own; else np when the domain does not exist, and sp; both fall
// back. Under test (t=y) it is one level milder.
func (r *Record) of(own, exists bool) Policy {
	p := r.P
	if !own {
		if r.SP != "" {
			p = r.SP
		}
		if !exists && r.NP != "" {
			p = r.NP
		}
	}
	if r.Testing {
		p = map[Policy]Policy{Reject: Quarantine, Quarantine: Monitor, Monitor: Monitor}[p]
	}
	return p
}
