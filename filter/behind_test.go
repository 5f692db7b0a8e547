package filter

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
)

// patient answers a question about MX once the key of a signature has been asked for: the header was read meanwhile.
type patient struct {
	resolve.Resolver
	asked chan struct{}
	once  sync.Once
	late  chan string
}

func (p *patient) see(name string) {
	if strings.Contains(name, "._domainkey.") {
		p.once.Do(func() { close(p.asked) })
	}
}

// Lookup implements resolve.Resolver.
func (p *patient) Lookup(ctx context.Context, name string, t resolve.Type) *resolve.Answer {
	p.see(name)
	if t == resolve.MX {
		select {
		case <-p.asked:
		case <-ctx.Done():
			p.late <- name
		}
	}
	return p.Resolver.Lookup(ctx, name, t)
}

// AtHand implements resolve.AtHand: nothing is.
func (p *patient) AtHand(string, resolve.Type) *resolve.Answer { return nil }

// Ahead implements resolve.AtHand.
func (p *patient) Ahead(name string, _ resolve.Type) { p.see(name) }

// TestNobodyWaitsAtRcpt: where nothing is refused, the questions about the envelope do not keep those about the header waiting, and the rules
// still hear of each recipient, in order.
func TestNobodyWaitsAtRcpt(t *testing.T) {
	file := parsed(t, `
mode = "observe"
[[rule]]
name = "no-mail-back"
when = 'sender.mx == "none"'
reply = "550 5.7.1 no"
[[rule]]
name = "second"
when = 'rcpt.count == 2 && rcpt.local == "v"'
reply = "550 5.7.1 not two"
`)
	private := newKey(t)
	resolver := &patient{Resolver: shippedServer(t, private).resolver, asked: make(chan struct{}), late: make(chan string, 10)}
	var records []Record
	server := NewServer(SettingsOf(file), Deps{Resolver: resolver, Log: slog.New(slog.DiscardHandler), OnRecord: func(r Record) { records = append(records, r) }})
	s := server.NewSession()
	s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
	s.Helo("mail.example.org", TLS{})
	s.Mail(Sender{Address: "a@example.org"})
	for _, to := range []string{"u@example.net", "v@example.net"} {
		if r := s.Rcpt(Recipient{Address: to, Resolved: to, Mailer: "local"}); r.Verb != GoOn {
			t.Fatalf("%s: %v", to, r)
		}
	}
	hash := sha256.Sum256(nil)
	for _, f := range signedHeader(private, hash[:]) {
		s.HeaderField(f.Name, f.Value)
	}
	s.EndOfHeader()
	s.EndOfMessage("4fTEST0001")
	s.Close()
	if len(resolver.late) > 0 {
		t.Errorf("the question about %s was waited for before the header was read", <-resolver.late)
	}
	if len(records) != 1 || len(records[0].Harsher) != 1 || records[0].Harsher[0].Rule != "second" {
		t.Errorf("got %+v", records)
	}
}

// brokenAt is a memory that panics when it is asked about a table.
type brokenAt struct {
	state.Store
	table string
}

// Do implements state.Store.
func (b brokenAt) Do(ctx context.Context, now time.Time, steps []state.Step, out []state.Result) []state.Result {
	if slices.ContainsFunc(steps, func(s state.Step) bool { return s.Table == b.table }) {
		panic("the memory is broken")
	}
	return b.Store.Do(ctx, now, steps, out)
}

// TestPanicBehind: a session that ends in mid-message ends as a whole, whatever panics where the rules are asked about recipients: it does not count as
// open for ever.
func TestPanicBehind(t *testing.T) {
	s := newSite(t, `
[[limit]]
name = "open"
count = "sessions"
per = ["client.ip"]
at_most = 5
[[limit]]
name = "boxes"
count = "recipients"
per = ["rcpt.address"]
rate = "5/1h"
[[rule]]
name = "many"
when = 'over.open || over.boxes || sender.mx == "none"'
reply = "450 4.7.1 no"
`)
	s.server.resolver = &slow{zone: atHand{s.server.resolver}, atHand: func(string) bool { return false }}
	s.server.store = brokenAt{s.store, limit.Table("boxes")}
	s.server.Pause(s.now.Add(time.Hour))
	session, _ := s.open("192.0.2.1")
	session.Mail(Sender{Address: "a@example.org"})
	session.Rcpt(to("u@example.net")[0])
	if len(session.msg.behind) == 0 {
		t.Fatal("the recipient did not fall behind")
	}
	session.Close()
	open, err := s.store.Entries(t.Context(), s.now, limit.Table("open"), "", 10)
	if err != nil || len(open) > 0 || len(s.server.leases.all()) > 0 {
		t.Errorf("open sessions: %+v, %+v, %v", open, s.server.leases.all(), err)
	}
}
