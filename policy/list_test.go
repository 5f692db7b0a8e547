package policy

import (
	"strings"
	"testing"

	"github.com/gaissmai/bart"
)

// networks makes a table as those who read a policy do.
func networks() Networks { return new(bart.Lite) }

func TestKindOf(t *testing.T) {
	for entry, want := range map[string]Kind{
		"192.0.2.1": KindIP, "192.0.2.0/24": KindIP, "2001:db8::/32": KindIP, "::ffff:192.0.2.1": KindIP, "::": KindIP,
		"a@example.org": KindAddress, "\"a b\"@example.org": KindAddress,
		"example.org": KindDomain, ".example.org": KindDomain, "192.0.2": KindDomain, "192.0.2.256": KindDomain,
		"alice": KindUser, "user:alice@example.org": KindUser, "user:192.0.2.1": KindUser, "": KindUser,
	} {
		if got := KindOf(entry); got != want {
			t.Errorf("%q is of kind %s, want %s", entry, got, want)
		}
	}
}

func TestListHas(t *testing.T) {
	for _, c := range []struct {
		why     string
		entries string // separated by blanks
		kind    Kind
		in, out string
	}{
		{"an address", "192.0.2.1", KindIP, "192.0.2.1 ::ffff:192.0.2.1", "192.0.2.2 ::192.0.2.1 2001:db8::1 example.org"},
		{"a network", "192.0.2.0/25 198.51.100.7", KindIP, "192.0.2.0 192.0.2.127 198.51.100.7", "192.0.2.128 198.51.100.8"},
		{"networks inside of each other", "10.0.0.0/8 10.1.0.0/16 10.1.2.3/32", KindIP, "10.2.0.1 10.1.0.1 10.1.2.3", "11.0.0.1"},
		{"all of IPv4 is nothing of IPv6", "0.0.0.0/0", KindIP, "192.0.2.1 255.255.255.255 ::ffff:192.0.2.1", "2001:db8::1 ::1 ::"},
		{"all of IPv6 is nothing of IPv4", "::/0", KindIP, "2001:db8::1 ::1", "192.0.2.1 0.0.0.0 ::ffff:192.0.2.1"},
		{"a wide IPv6 network neither", "::/64", KindIP, "::1 ::2:0:0:1", "192.0.2.1 0:0:0:1::1"},
		{"a mapped entry is its IPv4 address", "::ffff:192.0.2.1 ::ffff:198.51.100.0/120", KindIP, "192.0.2.1 198.51.100.9", "192.0.2.2"},
		{"IPv6 however it is written", "2001:DB8::/32", KindIP, "2001:db8::1 2001:0DB8:0:0::1", "2001:db9::1"},
		{"no address is in no network", "0.0.0.0/0 ::/0", KindIP, "", "x 192.0.2 192.0.2.0/24 1.2.3.4.5"},

		{"a domain is itself only (access(5), parent_domain_matches_subdomains off)", "example.org", KindDomain, "example.org EXAMPLE.ORG", "a.example.org anexample.org example.org. org"},
		{"a dot in front is its subdomains only", ".example.org", KindDomain, "a.example.org b.a.example.org", "example.org anexample.org example.org.test"},
		{"both", "example.org .example.org", KindDomain, "example.org a.example.org", "example.com"},
		{"without regard to case", "Example.ORG .Sub.Example.ORG", KindDomain, "example.org x.sub.example.org", "sub.example.org"},
		{"a top-level domain", ".test", KindDomain, "a.test b.a.test", "test atest"},
		{"dots in a row", "example.org .example.org", KindDomain, "..example.org", ". .. example..org"},

		{"an address, without regard to case", "Alice@Example.org", KindAddress, "alice@example.org ALICE@EXAMPLE.ORG", "bob@example.org alice@sub.example.org alice"},
		{"an address by its domain", "example.org .example.com", KindAddress, "a@example.org a@b.example.com \"x@y\"@example.org", "a@example.com example.org a@example.org@example.net"},
		{"an address is no domain", "alice@example.org", KindDomain, "", "example.org alice@example.org"},

		{"a user", "alice user:bob@example.org user:192.0.2.1", KindUser, "alice ALICE bob@example.org 192.0.2.1", "bob user:alice"},
		{"an address is no user unless one says so", "carol@example.org", KindUser, "", "carol@example.org carol"},
		{"a user is no address", "user:bob@example.org", KindAddress, "", "bob@example.org"},
		{"of no kind", "alice example.org 192.0.2.1", NoKind, "", "alice example.org 192.0.2.1"},
		{"an empty list", "", KindIP, "", "192.0.2.1"},
	} {
		l, wrong := NewList(strings.Fields(c.entries), networks())
		if len(wrong) > 0 {
			t.Errorf("%s: %v", c.why, wrong)
			continue
		}
		for _, text := range strings.Fields(c.in) {
			if !l.Has(c.kind, text) {
				t.Errorf("%s: %s is not in %s", c.why, text, c.entries)
			}
		}
		for _, text := range append(strings.Fields(c.out), "", strings.Repeat("a.", 5000)+"example.org") {
			if l.Has(c.kind, text) {
				t.Errorf("%s: %.40q is in %s", c.why, text, c.entries)
			}
		}
	}
}

