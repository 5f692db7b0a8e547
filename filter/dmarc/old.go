package dmarc

import (
	"context"
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
)

// Old is what the obsolete RFC 7489 says of a message: for comparison only, no rule ever sees it. Shares of mail (pct) are left out.
type Old struct {
	Result       Result // Pass, Fail, None or TempError
	Policy       Policy // p or sp of the record; "" without one
	Domain       string // where the record stands
	Organization string // the author's organizational domain by the public suffix list
}

// Compare7489 judges by RFC 7489 what SPF and DKIM found: organizational domains come from the public suffix list that the program was
// built with (3.2), and the record from the author domain or from its organizational domain (6.6.3). It asks at most two questions.
func Compare7489(ctx context.Context, r resolve.Resolver, author string, spf, dkim []check.Finding) Old {
	w := newWalker(ctx, r)
	o := Old{Result: None, Organization: organization(author)}
	for _, name := range []string{author, o.Organization} {
		s, trouble := w.recordAt(name)
		if trouble != nil {
			o.Result = TempError
			return o
		}
		if s.record == nil {
			continue
		}
		o.Domain, o.Policy = name, s.record.P
		if name != author && s.record.SP != "" {
			o.Policy = s.record.SP
		}
		o.Result = Fail
		if aligns(author, spf, s.record.StrictSPF) || aligns(author, dkim, s.record.StrictDKIM) {
			o.Result = Pass
		}
		return o
	}
	return o
}

// aligns reports whether a pass is aligned (RFC 7489 3.1).
func aligns(author string, findings []check.Finding, strict bool) bool {
	for _, f := range findings {
		if f.Result != string(Pass) || f.Domain == "" {
			continue
		}
		if f.Domain == author || !strict && organization(f.Domain) == organization(author) {
			return true
		}
	}
	return false
}

// organization gives the organizational domain by the public suffix list (RFC 7489 3.2); of a suffix itself, or of an address, the name.
func organization(name string) string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if _, err := netip.ParseAddr(name); err == nil {
		return name
	}
	if org, err := publicsuffix.EffectiveTLDPlusOne(name); err == nil {
		return org
	}
	return name
}
