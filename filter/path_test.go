package filter

import (
	"strings"
	"testing"
)

// TestPath: the address that Postfix 3.7.11 finds in each argument that it takes, as its log and its Return-Path show it (testdata/postfix asks a real
// one), and {mail_addr} as it sends it.
func TestPath(t *testing.T) {
	for _, c := range []struct{ typed, resolved, want string }{
		{"a@example.org", "a@example.org", "a@example.org"},
		{"A@Example.ORG", "A@Example.ORG", "A@Example.ORG"},
		{"", "", ""},
		{"<a@example.org>", "", "a@example.org"},
		{"@relay.example:a@example.org", "", "a@example.org"},
		{"@one.example,@two.example:a@example.org", "", "a@example.org"},
		{"a@example.org(a comment)", "", "a@example.org"},
		{"a@example.org(x@evil.example", "", "a@example.org"},
		{"a(x)@(y (\\) z))example.org", "", "a@example.org"},
		{" a@example.org ", "", "a@example.org"},
		{"(x)", "", ""},
		{`"a"@example.org`, "", "a@example.org"},
		{`"a.b"@example.org`, "", "a.b@example.org"},
		{`"a b"@example.org`, `"a b"@example.org`, `"a b"@example.org`},
		{`"(x)<y>"@example.org`, "", `"(x)<y>"@example.org`},
		{`"a@b.example"@example.org`, "", `"a@b.example"@example.org`},
		{"a@[192.0.2.1]", "a@[192.0.2.1]", "a@[192.0.2.1]"},
		{"a@[IPv6:2001:db8::1]", "", "a@[IPv6:2001:db8::1]"},
		{"jos\u00e9@ex\u00e4mple.example", "", "jos\u00e9@ex\u00e4mple.example"},
		{" a @ example . org ", "a", "a@example.org"}, // Sendmail, of one of its own
		{`"a " @ example.org`, "", `"a "@example.org`},
		{"a b@example.org", "", "a b@example.org"},
		{"a@example.org,", "a@example.org", "a@example.org"},
		{"x@y.example@example.org", `"x@y.example"@example.org`, `"x@y.example"@example.org`},
		{`a\@b.example@example.org`, `"a@b.example"@example.org`, `"a@b.example"@example.org`},
		{"root", "root@example.net", "root@example.net"},
		{"root", "root", "root"}, // Sendmail
		{"Postmaster", "", "Postmaster"},
		// What the MTA resolves to another domain than it keeps as the sender.
		{"a%evil.example@example.net", "a@evil.example", "a%evil.example@example.net"},
		{"a%evil.example@example.net(x)", "a@evil.example", "a%evil.example@example.net"},
		{"a%evil.example@example.net,", "a@evil.example", "a%evil.example@example.net,"},
		// Of a recipient that the MTA refused it says its own text.
		{"list@alias.example.net(x)", "User unknown in virtual alias table", "list@alias.example.net"},
	} {
		if got := pathOf(c.typed, c.resolved); got != c.want {
			t.Errorf("%q, resolved %q: %q, want %q", c.typed, c.resolved, got, c.want)
		}
	}
}

func TestPlainAddress(t *testing.T) {
	for address, want := range map[string]string{
		`"Bob"@Example.ORG.`: "Bob@example.org", "a@b\u00fccher\u3002example": "a@xn--bcher-kva.example", `"a b"@example.org`: `"a b"@example.org`,
		"bob": "bob", "": "", "bob@unknown": "bob@unknown", // the word of a client without a name
	} {
		if got := plainAddress(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// FuzzPath: what was read is read again as the same, and never has a domain that neither the client wrote nor the MTA said.
func FuzzPath(f *testing.F) {
	f.Add("@x.example:a(b)@example.org", "a@example.org")
	f.Add(`"a\"b"@[IPv6:::1]`, "")
	f.Add("<root>", "root@example.net")
	f.Fuzz(func(t *testing.T, typed, resolved string) {
		got := pathOf(typed, resolved)
		if again := pathOf(got, resolved); again != got {
			t.Errorf("%q, %q: %q, and again %q", typed, resolved, got, again)
		}
		if _, domain := splitAddress(got); isMailbox(got) && !strings.Contains(barePath(typed), domain) && !strings.HasSuffix(resolved, "@"+domain) {
			t.Errorf("%q, %q: the domain of %q comes from nowhere", typed, resolved, got)
		}
	})
}