func TestListRefuses(t *testing.T) {
	for entry, want := range map[string]string{
		"":                   "an empty entry matches nobody; remove it",
		"user:":              "an empty entry matches nobody; remove it",
		"192.0.2.1/24":       `"192.0.2.1/24" has bits beyond its length; write 192.0.2.0/24`,
		"2001:db8::1/64":     `"2001:db8::1/64" has bits beyond its length; write 2001:db8::/64`,
		"fe80::1%eth0":       `"fe80::1%eth0" has a zone; write the address without %eth0`,
		"192.0.2.0/33":       `"192.0.2.0/33" is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		"*.example.org":      `"*.example.org" is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		"example.org.":       `"example.org." is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		"..example.org":      `"..example.org" is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		".":                  `"." is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		"@example.org":       `"@example.org" is no address; write a domain without @`,
		"alice@":             `"alice@" is no address; write a domain without @`,
		"bücher.example":     `"bücher.example" is no domain as mail carries it; write its form in ASCII (xn--...)`,
		"a.example b.test":   `"a.example b.test" is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
		"10.0.0.0/255.0.0.0": `"10.0.0.0/255.0.0.0" is neither a network, a domain, an address nor a user; a domain is example.org, its subdomains are .example.org`,
	} {
		if _, wrong := NewList([]string{"alice", entry}, networks()); len(wrong) != 1 || wrong[1] == nil || wrong[1].Error() != want {
			t.Errorf("%q: got %v, want %s", entry, wrong, want)
		}
	}
}

// TestListInRules: the fact's kind says which entries are asked.
func TestListInRules(t *testing.T) {
	s := source(`ip: client.ip in list.all => 550 5.7.1 ip`, `domain: sender.domain in list.all => 550 5.7.1 domain`,
		`address: sender.address in list.all => 550 5.7.1 address`, `user: auth.user in list.all => 550 5.7.1 user`)
	s.Lists = []NamedList{{Name: "all", Entries: []string{"192.0.2.0/24", "bad.example", "eve@example.org", "mallory"}}}
	p := compile(t, s)
	for _, c := range []struct {
		fs   facts
		want string
	}{
		{facts{"client.ip": "192.0.2.7"}, "ip"},
		{facts{"sender.domain": "bad.example"}, "domain"},
		{facts{"sender.address": "eve@example.org"}, "address"},
		{facts{"sender.address": "x@bad.example"}, "address"},
		{facts{"auth.user": "mallory"}, "user"},
		{facts{"client.ip": "mallory", "sender.domain": "192.0.2.7", "sender.address": "mallory", "auth.user": "bad.example"}, ""},
	} {
		e, w := p.NewEvidence(), p.NewWalk()
		publish(e, Mail, facts{"client.ip": "", "sender.domain": "", "sender.address": "", "auth.user": ""})
		publish(e, Mail, c.fs)
		w.Step(e, Mail)
		if d, _ := w.Decision(); d.Rule != c.want {
			t.Errorf("%v: decided by %q, want %q", c.fs, d.Rule, c.want)
		}
	}
}
