package spf

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

func query(ip, sender string) Query {
	return Query{Client: netip.MustParseAddr(ip), Helo: "mail.example.org", Sender: sender, Receiver: "mx.example.net", Now: time.Unix(1_800_000_000, 0)}
}

func ask(t testing.TB, zone, ip, sender string) Verdict {
	t.Helper()
	return CheckMailFrom(context.Background(), resolvetest.Must(zone), query(ip, sender))
}

// appendixA is the zone of RFC 7208 Appendix A, with the records of its examples under names of their own.
const appendixA = `
example.com MX 10 mail-a.example.com
example.com MX 20 mail-b.example.com
example.com A 192.0.2.10
example.com A 192.0.2.11
amy.example.com A 192.0.2.65
bob.example.com A 192.0.2.66
mail-a.example.com A 192.0.2.129
mail-b.example.com A 192.0.2.130
www.example.com CNAME example.com
example.org MX 10 mail-c.example.org
mail-c.example.org A 192.0.2.140
192.0.2.10 PTR example.com
192.0.2.65 PTR amy.example.com
192.0.2.129 PTR mail-a.example.com
192.0.2.140 PTR mail-c.example.org
10.0.0.4 PTR bob.example.com
`

// TestAppendixA: RFC 7208 A.1 says who passes each record of example.com.
func TestAppendixA(t *testing.T) {
	hosts := []string{"192.0.2.10", "192.0.2.11", "192.0.2.65", "192.0.2.129", "192.0.2.130", "192.0.2.140", "10.0.0.4"}
	for _, c := range []struct{ record, pass string }{
		{"v=spf1 +all", strings.Join(hosts, " ")},
		{"v=spf1 a -all", "192.0.2.10 192.0.2.11"},
		{"v=spf1 a:example.org -all", ""},
		{"v=spf1 mx -all", "192.0.2.129 192.0.2.130"},
		{"v=spf1 mx:example.org -all", "192.0.2.140"},
		{"v=spf1 mx mx:example.org -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
		{"v=spf1 mx/30 mx:example.org/30 -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
		{"v=spf1 ptr -all", "192.0.2.10 192.0.2.65 192.0.2.129"},
		{"v=spf1 ip4:192.0.2.128/28 -all", "192.0.2.129 192.0.2.130 192.0.2.140"},
	} {
		var pass []string
		for _, ip := range hosts {
			if v := ask(t, appendixA+fmt.Sprintf("example.com TXT %q\n", c.record), ip, "a@example.com"); v.Result == Pass {
				pass = append(pass, ip)
			} else if v.Result != Fail {
				t.Errorf("%s, %s: %s %s", c.record, ip, v.Result, v.Detail)
			}
		}
		if got := strings.Join(pass, " "); got != c.pass {
			t.Errorf("%s passes %q, RFC 7208 A.1 says %q", c.record, got, c.pass)
		}
	}
}

// TestMacroExamples: RFC 7208 7.4.
func TestMacroExamples(t *testing.T) {
	v4 := &evaluation{query: query("192.0.2.3", ""), local: "strong-bad", senderDomain: "email.example.com"}
	v6 := &evaluation{query: query("2001:db8::cb01", ""), local: "strong-bad", senderDomain: "email.example.com"}
	for text, want := range map[string]string{
		"%{s}": "strong-bad@email.example.com", "%{o}": "email.example.com", "%{d}": "email.example.com", "%{d4}": "email.example.com",
		"%{d3}": "email.example.com", "%{d2}": "example.com", "%{d1}": "com", "%{dr}": "com.example.email", "%{d2r}": "example.email",
		"%{l}": "strong-bad", "%{l-}": "strong.bad", "%{lr}": "strong-bad", "%{lr-}": "bad.strong", "%{l1r-}": "strong",
		"%{ir}.%{v}._spf.%{d2}":             "3.2.0.192.in-addr._spf.example.com",
		"%{lr-}.lp._spf.%{d2}":              "bad.strong.lp._spf.example.com",
		"%{lr-}.lp.%{ir}.%{v}._spf.%{d2}":   "bad.strong.lp.3.2.0.192.in-addr._spf.example.com",
		"%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}":  "3.2.0.192.in-addr.strong.lp._spf.example.com",
		"%{d2}.trusted-domains.example.net": "example.com.trusted-domains.example.net",
		"%{S}%%%_%-":                        "strong-bad%40email.example.com% %20",
	} {
		if got, err := v4.expand(text, "email.example.com", false); err != nil || got != want {
			t.Errorf("%s: %q, %v; RFC 7208 7.4 says %q", text, got, err, want)
		}
	}
	want := "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6._spf.example.com"
	if got, _ := v6.expand("%{ir}.%{v}._spf.%{d2}", "email.example.com", false); got != want {
		t.Errorf("got %q, RFC 7208 7.4 says %q", got, want)
	}
}

// TestSyntax: what is a record, and what is a permanent error wherever it stands (RFC 7208 4.5, 4.6, 5, 6, 7.1).
func TestSyntax(t *testing.T) {
	for _, c := range []struct {
		record string
		want   Result
		code   string
	}{
		{"v=spf1", Neutral, ""}, {"v=spf1 ", Neutral, ""}, {"V=SPF1 -ALL", Fail, ""}, {"v=spf10 -all", None, CodeNoRecord}, {" v=spf1 -all", None, CodeNoRecord},
		{"v=spf1 ip4:192.0.2.1 foo:bar", PermError, CodeSyntax}, {"v=spf1 ip4:192.0.2.1 -all:x", PermError, CodeSyntax},
		{"v=spf1 ip4:192.0.2.1/33", PermError, CodeSyntax}, {"v=spf1 ip4:192.0.2.1/032", PermError, CodeSyntax}, {"v=spf1 ip4:192.0.2", PermError, CodeSyntax},
		{"v=spf1 ip6:192.0.2.1", PermError, CodeSyntax}, {"v=spf1 ip4:2001:db8::1", PermError, CodeSyntax}, {"v=spf1 ip4", PermError, CodeSyntax},
		{"v=spf1 include", PermError, CodeSyntax}, {"v=spf1 include:", PermError, CodeSyntax}, {"v=spf1 exists:%{x}.example.org", PermError, CodeSyntax},
		{"v=spf1 a:example..org -all", PermError, CodeSyntax}, {"v=spf1 a:org -all", PermError, CodeSyntax}, {"v=spf1 a:example.123 -all", PermError, CodeSyntax},
		{"v=spf1 redirect=a.test redirect=b.test", PermError, CodeSyntax}, {"v=spf1 exp=a.test exp=b.test -all", PermError, CodeSyntax},
		{"v=spf1 foo=bar x-y_z.1=%{d} -all", Fail, ""}, {"v=spf1 1foo=bar -all", PermError, CodeSyntax}, {"v=spf1 foo=%{ -all", PermError, CodeSyntax},
		{"v=spf1 +ip4:192.0.2.1 -all", Pass, ""}, {"v=spf1 ?all", Neutral, ""}, {"v=spf1 ~all", SoftFail, ""}, {"v=spf1 \\233 -all", PermError, CodeSyntax},
		{"v=spf1 exists:%{c}.example.org -all", PermError, CodeSyntax},
	} {
		v := ask(t, fmt.Sprintf("example.org TXT \"%s\"\nexample.org A 198.51.100.9\n", c.record), "192.0.2.1", "a@example.org")
		if c.record == "v=spf1 a:example..org -all" && v.Result == Fail {
			continue // the grammar lets an empty label stand; the question then has no answer
		}
		if v.Result != c.want || v.Code != c.code {
			t.Errorf("%s: %s %s (%s), want %s %s", c.record, v.Result, v.Code, v.Detail, c.want, c.code)
		}
	}
}

// TestLimits of RFC 7208 4.6.4, each met and each passed by one.
func TestLimits(t *testing.T) {
	includes := func(n int) string {
		var b strings.Builder
		b.WriteString(`example.org TXT "v=spf1`)
		for i := range n {
			fmt.Fprintf(&b, " include:i%d.example.org", i)
		}
		b.WriteString(" -all\"\n")
		for i := range n {
			fmt.Fprintf(&b, "i%d.example.org TXT \"v=spf1 ip4:203.0.113.1\"\n", i)
		}
		return b.String()
	}
	servers := func(n int) string {
		zone := "example.org TXT \"v=spf1 mx -all\"\n"
		for i := range n {
			zone += fmt.Sprintf("example.org MX %d m%d.example.org\nm%d.example.org A 203.0.113.1\n", i, i, i)
		}
		return zone
	}
	voids := func(n int) string {
		return "example.org TXT \"v=spf1 " + strings.Repeat("a:void.example.org ", n) + "-all\"\n"
	}
	for _, c := range []struct {
		name, zone string
		want       Result
		code       string
	}{
		{"10 terms", includes(10), Fail, ""}, {"11 terms", includes(11), PermError, CodeLookups},
		{"10 mail servers", servers(10), Fail, ""}, {"11 mail servers", servers(11), PermError, CodeManyHosts},
		{"2 empty answers", voids(2), Fail, ""}, {"3 empty answers", voids(3), PermError, CodeVoid},
		{"3 names that cannot be asked for", "example.org TXT \"v=spf1 a:b..test exists:%{l}..test mx:c..test -all\"\n", Fail, ""},
		{"include of itself", "example.org TXT \"v=spf1 include:example.org\"\n", PermError, CodeLookups},
		{"redirect to itself", "example.org TXT \"v=spf1 redirect=example.org\"\n", PermError, CodeLookups},
		{"include without a record", "example.org TXT \"v=spf1 include:none.example.org\"\n", PermError, CodeIncludeNone},
		{"redirect without a record", "example.org TXT \"v=spf1 redirect=none.example.org\"\n", PermError, CodeRedirectNone},
		{"two records", "example.org TXT \"v=spf1 -all\"\nexample.org TXT \"v=spf1 +all\"\n", PermError, CodeTwoRecords},
		{"DNS silent", "example.org TXT TIMEOUT\n", TempError, CodeDNS},
		{"DNS silent for an include", "example.org TXT \"v=spf1 include:a.example.org -all\"\na.example.org TXT SERVFAIL\n", TempError, CodeDNS},
	} {
		if v := ask(t, c.zone, "192.0.2.1", "a@example.org"); v.Result != c.want || v.Code != c.code {
			t.Errorf("%s: %s %s (%s), want %s %s", c.name, v.Result, v.Code, v.Detail, c.want, c.code)
		}
	}
}

// TestOneFamily: an IPv6 client asks for AAAA only of a host that has A, and so on: what is not asked is no empty answer.
func TestOneFamily(t *testing.T) {
	zone := resolvetest.Must("example.org TXT \"v=spf1 a -all\"\nexample.org AAAA 2001:db8::1\n")
	CheckMailFrom(context.Background(), zone, query("2001:db8::1", "a@example.org"))
	for _, q := range zone.Asked() {
		if q.Type == resolve.A {
			t.Errorf("asked for A: %v", zone.Asked())
		}
	}
}

// TestIdentities: what is asked about (RFC 7208 2.4, 4.3), and at which @ an address divides.
func TestIdentities(t *testing.T) {
	zone := "a.test TXT \"v=spf1 -all\"\nevil.test TXT \"v=spf1 +all\"\nmail.example.org TXT \"v=spf1 ip4:192.0.2.1 -all\"\nexample.org TXT \"v=spf1 exists:%{l}.l.example.org -all\"\npostmaster.l.example.org A 127.0.0.2\nxn--bcher-kva.test TXT \"v=spf1 -all\"\n"
	for _, c := range []struct {
		sender, domain string
		want           Result
	}{
		{`"x@evil.test"@a.test`, "a.test", Fail},
		{"", "mail.example.org", Pass},
		{"@example.org", "example.org", Pass},
		{"a@B\u00fccher.test", "xn--bcher-kva.test", Fail},
		{"a@A.test.", "a.test", Fail},
		{"a@localhost", "localhost", None},
		{"a@[192.0.2.1]", "[192.0.2.1]", None},
		{"a@" + strings.Repeat("x", 64) + ".test", strings.Repeat("x", 64) + ".test", None},
		{"a@x..test", "x..test", None},
		{"a", "a", None},
	} {
		if v := ask(t, zone, "192.0.2.1", c.sender); v.Result != c.want || v.Domain != c.domain {
			t.Errorf("%q: %s of %q, want %s of %q", c.sender, v.Result, v.Domain, c.want, c.domain)
		}
	}
}

// TestTells: the verdict says which term matched and how it was reached, and every question it cost.
func TestTells(t *testing.T) {
	zone := "example.org TXT \"v=spf1 include:x.test include:_spf.example.net -all\"\nx.test TXT \"v=spf1 -all\"\n_spf.example.net TXT \"v=spf1 ip4:192.0.2.0/24 -all\"\n"
	v := ask(t, zone, "192.0.2.1", "a@example.org")
	if v.Term != "include:_spf.example.net" || v.Path != "example.org include:_spf.example.net _spf.example.net" || len(v.Lookups) != 3 {
		t.Errorf("%+v", v)
	}
	if v := ask(t, "example.org TXT \"v=spf1 ip4:203.0.113.1\"\n", "192.0.2.1", "a@example.org"); v.Result != Neutral || v.Term != "default" {
		t.Errorf("%+v", v)
	}
}

// TestExplanation: RFC 7208 6.2: the domain's own words for a fail, dropped when there is any trouble with them.
func TestExplanation(t *testing.T) {
	for _, c := range []struct{ zone, want string }{
		{`exp.example.org TXT "%{i} is not one of %{d}'s servers; %{r} %{t}"`, "192.0.2.1 is not one of example.org's servers; mx.example.net 1800000000"},
		{`exp.example.org TXT "one"` + "\n" + `exp.example.org TXT "two"`, ""},
		{`exp.example.org TXT "\195\169"`, ""},
		{`exp.example.org TXT "%{z}"`, ""},
		{`exp.example.org TXT TIMEOUT`, ""},
	} {
		v := ask(t, "example.org TXT \"v=spf1 -all exp=exp.%{d}\"\n"+c.zone+"\n", "192.0.2.1", "a@example.org")
		if v.Result != Fail || v.Explanation != c.want {
			t.Errorf("%s: %s %q, want %q", c.zone, v.Result, v.Explanation, c.want)
		}
	}
}

// TestFindings: what Authentication-Results gets; for the null sender the HELO identity once, by its own check.
func TestFindings(t *testing.T) {
	zone := resolvetest.Must("mail.example.org TXT \"v=spf1 ip4:192.0.2.1 -all\"\n")
	in := &check.Input{Resolver: zone, Client: netip.MustParseAddr("192.0.2.1"), Helo: "mail.example.org"}
	out := NewMailFrom().Start(in)(context.Background())
	if f := out.Findings[0]; f.Method != "" || f.Identity != "helo" || f.Domain != "mail.example.org" || f.Result != "pass" {
		t.Errorf("null sender: %+v", f)
	}
	out = NewHelo().Start(in)(context.Background())
	if f := out.Findings[0]; f.Method != "spf" || fmt.Sprint(f.Props) != "[{smtp helo mail.example.org}]" {
		t.Errorf("HELO: %+v", f)
	}
}

// TestMailServersOfOneFamily: RFC 7208 4.6.4 counts terms as void; the mail servers of one mx that have no IPv6 make no permerror.
func TestMailServersOfOneFamily(t *testing.T) {
	zone := "example.org TXT \"v=spf1 mx ip6:2001:db8::/32 -all\"\n"
	for i := range 5 {
		zone += fmt.Sprintf("example.org MX %d m%d.example.org\nm%d.example.org A 203.0.113.1\n", i, i, i)
	}
	if v := ask(t, zone, "2001:db8::1", "a@example.org"); v.Result != Pass {
		t.Errorf("%s %s (%s)", v.Result, v.Code, v.Detail)
	}
}

// TestConfusedSenders: the attacks on how programs cut a MAIL FROM or HELO name apart (Chen, Paxson and Jiang, Composition Kills, 2020):
// none passes for victim.test, and where the domain is malformed nobody is asked (RFC 7208 4.3).
func TestConfusedSenders(t *testing.T) {
	const zone = `
evil.test      TXT "v=spf1 ip4:192.0.2.1 -all"
*.evil.test    TXT "v=spf1 ip4:192.0.2.1 -all"
victim.test    TXT "v=spf1 ip4:203.0.113.1 -all"
*.victim.test  TXT "v=spf1 ip4:203.0.113.1 -all"
`
	for sender, want := range map[string]string{
		"a@evil.test":                           "pass evil.test",
		"a@victim.test":                         "fail victim.test",
		`"a@evil.test"@victim.test`:             "fail victim.test",
		`"@evil.test"@victim.test`:              "fail victim.test",
		`a@victim.test"@evil.test`:              "pass evil.test",
		"@evil.test:a@victim.test":              "fail victim.test",
		"@evil.test,@b.evil.test:a@victim.test": "fail victim.test",
		"a@victim.test(.evil.test":              "none",
		"a@(evil.test)victim.test":              "none",
		"a@victim.test(@evil.test":              "pass evil.test",
		"a@evil.test(.victim.test":              "none",
		"a@victim.test'.evil.test":              "none",
		`a@victim.test".evil.test`:              "none",
		"a@victim.test,.evil.test":              "none",
		"a@victim.test;.evil.test":              "none",
		"a@victim.test .evil.test":              "none",
		"a@victim.test\x00.evil.test":           "none",
		"a@victim.test\r\n.evil.test":           "none",
		"a@victim.test\\.evil.test":             "none",
		"a@<evil.test>.victim.test":             "none",
		"a@victim.test@evil.test":               "pass evil.test",
		"a@[192.0.2.1]":                         "none",
		"a@victim.test.":                        "fail victim.test",
		"a@.victim.test":                        "none",
		"a@victim\u3002test":                    "fail victim.test",
		"a":                                     "none",
	} {
		v := ask(t, zone, "192.0.2.1", sender)
		got := string(v.Result)
		if v.Result != None {
			got += " " + v.Domain
		}
		if got != want {
			t.Errorf("%q: %s, want %s", sender, got, want)
		}
		if helo := CheckHelo(context.Background(), resolvetest.Must(zone), Query{Client: netip.MustParseAddr("192.0.2.1"), Helo: sender}); helo.Result == Pass && helo.Domain != "evil.test" {
			t.Errorf("HELO %q passes for %s", sender, helo.Domain)
		}
	}
}
