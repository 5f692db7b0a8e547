package iprev_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost.example/filter/check"
	"gatepost.example/filter/iprev"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy"
)

// zone has one address a case; what it names says what is wrong with it.
const zone = `
192.0.2.1       PTR  mail.example.org
mail.example.org A   192.0.2.99
mail.example.org A   192.0.2.1
2001:db8::1     PTR  six.example.org
six.example.org AAAA 2001:db8::1
192.0.2.2       PTR  elsewhere.example.org
elsewhere.example.org A 192.0.2.99
192.0.2.3       PTR  nowhere.example.org
192.0.2.4       PTR  onlysix.example.org
onlysix.example.org AAAA 2001:db8::4
192.0.2.6       PTR  TIMEOUT
192.0.2.7       PTR  SERVFAIL
192.0.2.8       PTR  slow.example.org
slow.example.org A   TIMEOUT
192.0.2.9       PTR  slow.example.org
192.0.2.9       PTR  good.example.org
good.example.org A   192.0.2.9
192.0.2.10      PTR  slow.example.org
192.0.2.10      PTR  elsewhere.example.org
192.0.2.11      PTR  alias.example.org
alias.example.org CNAME mail11.example.org
mail11.example.org A 192.0.2.11
16.2.0.192.in-addr.arpa CNAME 16.0-31.2.0.192.in-addr.arpa
16.0-31.2.0.192.in-addr.arpa PTR cut.example.org
cut.example.org A    192.0.2.16
192.0.2.17      PTR  NODATA
192.0.2.18      PTR  .
`

func TestVerify(t *testing.T) {
	text := zone
	for i := range 12 { // the tenth name leads back to 192.0.2.12, the eleventh to 192.0.2.13
		text += fmt.Sprintf("192.0.2.12 PTR n%d.example.org\n192.0.2.13 PTR n%d.example.org\n", i, i)
	}
	text += "n9.example.org A 192.0.2.12\nn10.example.org A 192.0.2.13\n"
	z := resolvetest.Must(text)
	for _, test := range []struct {
		ip, word, name, code string
		why                  string
	}{
		{"192.0.2.1", "pass", "mail.example.org", "", "one of the name's addresses is enough"},
		{"::ffff:192.0.2.1", "pass", "mail.example.org", "", "a v4-mapped address is IPv4"},
		{"2001:db8::1", "pass", "six.example.org", "", "IPv6"},
		{"192.0.2.2", "fail", "", "mismatch", "both lookups have results that disagree"},
		{"192.0.2.3", "fail", "", "mismatch", "the forward lookup gives NXDOMAIN: fail, not permerror"},
		{"192.0.2.4", "fail", "", "mismatch", "the forward lookup gives no address of this family"},
		{"192.0.2.5", "permerror", "", "no-ptr", "no PTR: NXDOMAIN"},
		{"192.0.2.17", "permerror", "", "no-ptr", "no PTR: an answer without records"},
		{"192.0.2.6", "temperror", "", "dns", "the reverse lookup times out"},
		{"192.0.2.7", "temperror", "", "dns", "the reverse lookup gives SERVFAIL"},
		{"192.0.2.8", "temperror", "", "dns", "the forward lookup times out"},
		{"192.0.2.9", "pass", "good.example.org", "", "a second name leads back whatever the first does"},
		{"192.0.2.10", "temperror", "", "dns", "a second name does not, so the first one could have"},
		{"192.0.2.11", "pass", "alias.example.org", "", "the forward lookup follows a CNAME"},
		{"192.0.2.16", "pass", "cut.example.org", "", "classless delegation: the reverse lookup follows a CNAME (RFC 2317)"},
		{"192.0.2.12", "pass", "n9.example.org", "", "the tenth name is looked at"},
		{"192.0.2.13", "fail", "", "too-many-names", "the eleventh is not"},
		{"192.0.2.18", "fail", "", "mismatch", "the root is no host's name"},
	} {
		got := iprev.Verify(context.Background(), z, netip.MustParseAddr(test.ip))
		if got.Word != test.word || got.Name != test.name || got.Code != test.code {
			t.Errorf("%s: got %+v, want %s %s %s (%s)", test.ip, got, test.word, test.name, test.code, test.why)
		}
		if (got.Word == "pass") != (got.Detail == "") {
			t.Errorf("%s: %s with detail %q: all but a pass has a reason", test.ip, got.Word, got.Detail)
		}
	}
}

// TestWorkIsBounded: an address with thousands of names costs eleven questions.
func TestWorkIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&text, "192.0.2.1 PTR n%d.example.org\n", i)
	}
	z := resolvetest.Must(text.String())
	iprev.Verify(context.Background(), z, netip.MustParseAddr("192.0.2.1"))
	if n := len(z.Asked()); n != 11 {
		t.Errorf("%d questions, want 11", n)
	}
}

func run(t *testing.T, ctx context.Context, ip netip.Addr) check.Outcome {
	t.Helper()
	return iprev.New().Start(&check.Input{Client: ip, ClientIP: ip.String(), Resolver: resolvetest.Must(zone)})(ctx)
}

func TestCheck(t *testing.T) {
	out := run(t, context.Background(), netip.MustParseAddr("192.0.2.1"))
	if len(out.Facts) != 1 || out.Facts[0] != (check.Named{Name: "client.iprev", Value: policy.StringOf("pass")}) {
		t.Errorf("facts %v", out.Facts)
	}
	if len(out.Findings) != 1 {
		t.Fatalf("findings %+v", out.Findings)
	}
	f := out.Findings[0]
	if f.Method != "iprev" || f.Result != "pass" || f.Domain != "mail.example.org" || f.Code != "" {
		t.Errorf("finding %+v", f)
	}
	if !slices.Equal(f.Props, []check.Property{{Type: "policy", Name: "iprev", Value: "192.0.2.1"}}) {
		t.Errorf("properties %v, want policy.iprev=192.0.2.1 as in RFC 8601 2.7.3", f.Props)
	}
	if len(f.Lookups) != 2 || f.Lookups[0].Type != resolve.PTR || f.Lookups[1].Type != resolve.A {
		t.Errorf("lookups %v, want the two that were made", f.Lookups)
	}
}

// TestNoAddress: mail that no client brought has nothing to judge, and nothing to print.
func TestNoAddress(t *testing.T) {
	out := run(t, context.Background(), netip.Addr{})
	if len(out.Findings) != 0 || out.Facts[0].Value != policy.StringOf("none") {
		t.Errorf("outcome %+v", out)
	}
}

// TestCutOff: a check whose time is up says temperror, never fail.
func TestCutOff(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if out := run(t, ctx, netip.MustParseAddr("192.0.2.1")); out.Facts[0].Value != policy.StringOf("temperror") || out.Findings[0].Result != "temperror" {
		t.Errorf("outcome %+v", out)
	}
}

// TestDeclaration: every word the check can say is declared, so that a rule that compares with another is refused.
func TestDeclaration(t *testing.T) {
	c := iprev.New()
	facts := c.Facts()
	if c.Name() != "iprev" || c.Starts() != policy.Connect || len(facts) != 1 {
		t.Fatalf("%s starts at %s with %d facts", c.Name(), c.Starts(), len(facts))
	}
	want := []string{"pass", "fail", "permerror", "temperror", "none"}
	if f := facts[0]; f.Name != "client.iprev" || f.Stage != policy.Connect || f.Scope != policy.OfConnection || !slices.Equal(f.Words, want) {
		t.Errorf("fact %+v", f)
	}
}
