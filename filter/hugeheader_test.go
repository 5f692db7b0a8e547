package filter

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"gatepost.example/filter/message"
)

// TestHugeHeader: what stands beyond the part of a header that is kept can neither forge our results nor bring in a second author.
func TestHugeHeader(t *testing.T) {
	server := shippedServer(t, newKey(t))
	filler := strings.Repeat("x", 90_000)
	hostile := func(last ...message.Field) (Response, Edits) {
		s := server.NewSession()
		defer s.Close()
		s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		s.Mail(Sender{Address: "a@example.org"})
		s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
		s.HeaderField("From", " a@example.org")
		s.HeaderField("Authentication-Results", " other.example; none")
		for size := 0; size <= message.MaxHeader; size += len(filler) {
			s.HeaderField("X-Filler", filler)
		}
		for _, f := range last {
			s.HeaderField(f.Name, f.Value)
		}
		s.EndOfHeader()
		return s.EndOfMessage("4fTEST0001")
	}
	forged := message.Field{Name: "Authentication-Results", Value: " mx.example.net; dmarc=pass header.from=bank.example"}
	_, edits := hostile(forged, message.Field{Name: "gatepost-id", Value: " 0000-0000"}, forged)
	got := map[string]bool{}
	for _, d := range edits.Delete {
		got[fmt.Sprint(strings.ToLower(d.Name), d.Index)] = true
	}
	if len(got) != 3 || !got["authentication-results2"] || !got["authentication-results3"] || !got["gatepost-id1"] {
		t.Errorf("deleted %v", edits.Delete)
	}
	for i := 1; i < len(edits.Delete); i++ {
		if before, d := edits.Delete[i-1], edits.Delete[i]; strings.EqualFold(before.Name, d.Name) && before.Index < d.Index {
			t.Errorf("a deletion moves a later one: %v", edits.Delete)
		}
	}
	if response, _ := hostile(message.Field{Name: "From", Value: " ceo@bank.example"}); response.Verb != Refuse || response.Code != 550 {
		t.Errorf("a second From field: %v", response)
	}
}

// TestForgedWithoutEnd: an MTA is not made to remove more fields than it can, and what has more does not reach its recipient.
func TestForgedWithoutEnd(t *testing.T) {
	server := shippedServer(t, newKey(t))
	for n, held := range map[int]bool{maxDeletions: false, maxDeletions + 1: true, 200_000: true} { // the last is beyond what of a header is kept
		s := server.NewSession()
		s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		s.Mail(Sender{Address: "a@example.org"})
		s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
		s.HeaderField("From", " a@example.org")
		for range n {
			s.HeaderField("Gatepost-Id", " 0000-0000")
		}
		s.EndOfHeader()
		response, edits := s.EndOfMessage("4fTEST0001")
		s.Close()
		if response.Verb != GoOn || (edits.Hold != "") != held || len(edits.Delete) != maxDeletions || edits.Delete[maxDeletions-1].Index != 1 {
			t.Errorf("%d fields: %v, held %q, %d deletions", n, response, edits.Hold, len(edits.Delete))
		}
	}
}

// BenchmarkForgedFields: time is straight in the number of fields to remove.
func BenchmarkForgedFields(b *testing.B) {
	server := shippedServer(b, newKey(b))
	for _, n := range []int{5_000, 10_000, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				s := server.NewSession()
				s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
				s.Helo("mail.example.org", TLS{})
				s.Mail(Sender{Address: "a@example.org"})
				s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
				s.HeaderField("From", " a@example.org")
				for range n {
					s.HeaderField("Authentication-Results", " mx.example.net; none")
				}
				s.EndOfHeader()
				s.EndOfMessage("4fTEST0001")
				s.Close()
			}
		})
	}
}

// TestForgedReceivedSPF: where we write Received-SPF, one that names us as its receiver goes; those of others stay.
func TestForgedReceivedSPF(t *testing.T) {
	server := shippedServer(t, newKey(t))
	for on, want := range map[bool]string{true: "[{received-spf 2}]", false: "[]"} {
		s := server.NewSession()
		changed := *s.settings
		changed.ReceivedSPF = on
		s.settings = &changed
		s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		s.Mail(Sender{Address: "a@example.org"})
		s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
		s.HeaderField("From", " a@example.org")
		s.HeaderField("Received-SPF", " neutral receiver=other.example; identity=mailfrom")
		s.HeaderField("received-spf", " pass receiver=MX.Example.net; identity=mailfrom")
		s.EndOfHeader()
		if _, edits := s.EndOfMessage("4fTEST0001"); fmt.Sprint(edits.Delete) != want {
			t.Errorf("on %v: %v, want %s", on, edits.Delete, want)
		}
		s.Close()
	}
}
