package resolvetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"gatepost.example/filter/resolve"
)

const sample = `
; what the package comment shows
example.org        A     192.0.2.1
example.org        300 IN MX 10 Mail.example.org.   ; preference 10
EXAMPLE.org.       IN 60 TXT   "v=spf1 " "a -all"
example.org        MX    20 backup.example.org
raw.example.org    TXT   "a\"b\\c\009\195\169;d"
long.example.org   TXT   ( "one "
                           "two" )   ; over two lines
*.wild.example.org CNAME example.org
b.wild.example.org A     192.0.2.7
192.0.2.1          PTR   Mail.example.org
2001:db8::1        PTR   six.example.org
mail.example.org   AAAA  2001:db8::1
null.example.org   MX    0 .
slow.example.org   TXT   TIMEOUT
dead.example.org   ANY   SERVFAIL
gone.example.org   *     NXDOMAIN
bare.example.org   A     NODATA
a.b.deep.example.org A   192.0.2.9
loop1.example.org  CNAME loop2.example.org
loop2.example.org  CNAME loop1.example.org
away.example.org   CNAME nowhere.test
text.example.org   TXT   "TIMEOUT"
`

// TestLookup checks zone text against what RFC 1034, 2308, 4592 and 7505 say a server would answer.
func TestLookup(t *testing.T) {
	z, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		kind resolve.Type
		want string
		why  string
	}{
		{"example.org", resolve.A, "found [192.0.2.1] 5m0s", "an address"},
		{"Example.ORG.", resolve.A, "found [192.0.2.1] 5m0s", "case and a trailing dot do not matter"},
		{"example.org", resolve.MX, "found [{10 mail.example.org} {20 backup.example.org}] 5m0s", "two records in order"},
		{"example.org", resolve.TXT, "found [v=spf1 a -all] 1m0s", "strings are joined without a blank"},
		{"example.org", resolve.AAAA, "no data", "the name exists without this type"},
		{"raw.example.org", resolve.TXT, "found [a\"b\\c\té;d] 5m0s", "escapes are raw bytes, a semicolon in quotes is text"},
		{"long.example.org", resolve.TXT, "found [one two] 5m0s", "parentheses join lines"},
		{"x.y.wild.example.org", resolve.A, "found [192.0.2.1] 5m0s", "a wildcard covers several labels and its CNAME is followed"},
		{"x.b.wild.example.org", resolve.A, "no such domain", "below an existing name the wildcard does not apply (RFC 4592 2.2.1)"},
		{"b.wild.example.org", resolve.MX, "no data", "nor at an existing name"},
		{"1.2.0.192.in-addr.arpa", resolve.PTR, "found [mail.example.org] 5m0s", "an address before PTR is its reverse name"},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", resolve.PTR, "found [six.example.org] 5m0s", "for IPv6 too"},
		{"mail.example.org", resolve.AAAA, "found [2001:db8::1] 5m0s", "an IPv6 address"},
		{"null.example.org", resolve.MX, "found [{0 }] 5m0s", "a null MX has no host (RFC 7505 3)"},
		{"slow.example.org", resolve.TXT, "timeout", "trouble for one type"},
		{"slow.example.org", resolve.A, "no data", "only for that type"},
		{"dead.example.org", resolve.MX, "server failure", "trouble for all types"},
		{"gone.example.org", resolve.A, "no such domain", "as the text says"},
		{"bare.example.org", resolve.A, "no data", "as the text says"},
		{"b.deep.example.org", resolve.A, "no data", "an empty non-terminal exists (RFC 8020)"},
		{"c.deep.example.org", resolve.A, "no such domain", "its neighbour does not"},
		{"loop1.example.org", resolve.A, "server failure", "a loop of CNAMEs"},
		{"away.example.org", resolve.A, "no such domain", "the end of the CNAME does not exist"},
		{"text.example.org", resolve.TXT, "found [TIMEOUT] 5m0s", "a quoted word is text"},
		{"other.test", resolve.A, "no such domain", "nothing is said about it"},
		{"a..example.org", resolve.A, "bad name", "an empty label"},
		{strings.Repeat("a", 64) + ".test", resolve.A, "bad name", "a label over 63 bytes"},
		{strings.Repeat("a.", 127) + "a", resolve.A, "bad name", "over 253 bytes"},
		{".", resolve.A, "bad name", "the root"},
		{"", resolve.A, "bad name", "no name at all"},
		{"\xff\xc3.example.org", resolve.A, "no such domain", "bytes outside ASCII can be asked"},
	} {
		if got := show(z.Lookup(context.Background(), test.name, test.kind)); got != test.want {
			t.Errorf("%s %s: got %s, want %s (%s)", test.name, test.kind, got, test.want, test.why)
		}
	}
}

