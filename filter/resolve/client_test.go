package resolve_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

const zone = `
example.org          SOA  ns.example.org hostmaster.example.org 1 7200 3600 1209600 60
example.org          A    192.0.2.1
example.org          A    192.0.2.2
example.org          AAAA 2001:db8::1
mapped.example.org   AAAA ::ffff:192.0.2.9
example.org          MX   10 Mail.Example.ORG
example.org          MX   5  mail2.example.org
null.example.org     MX   0 .
example.org          TXT  "v=spf1 " "-all"
example.org          TXT  "tab\009 quote\" back\\slash \195\169\000"
192.0.2.1            PTR  Mail.example.org
www.example.org      60 CNAME web.example.org
web.example.org      30 CNAME host.example.org
host.example.org     A    192.0.2.3
empty.example.org    CNAME bare.example.org
bare.example.org     TXT  "nothing else"
gone.example.org     CNAME nowhere.example.org
loop1.example.org    CNAME loop2.example.org
loop2.example.org    CNAME loop1.example.org
odd\255\032label.example.org A 192.0.2.4
back\\.example.org   A    192.0.2.5
nul\000label.example.org A   192.0.2.8
host.nothing.here.example.org A 192.0.2.10
slow.example.org     A    TIMEOUT
sick.example.org     A    SERVFAIL
zero.example.org     0 A  192.0.2.6
nosoa.test           A    192.0.2.7
`

// start gives a client and the servers that it asks. The timeout is short, so that silence does not last.
func start(t *testing.T, servers int, change func(*resolve.Config)) (*resolve.Client, []*resolvetest.Server) {
	t.Helper()
	config := resolve.Config{Timeout: 2 * time.Second}
	var started []*resolvetest.Server
	for range servers {
		s, err := resolvetest.NewServer(resolvetest.Must(zone))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		started = append(started, s)
		config.Servers = append(config.Servers, s.Addr())
	}
	if change != nil {
		change(&config)
	}
	c := resolve.New(config)
	t.Cleanup(c.Close)
	return c, started
}

// show prints what a check sees of an answer.
func show(a *resolve.Answer) string {
	words := []string{a.Status.String()}
	for _, addr := range a.Addrs {
		words = append(words, addr.String())
	}
	for _, text := range a.Texts {
		words = append(words, fmt.Sprintf("%q", text))
	}
	for _, mx := range a.MXs {
		words = append(words, fmt.Sprintf("%d:%q", mx.Preference, mx.Host))
	}
	return strings.Join(append(words, a.Hosts...), " ")
}

