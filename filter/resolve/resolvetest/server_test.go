package resolvetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"gatepost.example/filter/resolve"
)

const served = sample + `
soa.test     SOA ns.soa.test host\.master.soa.test 1 2 3 4 5
soa.test     NS  ns.soa.test
`

func serve(t *testing.T, text string) *Server {
	t.Helper()
	s, err := NewServer(Must(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// ask puts a question by another implementation of DNS.
func ask(t *testing.T, s *Server, network, name string, kind uint16, edns bool) (*dns.Msg, error) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, kind)
	if edns {
		m.SetEdns0(4096, false)
	}
	c := dns.Client{Net: network, Timeout: 300 * time.Millisecond}
	reply, _, err := c.Exchange(m, s.Addr())
	return reply, err
}

// TestServe compares what an honest server sends with how package dns reads it.
func TestServe(t *testing.T) {
	s := serve(t, served)
	for _, test := range []struct {
		name string
		kind uint16
		want string
	}{
		{"example.org.", dns.TypeA, "NOERROR example.org. 300 IN A 192.0.2.1"},
		{"EXAMPLE.org.", dns.TypeTXT, `NOERROR example.org. 60 IN TXT "v=spf1 " "a -all"`},
		{"raw.example.org.", dns.TypeTXT, `NOERROR raw.example.org. 300 IN TXT "a\"b\\c\009\195\169;d"`},
		{"null.example.org.", dns.TypeMX, "NOERROR null.example.org. 300 IN MX 0 ."},
		{"x.wild.example.org.", dns.TypeA, "NOERROR x.wild.example.org. 300 IN CNAME example.org. example.org. 300 IN A 192.0.2.1"},
		{"1.2.0.192.in-addr.arpa.", dns.TypePTR, "NOERROR 1.2.0.192.in-addr.arpa. 300 IN PTR Mail.example.org."},
		{"mail.example.org.", dns.TypeAAAA, "NOERROR mail.example.org. 300 IN AAAA 2001:db8::1"},
		{"a.soa.test.", dns.TypeA, "NXDOMAIN soa.test. 300 IN SOA ns.soa.test. host.master.soa.test. 1 2 3 4 5"},
		{"soa.test.", dns.TypeA, "NOERROR soa.test. 300 IN SOA ns.soa.test. host.master.soa.test. 1 2 3 4 5"},
		{"soa.test.", dns.TypeNS, "NOERROR soa.test. 300 IN NS ns.soa.test."},
		{"nothing.test.", dns.TypeA, "NXDOMAIN"},
		{"dead.example.org.", dns.TypeMX, "SERVFAIL"},
	} {
		for _, network := range []string{"udp", "tcp"} {
			reply, err := ask(t, s, network, test.name, test.kind, true)
			if err != nil {
				t.Errorf("%s over %s: %v", test.name, network, err)
				continue
			}
			got := []string{dns.RcodeToString[reply.Rcode]}
			for _, rr := range append(reply.Answer, reply.Ns...) {
				got = append(got, strings.ReplaceAll(rr.String(), "\t", " "))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s over %s:\n got %s\nwant %s", test.name, network, strings.Join(got, " "), test.want)
			}
			if reply.Question[0].Name != test.name || reply.IsEdns0() == nil {
				t.Errorf("%s over %s: question %v, EDNS %v", test.name, network, reply.Question, reply.IsEdns0())
			}
		}
	}
	if _, err := ask(t, s, "udp", "slow.example.org.", dns.TypeTXT, true); err == nil {
		t.Error("TIMEOUT got an answer")
	}
	if q := s.Queries(); len(q) != 25 || q[0].TCP || !q[1].TCP || q[2].Raw != "EXAMPLE.org" || q[2].Name != "example.org" {
		t.Errorf("%d queries, the third %+v", len(q), q[2])
	}
}

// TestSizes: what does not fit goes over TCP only (RFC 1035 4.2.1, RFC 6891 6.2.5).
func TestSizes(t *testing.T) {
	s := serve(t, `big.test TXT "`+strings.Repeat("x", 1000)+`"`)
	for _, test := range []struct {
		network   string
		edns      bool
		truncated bool
	}{{"udp", false, true}, {"udp", true, false}, {"tcp", false, false}} {
		reply, err := ask(t, s, test.network, "big.test.", dns.TypeTXT, test.edns)
		if err != nil || reply.Truncated != test.truncated || (len(reply.Answer) == 0) != test.truncated {
			t.Errorf("%+v: %v %v", test, reply, err)
		}
	}
}

// TestFaultsAreFaulty: each fault does what its comment says, as seen by package dns.
func TestFaultsAreFaulty(t *testing.T) {
	s := serve(t, sample)
	for _, test := range []struct {
		name  string
		fault Fault
		check func(*dns.Msg, error) bool
	}{
		{"Silent", Silent, func(_ *dns.Msg, err error) bool { return err != nil }},
		{"Delay", Delay(time.Second), func(_ *dns.Msg, err error) bool { return err != nil }},
		{"Rcode", Rcode(5), func(m *dns.Msg, _ error) bool { return m.Rcode == dns.RcodeRefused && len(m.Answer) == 0 }},
		{"NoEDNS", NoEDNS, func(m *dns.Msg, _ error) bool { return m.Rcode == dns.RcodeFormatError && len(m.Question) == 1 }},
		{"NoEDNSBare", NoEDNSBare, func(m *dns.Msg, _ error) bool { return m.Rcode == dns.RcodeFormatError && len(m.Question) == 0 }},
		{"Truncate", Truncate, func(m *dns.Msg, _ error) bool { return m.Truncated && len(m.Answer) == 0 }},
		{"Junk", Junk, func(_ *dns.Msg, err error) bool { return err != nil }}, // package dns gives up at once
		{"WrongID", WrongID, func(_ *dns.Msg, err error) bool { return err != nil }},
		{"WrongQuestion", WrongQuestion, func(m *dns.Msg, _ error) bool { return m.Question[0].Name == "Gxample.org." }},
		{"LowerCase", LowerCase, func(m *dns.Msg, _ error) bool { return m.Question[0].Name == "example.org." }},
		{"Spoof", Spoof(Must("example.org A 203.0.113.66")), func(m *dns.Msg, _ error) bool { return m.Answer[0].(*dns.A).A.String() == "203.0.113.66" }},
		{"First", First(0, Silent), func(m *dns.Msg, _ error) bool { return len(m.Answer) == 1 }},
	} {
		s.Misbehave(test.fault)
		if m, err := ask(t, s, "udp", "Example.org.", dns.TypeA, true); !test.check(m, err) {
			t.Errorf("%s: got %v, %v", test.name, m, err)
		}
	}
	s.Misbehave(OverUDP(Silent))
	if m, err := ask(t, s, "tcp", "Example.org.", dns.TypeA, true); err != nil || len(m.Answer) != 1 {
		t.Errorf("OverUDP over TCP: %v, %v", m, err)
	}
	s.Misbehave(ShortChain)
	if m, err := ask(t, s, "udp", "x.wild.example.org.", dns.TypeA, true); err != nil || len(m.Answer) != 1 || m.Answer[0].Header().Rrtype != dns.TypeCNAME {
		t.Errorf("ShortChain: %v, %v", m, err)
	}
}

// FuzzParse: any text is a zone or an error that names the line, and a text that came out of a record goes in again.
func FuzzParse(f *testing.F) {
	f.Add(sample, "v=spf1 -all")
	f.Add("a.test TXT ( \"x\"", "\x00\xff\"\\")
	f.Fuzz(func(t *testing.T, text, data string) {
		if _, err := Parse(text); err != nil && !strings.HasPrefix(err.Error(), "zone") {
			t.Fatalf("error %v", err)
		}
		var quoted strings.Builder
		for _, c := range []byte(data) {
			fmt.Fprintf(&quoted, "\\%03d", c)
		}
		z, err := Parse("a.test TXT \"" + quoted.String() + "\"")
		if err != nil {
			t.Fatal(err)
		}
		if got := z.Lookup(context.Background(), "a.test", resolve.TXT).Texts[0]; got != data {
			t.Fatalf("got %q, want %q", got, data)
		}
	})
}

// FuzzQuery: whatever a client sends, the server reads the question that package dns reads, or none.
func FuzzQuery(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeA)
	plain, _ := m.Pack()
	m.SetEdns0(1232, false)
	edns, _ := m.Pack()
	f.Add(plain)
	f.Add(edns)
	f.Fuzz(func(t *testing.T, packet []byte) {
		q, ok := readQuery(packet)
		if !ok {
			return
		}
		m := new(dns.Msg)
		if m.Unpack(q.packet); len(m.Question) == 1 && m.Question[0].Qtype != q.kind {
			t.Fatalf("type %d, want %v", q.kind, m.Question)
		}
		if p := Must(sample).reply(q, maxPacket); p != nil && m.Unpack(p) == nil && !m.Response {
			t.Fatal("the reply is none")
		}
	})
}
