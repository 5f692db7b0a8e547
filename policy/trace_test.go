package policy

import (
	"slices"
	"strings"
	"testing"
)

// traced compiles rules over a few facts.
func traced(t *testing.T, source Source) *Policy {
	t.Helper()
	v, err := NewVocabulary([]Fact{
		{Name: "client.ip", Kind: KindIP, Trouble: StringOf(""), Scope: OfConnection},
		{Name: "sender.address", Kind: KindAddress, Trouble: StringOf(""), Stage: Mail, Scope: OfMessage},
		{Name: "client.score", Type: Int, Trouble: IntOf(0)},
		{Name: "dmarc.result", Trouble: StringOf(""), Stage: Data, Scope: OfMessage},
	})
	if err != nil {
		t.Fatal(err)
	}
	source.Networks = networks
	p, problems := Compile(v, source)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return p
}

// TestTraceTellsWhatBecameOfEachRule: its state, what it waits for, and each single change that would have turned it around.
func TestTraceTellsWhatBecameOfEachRule(t *testing.T) {
	p := traced(t, Source{
		DelayReject: true,
		Lists:       []NamedList{{Name: "block", Entries: []string{"192.0.2.0/24", ".spam.example", "eve@example.org"}}},
		Rules: []RuleSource{
			{Name: "watched", When: `dmarc.result == "fail"`, Reply: "550 5.7.1 no", Observe: true},
			{Name: "high", When: `client.score >= 4 && client.ip != ""`, Reply: "550 5.7.1 no"},
			{Name: "blocked", When: `client.ip in list.block && (client.score == 0 || client.score > 10)`, Reply: "554 5.7.1 no"},
			{Name: "below", When: `true`, Action: "accept"},
		},
	})
	e := p.NewEvidence()
	e.Publish("client.ip", StringOf("192.0.2.7"), Connect)
	e.Publish("client.score", IntOf(0), Connect)
	w := p.NewWalk()
	w.Step(e, Connect)
	var got []string
	for _, r := range w.Trace(e) {
		line := r.Name + " " + string(r.State)
		if r.Waits != nil {
			line += " for " + strings.Join(r.Waits, ",")
		}
		for _, c := range r.Unless {
			line += " | " + c.Term
			if c.Entry != "" {
				line += " by " + c.Entry
			}
		}
		got = append(got, line)
	}
	want := []string{
		"watched waited for dmarc.result", "high false | client.score >= 4",
		"blocked true | client.ip not in list.block by 192.0.2.0/24 | client.score != 0", "below not reached",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEntries: a text is found by the narrowest entry that holds it; where Has says no there is none.
func TestEntries(t *testing.T) {
	l, wrong := NewList([]string{"192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32", "198.51.100.7", ".spam.example", "spam.example", "eve@example.org", "user:bob"}, networks())
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	for _, one := range []struct {
		kind       Kind
		text, want string
	}{
		{KindIP, "192.0.2.1", "192.0.2.0/24"}, {KindIP, "192.0.2.200", "192.0.2.128/25"}, {KindIP, "2001:db8::9", "2001:db8::/32"},
		{KindIP, "198.51.100.7", "198.51.100.7"}, {KindIP, "203.0.113.1", ""}, {KindIP, "x", ""},
		{KindDomain, "spam.example", "spam.example"}, {KindDomain, "a.b.spam.example", ".spam.example"}, {KindDomain, "example", ""},
		{KindAddress, "eve@example.org", "eve@example.org"}, {KindAddress, "x@a.spam.example", ".spam.example"}, {KindAddress, "x@example.org", ""},
		{KindUser, "bob", "bob"}, {KindUser, "eve", ""},
	} {
		if got := l.entry(one.kind, one.text); got != one.want || (got != "") != l.Has(one.kind, one.text) {
			t.Errorf("%v %q: %q, want %q; Has says %v", one.kind, one.text, got, one.want, l.Has(one.kind, one.text))
		}
	}
}

// TestCompares: looking up in a list and comparing with harmless texts is no looking at a name.
func TestCompares(t *testing.T) {
	harmless := func(text string) bool { return text == "" || text == "postmaster" }
	for when, want := range map[string]bool{
		`sender.address in list.who`: false, `sender.address != ""`: false, `sender.address in ["postmaster", ""]`: false, `"postmaster" == sender.address`: false,
		`client.ip == "192.0.2.1"`: false, `sender.address == "a@example.org"`: true, `sender.address in ["", "a@example.org"]`: true,
		`sender.address.startsWith("a")`: true, `sender.address == client.ip`: true, `sender.address in list.who || size(sender.address) > 3`: true,
	} {
		p := traced(t, Source{Lists: []NamedList{{Name: "who", Entries: []string{"a@example.org"}}}, Rules: []RuleSource{{Name: "r", When: when, Action: "accept"}}})
		if got := p.Compares("sender.address", harmless); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
}