func TestLookup(t *testing.T) {
	c, _ := start(t, 1, nil)
	for _, test := range []struct {
		name string
		kind resolve.Type
		want string
		ttl  time.Duration
		why  string
	}{
		{"example.org", resolve.A, "found 192.0.2.1 192.0.2.2", 300 * time.Second, "two addresses"},
		{"EXAMPLE.org.", resolve.AAAA, "found 2001:db8::1", 300 * time.Second, "case and a trailing dot do not matter"},
		{"mapped.example.org", resolve.AAAA, "found 192.0.2.9", 300 * time.Second, "never a v4-mapped address"},
		{"example.org", resolve.MX, `found 10:"mail.example.org" 5:"mail2.example.org"`, 300 * time.Second, "in the order of the answer, lower case"},
		{"null.example.org", resolve.MX, `found 0:""`, 300 * time.Second, "a null MX (RFC 7505)"},
		{"example.org", resolve.TXT, `found "v=spf1 -all" "tab\t quote\" back\\slash é\x00"`, 300 * time.Second, "strings joined, bytes raw"},
		{"1.2.0.192.in-addr.arpa", resolve.PTR, "found mail.example.org", 300 * time.Second, "a name"},
		{"www.example.org", resolve.A, "found 192.0.2.3", 30 * time.Second, "CNAMEs are followed, the least TTL counts"},
		{"empty.example.org", resolve.A, "no data", 60 * time.Second, "a CNAME to a name without the type"},
		{"gone.example.org", resolve.A, "no such domain", 60 * time.Second, "a CNAME to a name that does not exist (RFC 6604)"},
		{"loop1.example.org", resolve.A, "server failure", 0, "a loop of CNAMEs"},
		{"odd\xff label.example.org", resolve.A, "found 192.0.2.4", 300 * time.Second, "labels are bytes (RFC 2181 11)"},
		{"back\\.example.org", resolve.A, "found 192.0.2.5", 300 * time.Second, "a backslash is a byte like others"},
		{"nul\x00label.example.org", resolve.A, "found 192.0.2.8", 300 * time.Second, "a NUL is a byte like others, and cuts nothing off"},
		{"nul", resolve.A, "no such domain", 0, "nor is the name before it another"},
		{"here.example.org", resolve.A, "no data", 60 * time.Second, "an empty non-terminal exists (RFC 8020)"},
		{"nothing.here.example.org", resolve.TXT, "no data", 60 * time.Second, "so does the next"},
		{"other.here.example.org", resolve.A, "no such domain", 60 * time.Second, "its other children do not"},
		{"b\xc3\xbccher.example.org", resolve.A, "no such domain", 60 * time.Second, "raw UTF-8 is asked as it stands"},
		{"example.org", resolve.PTR, "no data", 60 * time.Second, "the SOA's last number caps a negative TTL (RFC 2308 5)"},
		{"nosoa.test", resolve.TXT, "no data", 0, "a negative answer without SOA has no TTL"},
		{"slow.example.org", resolve.A, "timeout", 0, "the server is silent"},
		{"sick.example.org", resolve.A, "server failure", 0, "the server says SERVFAIL"},
		{"a..b", resolve.A, "bad name", 0, "an empty label"},
		{"", resolve.A, "bad name", 0, "no name"},
		{".", resolve.A, "bad name", 0, "the root"},
		{strings.Repeat("x", 64) + ".test", resolve.A, "bad name", 0, "a label of 64 bytes"},
		{strings.Repeat("x", 63) + ".test", resolve.A, "no such domain", 0, "a label of 63 bytes"},
		{strings.Repeat("a.", 126) + "a", resolve.A, "no such domain", 0, "253 bytes of name"},
		{strings.Repeat("a.", 127) + "a", resolve.A, "bad name", 0, "255 bytes of name"},
	} {
		a := c.Lookup(context.Background(), test.name, test.kind)
		if got := show(a); got != test.want || a.TTL != test.ttl {
			t.Errorf("%q %s: got %s, TTL %s; want %s, TTL %s (%s)", test.name, test.kind, got, a.TTL, test.want, test.ttl, test.why)
		}
		if (a.Trouble() || a.Status == resolve.BadName) != (a.Detail != "") {
			t.Errorf("%q %s: %s with detail %q: trouble has one, an answer has none", test.name, test.kind, a.Status, a.Detail)
		}
		if a.Type != test.kind || a.Age != 0 {
			t.Errorf("%q: type %s, age %s", test.name, a.Type, a.Age)
		}
	}
}

