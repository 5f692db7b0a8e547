package resolve

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// FuzzReply feeds any packet to the way from the wire to an Answer. Whatever it is: no panic, and records are believed only in a
// reply that repeats id and question; the name, type and class are compared here with the packet as package dns reads it.
func FuzzReply(f *testing.F) {
	k := key{"www.example.org", TXT}
	for _, records := range [][]string{
		{`www.example.org. 60 IN TXT "v=spf1 -all"`},
		{`www.example.org. 60 IN CNAME a.test.`, `a.test. 5 IN TXT "a" "b\255\"\\"`},
		{`www.example.org. 60 IN CNAME www.example.org.`},
		{`a\.b.test. 60 IN TXT "x"`, `www.example.org. 60 IN MX 0 .`},
	} {
		m := new(dns.Msg)
		m.SetQuestion("www.example.org.", dns.TypeTXT)
		m.Response = true
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		m.Compress = true
		packet, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet, true)
		f.Add(packet[:len(packet)-3], true)
		f.Add(packet, false)
	}
	f.Fuzz(func(t *testing.T, packet []byte, ours bool) {
		q := newQuery(k, true, true)
		if ours && len(packet) >= headerSize+len(q.question) { // else nearly nothing gets past the id and the case
			copy(packet, q.packet[:2])
			packet[2] = packet[2]&^opcodeMask | bitQR
			copy(packet[headerSize:], q.question)
		}
		v := q.judge(packet)
		if v == unwanted {
			return
		}
		msg := new(dns.Msg)
		if msg.Unpack(packet) != nil {
			return
		}
		r := reading{answer: &Answer{Name: k.name, Type: k.kind}, name: k.name}
		if trouble := r.read(reply{from: &server{addr: "192.0.2.53:53"}, msg: msg}); trouble != "" || !r.done {
			return
		}
		if msg.Id != uint16(q.packet[0])<<8|uint16(q.packet[1]) || !msg.Response || len(msg.Question) != 1 {
			t.Fatalf("believed %v", msg)
		}
		asked := msg.Question[0]
		if !strings.EqualFold(asked.Name, "www.example.org.") || asked.Qtype != dns.TypeTXT || asked.Qclass != dns.ClassINET {
			t.Fatalf("believed an answer to %v", asked)
		}
		if v == wanted && !bytes.Contains(packet[headerSize:headerSize+len(q.question)], q.question) {
			t.Fatalf("accepted another case than was sent: %q", asked.Name)
		}
		if (r.answer.Status == Found) != (len(r.answer.Texts) > 0) || r.answer.Addrs != nil || r.answer.MXs != nil || r.answer.Hosts != nil {
			t.Fatalf("asked for TXT, got %+v", r.answer)
		}
	})
}

// FuzzUnescape: any bytes that package dns packs into a TXT record and unpacks again come out as they went in.
func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"", "v=DKIM1; p=abc", "\\", "\"", "\\009", "a\tb\x00\xff", "\\\\\"é", "25\\5", "\x80\x7f\x7e\x20\x1f"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var wire []byte // the record by hand: root, TXT, IN, TTL 0
		for rest := raw; ; rest = rest[min(len(rest), 255):] {
			n := min(len(rest), 255)
			wire = append(append(wire, byte(n)), rest[:n]...)
			if n == len(rest) {
				break
			}
		}
		if len(wire) > 60_000 {
			return
		}
		record := append([]byte{0, 0, 16, 0, 1, 0, 0, 0, 0, byte(len(wire) >> 8), byte(len(wire))}, wire...)
		rr, _, err := dns.UnpackRR(record, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := joinTexts(rr.(*dns.TXT).Txt); got != raw {
			t.Fatalf("got %q, want %q", got, raw)
		}
	})
}

// FuzzName: a host name is what its grammar says, and a name that can be asked is on the wire what package dns understands it to be, and reads back as it was.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"example.org", "A.B.", "a..b", "", ".", "x y.\\.test", "a_b-9.Z@", "[a]", "b\xfccher.test", strings.Repeat("a", 64), strings.Repeat("a.", 127)} {
		f.Add(seed)
	}
	hostName := regexp.MustCompile(`^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$`)
	f.Fuzz(func(t *testing.T, name string) {
		if got := IsHostName(name); got != hostName.MatchString(name) {
			t.Fatalf("%q is a host name: %v", name, got)
		}
		clean, ok := CleanName(name)
		if again, _ := CleanName(clean); again != clean && ok {
			t.Fatalf("%q cleans to %q and then to %q", name, clean, again)
		}
		if !ok {
			return
		}
		q := newQuery(key{clean, A}, true, true)
		msg := new(dns.Msg)
		if err := msg.Unpack(q.packet); err != nil {
			t.Fatalf("%q: %v", clean, err)
		}
		if back, ok := rawName(msg.Question[0].Name); !ok || back != clean {
			t.Fatalf("%q was sent as %q", clean, back)
		}
		if opt := msg.IsEdns0(); opt == nil || opt.UDPSize() != udpSize || !msg.RecursionDesired {
			t.Fatalf("query %v", msg)
		}
	})
}

// TestNamesThatAreNoHost: a dot inside a label would make one name look like another.
func TestNamesThatAreNoHost(t *testing.T) {
	msg := new(dns.Msg)
	for _, text := range []string{
		`example.org. 60 IN MX 10 mail\.example.org.`,
		`example.org. 60 IN MX 20 mail\046example.org.`,
		`example.org. 60 IN MX 30 good\\.example.org.`,
		`exam\112le.org. 60 IN MX 40 Plain.Example.Org.`,
		`other.org. 60 IN MX 50 not.asked.test.`,
	} {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		msg.Answer = append(msg.Answer, rr)
	}
	r := reading{answer: &Answer{Name: "example.org", Type: MX}, name: "example.org"}
	if trouble := r.read(reply{from: &server{}, msg: msg}); trouble != "" {
		t.Fatal(trouble)
	}
	if got := r.answer.MXs; len(got) != 2 || got[0].Host != `good\.example.org` || got[1].Host != "plain.example.org" {
		t.Errorf("got %+v", got)
	}
}

func TestReferral(t *testing.T) {
	ns, _ := dns.NewRR("org. 60 IN NS a.ns.test.")
	msg := new(dns.Msg)
	msg.Ns = []dns.RR{ns}
	r := reading{answer: &Answer{Name: "example.org", Type: MX}, name: "example.org"}
	if got := r.read(reply{from: &server{addr: "192.0.2.53:53"}, msg: msg}); got != "no recursion (a referral) from 192.0.2.53:53" || r.done {
		t.Errorf("a referral is %q, done %t", got, r.done)
	}
}

// TestReverseName against the examples of RFC 1035 3.5 and RFC 3596 2.5.
func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"10.2.0.52":               "52.0.2.10.in-addr.arpa",
		"::ffff:192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"4321:0:1:2:3:4:567:89ab": "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa",
	} {
		if got := ReverseName(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
	if got := ReverseName(netip.Addr{}); got != "" {
		t.Errorf("no address: got %q", got)
	}
}
