package dmarc

import (
	"context"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve/resolvetest"
)

// TestCompare7489 follows the sections of RFC 7489 by hand. co.uk is on the public suffix list; example.org is not.
func TestCompare7489(t *testing.T) {
	zone := resolvetest.Must(`
_dmarc.example.org    TXT "v=DMARC1; p=reject; sp=quarantine"
_dmarc.strict.test    TXT "v=DMARC1; p=reject; aspf=s; adkim=s"
_dmarc.example.co.uk  TXT "v=DMARC1; p=reject"
_dmarc.slow.test      TXT TIMEOUT
_dmarc.sub.apart.test TXT "v=DMARC1; p=reject"
`)
	pass := func(domain string) []check.Finding { return []check.Finding{{Result: "pass", Domain: domain}} }
	for _, test := range []struct {
		author    string
		spf, dkim []check.Finding
		want      Old
		why       string
	}{
		{"example.org", nil, pass("mail.example.org"), Old{Pass, Reject, "example.org", "example.org"}, "3.1.1: relaxed, same organizational domain"},
		{"www.example.org", nil, pass("other.test"), Old{Fail, Quarantine, "example.org", "example.org"}, "6.6.3: the organizational domain's record, with its sp"},
		{"a.b.example.org", pass("example.org"), nil, Old{Pass, Quarantine, "example.org", "example.org"}, "3.1.2"},
		{"strict.test", pass("mail.strict.test"), pass("d.strict.test"), Old{Fail, Reject, "strict.test", "strict.test"}, "3.1: strict"},
		{"example.co.uk", pass("other.co.uk"), nil, Old{Fail, Reject, "example.co.uk", "example.co.uk"}, "3.2: a public suffix joins nobody"},
		{"slow.test", nil, nil, Old{TempError, "", "", "slow.test"}, "6.6.3: no answer"},
		{"sub.apart.test", pass("apart.test"), nil, Old{Pass, Reject, "sub.apart.test", "apart.test"}, "RFC 9989 4.10.2 says fail: the parent has no record"},
		{"nothing.test", pass("nothing.test"), nil, Old{None, "", "", "nothing.test"}, "no record"},
	} {
		if got := Compare7489(context.Background(), zone, test.author, test.spf, test.dkim); got != test.want {
			t.Errorf("%s: got %+v, want %+v (%s)", test.author, got, test.want, test.why)
		}
	}
}
