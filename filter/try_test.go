package filter

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.example/filter/resolve"
)

// slow is a resolver that has some answers at hand and others after a while.
type slow struct {
	zone   resolve.AtHand
	atHand func(name string) bool
	waited atomic.Int64
	ahead  atomic.Int64
}

func (s *slow) Lookup(ctx context.Context, name string, t resolve.Type) *resolve.Answer {
	s.waited.Add(1)
	time.Sleep(time.Millisecond)
	return s.zone.Lookup(ctx, name, t)
}

func (s *slow) AtHand(name string, t resolve.Type) *resolve.Answer {
	if !s.atHand(name) {
		return nil
	}
	return s.zone.AtHand(name, t)
}

func (s *slow) Ahead(string, resolve.Type) { s.ahead.Add(1) }

// TestAtHand: whether answers are at hand, come later or come partly later, the same message ends the same; nobody waits for what is at
// hand, and what is asked at the end of the message was announced before.
func TestAtHand(t *testing.T) {
	private := newKey(t)
	body := []byte(strings.Repeat(line, 20))
	hash := sha256.Sum256(body)
	fields := signedHeader(private, hash[:])
	end := func(with func(resolve.AtHand) resolve.Resolver) string {
		server := shippedServer(t, private)
		server.resolver = with(server.resolver.(resolve.AtHand))
		s := server.NewSession()
		s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		s.Mail(Sender{Address: "a@example.org"})
		s.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net", Mailer: "local"})
		for _, f := range fields {
			s.HeaderField(f.Name, f.Value)
		}
		s.EndOfHeader()
		s.Body(body)
		response, edits := s.EndOfMessage("4fTEST0001")
		s.Close()
		edits.Insert = edits.Insert[:1] // the rest is an id
		return fmt.Sprint(response, edits)
	}
	want := end(func(z resolve.AtHand) resolve.Resolver { return z })
	for _, part := range []string{"dkim=pass", "dmarc=pass", "spf=pass", "iprev=pass"} {
		if !strings.Contains(want, part) {
			t.Errorf("%s is missing: %s", part, want)
		}
	}
	for name, c := range map[string]struct {
		atHand func(string) bool
		waits  bool
	}{
		"all at hand":         {func(string) bool { return true }, false},
		"nothing at hand":     {func(string) bool { return false }, true},
		"keys later":          {func(name string) bool { return !strings.Contains(name, "_domainkey") }, true},
		"SPF and DMARC later": {func(name string) bool { return strings.Contains(name, "_domainkey") }, true},
	} {
		r := &slow{atHand: c.atHand}
		got := end(func(z resolve.AtHand) resolve.Resolver { r.zone = z; return r })
		if got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
		if waited := r.waited.Load() > 0; waited != c.waits || r.ahead.Load() < 2 {
			t.Errorf("%s: waited %t, %d questions announced", name, waited, r.ahead.Load())
		}
	}
	got := end(func(z resolve.AtHand) resolve.Resolver { return struct{ resolve.Resolver }{z} })
	if got != want {
		t.Errorf("a resolver that cannot tell:\ngot  %s\nwant %s", got, want)
	}
}