// TestFaults plays one fault after the other to a fresh client: whatever a server does, the answer is the true one, or trouble.
func TestFaults(t *testing.T) {
	forged := resolvetest.Must("example.org A 203.0.113.66")
	const right = "found 192.0.2.1 192.0.2.2"
	rt := resolvetest.Truncate
	for _, test := range []struct {
		name   string
		faults []resolvetest.Fault
		want   string
		detail string // {addr} stands for the server
	}{
		{"honest", nil, right, ""},
		{"junk before the answer", []resolvetest.Fault{resolvetest.Junk}, right, ""},
		{"forged answers before the true one", []resolvetest.Fault{resolvetest.Spoof(forged)}, right, ""},
		{"only forged answers", []resolvetest.Fault{resolvetest.Silent, resolvetest.OverUDP(resolvetest.Spoof(forged))}, "*", ""},
		{"wrong id", []resolvetest.Fault{resolvetest.WrongID}, "timeout", "no answer from {addr} within 1s"},
		{"wrong question", []resolvetest.Fault{resolvetest.WrongQuestion}, "timeout", "no answer from {addr} within 1s"},
		{"wrong question the first time", []resolvetest.Fault{resolvetest.First(1, resolvetest.WrongQuestion)}, right, ""},
		{"truncated", []resolvetest.Fault{rt}, right, ""},
		{"no EDNS", []resolvetest.Fault{resolvetest.NoEDNS}, right, ""},
		{"no EDNS, header only", []resolvetest.Fault{resolvetest.NoEDNSBare}, right, ""},
		{"NOTIMP to EDNS", []resolvetest.Fault{func(e *resolvetest.Exchange) {
			if e.EDNS {
				resolvetest.Rcode(4)(e)
			}
		}}, right, ""},
		{"SERVFAIL", []resolvetest.Fault{resolvetest.Rcode(2)}, "server failure", "SERVFAIL from {addr}"},
		{"REFUSED", []resolvetest.Fault{resolvetest.Rcode(5)}, "server failure", "REFUSED from {addr}"},
		{"FORMERR to everything", []resolvetest.Fault{resolvetest.Rcode(1)}, "server failure", "FORMERR from {addr}"},
		{"slow", []resolvetest.Fault{resolvetest.Delay(150 * time.Millisecond)}, right, ""},
		{"too slow", []resolvetest.Fault{resolvetest.Delay(5 * time.Second)}, "timeout", "no answer from {addr} within 1s"},
		{"silent", []resolvetest.Fault{resolvetest.Silent}, "timeout", "no answer from {addr} within 1s"},
		{"one packet lost", []resolvetest.Fault{resolvetest.First(1, resolvetest.Silent)}, right, ""},
		{"truncated, and TCP hangs up", []resolvetest.Fault{rt, func(e *resolvetest.Exchange) {
			if e.TCP {
				e.Send = nil
			}
		}}, "server failure", "EOF from {addr}"},
		{"lower case", []resolvetest.Fault{resolvetest.LowerCase}, right, ""},
		{"lower case, and TCP hangs up", []resolvetest.Fault{resolvetest.LowerCase, func(e *resolvetest.Exchange) {
			if e.TCP {
				e.Send = nil
			}
		}}, right, ""},
		{"drops EDNS", []resolvetest.Fault{func(e *resolvetest.Exchange) {
			if e.EDNS {
				e.Send = nil
			}
		}}, right, ""},
		{"malformed records", []resolvetest.Fault{func(e *resolvetest.Exchange) { e.Send[0] = e.Send[0][:len(e.Send[0])-20] }},
			"server failure", "a malformed answer from {addr}"},
		{"a flood of guesses, then silence over UDP", []resolvetest.Fault{resolvetest.OverUDP(func(e *resolvetest.Exchange) {
			for range 40 {
				e.Send = append(e.Send, []byte("guess"))
			}
			e.Send = e.Send[1:]
		})}, right, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			patience := 4 * time.Second // on a busy machine too; who waits in vain waits for a quarter of it
			if strings.Contains(test.detail, "within 1s") {
				patience = time.Second
			}
			c, servers := start(t, 1, func(config *resolve.Config) { config.Timeout = patience })
			servers[0].Misbehave(test.faults...)
			a := c.Lookup(context.Background(), "example.org", resolve.A)
			if test.want == "*" {
				if !a.Trouble() {
					t.Fatalf("believed a forged answer: %s", show(a))
				}
				return
			}
			if got := show(a); got != test.want {
				t.Fatalf("got %s (%s), want %s", got, a.Detail, test.want)
			}
			if want := strings.ReplaceAll(test.detail, "{addr}", servers[0].Addr()); a.Detail != want {
				t.Errorf("detail %q, want %q", a.Detail, want)
			}
		})
	}
}

// TestLowerCaseIsRemembered: a server that keeps no case costs a second query once, not each time.
func TestLowerCaseIsRemembered(t *testing.T) {
	c, servers := start(t, 1, nil)
	servers[0].Misbehave(resolvetest.LowerCase)
	for i := range 5 {
		c.Lookup(context.Background(), fmt.Sprintf("some-name-with-letters-%d.example.org", i), resolve.A)
	}
	if n := len(servers[0].Queries()); n > 7 {
		t.Errorf("%d queries for 5 questions; want one each, and few more to learn it", n)
	}
}

// TestQueriesAreHardToForge looks at what goes out: id, port and the case of the name differ from query to query (RFC 5452).
func TestQueriesAreHardToForge(t *testing.T) {
	c, servers := start(t, 1, nil)
	const n = 30
	for i := range n {
		c.Lookup(context.Background(), fmt.Sprintf("a-name-with-many-letters-%d.example.org", i), resolve.A)
	}
	ids, ports, mixed := map[uint16]bool{}, map[uint16]bool{}, 0
	for _, q := range servers[0].Queries() {
		ids[q.ID], ports[q.Port] = true, true
		if q.Raw != q.Name && strings.ToUpper(q.Raw) != q.Raw {
			mixed++
		}
		if !q.EDNS || q.TCP {
			t.Errorf("%v: EDNS %t, TCP %t", q.Question, q.EDNS, q.TCP)
		}
	}
	if len(ids) < n-2 || len(ports) < n/2 || mixed < n-1 {
		t.Errorf("%d ids, %d ports, %d names in mixed case for %d queries", len(ids), len(ports), mixed, n)
	}
}

// TestLargeAnswer: 60,000 bytes of TXT come whole, over TCP.
func TestLargeAnswer(t *testing.T) {
	var text strings.Builder
	for i := range 60 {
		fmt.Fprintf(&text, "big.example.org TXT \"%03d%s\"\n", i, strings.Repeat("x", 980))
	}
	s, err := resolvetest.NewServer(resolvetest.Must(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}})
	t.Cleanup(c.Close)
	a := c.Lookup(context.Background(), "big.example.org", resolve.TXT)
	if len(a.Texts) != 60 || len(a.Texts[59]) != 983 {
		t.Fatalf("got %s with %d texts", a.Status, len(a.Texts))
	}
	if q := s.Queries(); len(q) != 2 || q[0].TCP || !q[1].TCP {
		t.Errorf("queries %+v, want one over UDP and one over TCP", q)
	}
}

