package helo_test

import (
	"context"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/helo"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
)

func TestVerify(t *testing.T) {
	z := resolvetest.Must(`
four.example.org  A    192.0.2.1
six.example.org   AAAA 2001:db8::1
only-mx.example.org MX 10 four.example.org
text.example.org  TXT  "no address"
slow.example.org  A    TIMEOUT
broken.example.org A   SERVFAIL
half.example.org  A    SERVFAIL
half.example.org  AAAA 2001:db8::2
`)
	for _, test := range []struct{ name, want, why string }{
		{"four.example.org", "yes", "an IPv4 address"},
		{"FOUR.example.org.", "yes", "names have no case, and may end in a dot"},
		{"six.example.org", "yes", "an IPv6 address is as good (RFC 5321 5.1)"},
		{"only-mx.example.org", "yes", "reject_unknown_helo_hostname of Postfix takes an MX record too"},
		{"text.example.org", "no", "the name exists, without any of the three"},
		{"nowhere.example.org", "no", "NXDOMAIN"},
		{"localhost", "no", "a name without a zone"},
		{"a..b", "no", "no name at all"},
		{"", "no", "nor this"},
		{"[192.0.2.1]", "yes", "an address literal needs no DNS"},
		{"[IPv6:2001:db8::1]", "yes", "nor for IPv6"},
		{"slow.example.org", "temperror", "no answer is no verdict"},
		{"broken.example.org", "temperror", "nor is SERVFAIL"},
		{"half.example.org", "yes", "the other question says enough"},
	} {
		if got, _ := helo.Verify(context.Background(), z, test.name); got != test.want {
			t.Errorf("%q: got %s, want %s: %s", test.name, got, test.want, test.why)
		}
	}
}

func TestCheck(t *testing.T) {
	z := resolvetest.Must("mail.example.org A 192.0.2.1")
	out := helo.New().Start(&check.Input{Helo: "mail.example.org", Resolver: z})(context.Background())
	if out.Facts[0] != (check.Named{Name: "helo.resolves", Value: policy.StringOf("yes")}) || len(out.Findings[0].Lookups) != 1 {
		t.Errorf("outcome %+v", out)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if out := helo.New().Start(&check.Input{Helo: "mail.example.org", Resolver: z})(ctx); out.Facts[0].Value != policy.StringOf("temperror") {
		t.Errorf("cut off: %+v, want temperror", out)
	}
}
