package mx_test

import (
	"context"
	"slices"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/mx"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
)

const zone = `
example.org        MX   10 mail.example.org
null.test          MX   0 .
null10.test        MX   10 .
mixed.test         MX   0 .
mixed.test         MX   10 mail.example.org
lost.test          MX   10 nowhere.test
four.test          A    192.0.2.1
six.test           AAAA 2001:db8::1
text.test          TXT  "v=spf1 -all"
alias.test         CNAME example.org
sub.parent.test    A    192.0.2.1
slow.test          MX   TIMEOUT
sick.test          ANY  SERVFAIL
slow4.test         A    TIMEOUT
slow46.test        A    TIMEOUT
slow46.test        AAAA 2001:db8::1
slow6.test         AAAA SERVFAIL
`

func TestVerify(t *testing.T) {
	z := resolvetest.Must(zone)
	for _, test := range []struct {
		domain, word, code string
		why                string
	}{
		{"example.org", "ok", "", "MX records"},
		{"lost.test", "ok", "", "the hosts of MX records are not looked up"},
		{"alias.test", "ok", "", "a CNAME leads to MX records (RFC 5321 5.1)"},
		{"four.test", "ok", "", "no MX: its own address counts"},
		{"six.test", "ok", "", "or its IPv6 address"},
		{"null.test", "null", "null-mx", "it says that it takes no mail (RFC 7505 3)"},
		{"null10.test", "null", "null-mx", "whatever the preference, which nobody compares"},
		{"mixed.test", "ok", "", "a null MX beside another is none"},
		{"missing.test", "none", "no-domain", "the domain does not exist"},
		{"text.test", "none", "no-address", "neither MX nor address"},
		{"parent.test", "none", "no-address", "only names below it"},
		{"a..test", "none", "bad-name", "an empty label"},
		{"slow.test", "temperror", "dns", "no answer about MX"},
		{"sick.test", "temperror", "dns", "SERVFAIL"},
		{"slow4.test", "temperror", "dns", "there may be an A record"},
		{"slow6.test", "temperror", "dns", "there may be an AAAA record"},
		{"slow46.test", "ok", "", "one address is enough, whatever the other question does"},
		{"[192.0.2.1]", "ok", "", "an address literal (RFC 5321 4.1.3)"},
		{"[ipv6:2001:db8::1]", "ok", "", "an IPv6 address literal"},
	} {
		got := mx.Verify(context.Background(), z, test.domain)
		if got.Word != test.word || got.Code != test.code {
			t.Errorf("%s: got %+v, want %s %s (%s)", test.domain, got, test.word, test.code, test.why)
		}
		if (got.Word == "temperror") != (got.Detail != "") {
			t.Errorf("%s: %s with detail %q", test.domain, got.Word, got.Detail)
		}
	}
}

func run(ctx context.Context, z *resolvetest.Zone, domain string) check.Outcome {
	return mx.New().Start(&check.Input{SenderDomain: domain, Resolver: z})(ctx)
}

func TestCheck(t *testing.T) {
	out := run(context.Background(), resolvetest.Must(zone), "four.test")
	if len(out.Facts) != 1 || out.Facts[0] != (check.Named{Name: "sender.mx", Value: policy.StringOf("ok")}) || len(out.Findings) != 1 {
		t.Fatalf("outcome %+v", out)
	}
	f := out.Findings[0]
	if f.Method != "" || f.Result != "ok" || f.Domain != "four.test" || len(f.Lookups) != 2 || f.Lookups[1].Type != resolve.A {
		t.Errorf("finding %+v: not a part of Authentication-Results, and two questions", f)
	}
}

// TestNoDomain: the null sender, or a user of this machine. Nothing is asked.
func TestNoDomain(t *testing.T) {
	z := resolvetest.Must(zone)
	out := run(context.Background(), z, "")
	if len(out.Findings) != 0 || out.Facts[0].Value != policy.StringOf("ok") || len(z.Asked()) != 0 {
		t.Errorf("outcome %+v after %v", out, z.Asked())
	}
}

// TestCutOff: a check whose time is up says temperror, never none.
func TestCutOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, domain := range []string{"example.org", "missing.test", "four.test"} {
		if out := run(ctx, resolvetest.Must(zone), domain); out.Facts[0].Value != policy.StringOf("temperror") {
			t.Errorf("%s: %+v", domain, out)
		}
	}
}

func TestDeclaration(t *testing.T) {
	c := mx.New()
	facts := c.Facts()
	if c.Name() != "mx" || c.Starts() != policy.Mail || len(facts) != 1 {
		t.Fatalf("%s starts at %s with %d facts", c.Name(), c.Starts(), len(facts))
	}
	if f := facts[0]; f.Name != "sender.mx" || f.Stage != policy.Mail || f.Scope != policy.OfMessage || !slices.Equal(f.Words, []string{"ok", "null", "none", "temperror"}) {
		t.Errorf("fact %+v", f)
	}
}