// TestShortChain: a server that gives only the first CNAME is asked for its target.
func TestShortChain(t *testing.T) {
	c, servers := start(t, 1, nil)
	servers[0].Misbehave(resolvetest.ShortChain)
	if got := show(c.Lookup(context.Background(), "www.example.org", resolve.A)); got != "found 192.0.2.3" {
		t.Errorf("got %s", got)
	}
	if a := c.Lookup(context.Background(), "loop1.example.org", resolve.A); a.Status != resolve.ServFail || !strings.Contains(a.Detail, "CNAME") {
		t.Errorf("loop: %s (%s)", a.Status, a.Detail)
	}
	if n := len(servers[0].Queries()); n > 15 {
		t.Errorf("%d queries: a loop must end", n)
	}
}

func TestFailover(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault resolvetest.Fault
	}{
		{"silent", resolvetest.Silent},
		{"SERVFAIL", resolvetest.Rcode(2)},
		{"refuses", resolvetest.Rcode(5)},
		{"wrong question", resolvetest.WrongQuestion},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, servers := start(t, 2, nil)
			servers[0].Misbehave(test.fault)
			if got := show(c.Lookup(context.Background(), "host.example.org", resolve.A)); got != "found 192.0.2.3" {
				t.Fatalf("got %s from the second server", got)
			}
			asked := len(servers[0].Queries())
			for i := range 5 {
				c.Lookup(context.Background(), fmt.Sprintf("n%d.example.org", i), resolve.A)
			}
			if n := len(servers[0].Queries()); n != asked {
				t.Errorf("the first server got %d more queries right after it failed", n-asked)
			}
			servers[1].Misbehave(resolvetest.Silent)
			servers[0].Misbehave()
			if got := show(c.Lookup(context.Background(), "example.org", resolve.AAAA)); got != "found 2001:db8::1" {
				t.Errorf("got %s when the second fails and the first is back", got)
			}
		})
	}
}

func TestRotate(t *testing.T) {
	c, servers := start(t, 2, func(config *resolve.Config) { config.Rotate = true })
	for i := range 10 {
		c.Lookup(context.Background(), fmt.Sprintf("n%d.example.org", i), resolve.A)
	}
	if a, b := len(servers[0].Queries()), len(servers[1].Queries()); a != 5 || b != 5 {
		t.Errorf("%d and %d queries, want them shared", a, b)
	}
}

// TestNoServer: nothing listens there. The detail says where.
func TestNoServer(t *testing.T) {
	s, err := resolvetest.NewServer(resolvetest.Must(""))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}, Timeout: time.Second})
	t.Cleanup(c.Close)
	if a := c.Lookup(context.Background(), "example.org", resolve.A); !a.Trouble() || !strings.Contains(a.Detail, s.Addr()) {
		t.Errorf("got %s (%s)", a.Status, a.Detail)
	}
}

func TestLedger(t *testing.T) {
	l := resolve.NewLedger(resolvetest.Must(zone))
	var all sync.WaitGroup
	l.Lookup(context.Background(), "example.org", resolve.MX)
	for i := range 50 {
		all.Go(func() { l.Lookup(context.Background(), fmt.Sprintf("n%d.test", i), resolve.A) })
	}
	all.Wait()
	l.Lookup(context.Background(), "host.example.org", resolve.A)
	got := l.Answers()
	if len(got) != 52 || got[0].Type != resolve.MX || got[51].Addrs[0] != netip.MustParseAddr("192.0.2.3") {
		t.Errorf("%d answers, first %+v, last %+v", len(got), got[0], got[len(got)-1])
	}
}

func BenchmarkCacheHit(b *testing.B) {
	s, err := resolvetest.NewServer(resolvetest.Must(zone))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}})
	defer c.Close()
	c.Lookup(context.Background(), "example.org", resolve.TXT)
	b.ReportAllocs()
	for b.Loop() {
		if c.Lookup(context.Background(), "example.org", resolve.TXT).Status != resolve.Found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkUncached(b *testing.B) {
	s, err := resolvetest.NewServer(resolvetest.Must(zone))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := resolve.New(resolve.Config{Servers: []string{s.Addr()}, MinTTL: -1, MaxTTL: -1})
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if c.Lookup(context.Background(), "zero.example.org", resolve.A).Status != resolve.Found {
			b.Fatal("not found")
		}
	}
}