// show prints an answer: status, data, TTL.
func show(a *resolve.Answer) string {
	data := ""
	switch {
	case a.Addrs != nil:
		data = fmt.Sprint(a.Addrs)
	case a.Texts != nil:
		data = fmt.Sprint(a.Texts)
	case a.MXs != nil:
		data = fmt.Sprint(a.MXs)
	case a.Hosts != nil:
		data = fmt.Sprint(a.Hosts)
	}
	if data == "" {
		return a.Status.String()
	}
	return fmt.Sprint(a.Status, " ", data, " ", a.TTL)
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"example.org A", "zone line 1: a record is NAME TYPE DATA"},
		{"\n; note\nexample.org A 192.0.2.256", `zone line 3: example.org A: "192.0.2.256" is no address of this type`},
		{"example.org AAAA 192.0.2.1", `zone line 1: example.org AAAA: "192.0.2.1" is no address of this type`},
		{"example.org SRV 0 0 25 a.test", `zone line 1: type "SRV": use A, AAAA, MX, TXT, PTR, CNAME, NS, SOA, or ANY for trouble`},
		{"example.org TXT v=spf1 -all", `zone line 1: example.org TXT: put the text in quotes: blanks outside quotes separate strings (at "v=spf1")`},
		{"example.org TXT \"open", "zone line 1: a quoted string is not closed on its line"},
		{"example.org TXT \"\\25\"", `zone line 1: a number after a backslash has three digits, \000 to \255`},
		{"example.org TXT \"\\256\"", `zone line 1: a number after a backslash is at most 255`},
		{"example.org TXT ( \"a\"", "zone line 1: a parenthesis is not closed"},
		{"example.org TXT \"a\" )", "zone line 1: parentheses do not match"},
		{"example.org MX mail.example.org", "zone line 1: example.org MX: 1 words of data where 2 are expected"},
		{"example.org MX ten mail.example.org", `zone line 1: example.org MX: preference "ten" is no number from 0 to 65535`},
		{"example.org ANY 192.0.2.1", "zone line 1: example.org ANY: ANY takes TIMEOUT, SERVFAIL, NXDOMAIN or NODATA"},
		{"$ORIGIN example.org.\n", "zone line 1: a record is NAME TYPE DATA"},
		{"@ A 192.0.2.1", `zone line 1: "@": directives and relative names are not understood, write names in full`},
		{"a..b A 192.0.2.1", `zone line 1: "a..b" is no name`},
		{"a.test CNAME b.test\na.test A 192.0.2.1", "zone: a.test: a name with a CNAME record can have no other record"},
	} {
		if _, err := Parse(test.text); err == nil || err.Error() != test.want {
			t.Errorf("%q:\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestAsked(t *testing.T) {
	z := Must("example.org A 192.0.2.1")
	z.Lookup(context.Background(), "Example.org.", resolve.A)
	z.Lookup(context.Background(), "other.test", resolve.TXT)
	z.Lookup(context.Background(), "..", resolve.TXT)
	if got := fmt.Sprint(z.Asked()); got != "[example.org A other.test TXT]" {
		t.Errorf("asked %s; a bad name is never asked", got)
	}
}

func TestEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if a := Must("example.org A 192.0.2.1").Lookup(ctx, "example.org", resolve.A); a.Status != resolve.Timeout || a.Detail == "" {
		t.Errorf("got %+v, want a timeout with a reason", a)
	}
}
