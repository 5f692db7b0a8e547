package filter

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
)

// moody knows some answers at once, by chance, and gives the others when it likes, whether somebody still waits or not.
type moody struct{ *resolvetest.Zone }

// Lookup implements resolve.Resolver.
func (m moody) Lookup(_ context.Context, name string, t resolve.Type) *resolve.Answer {
	time.Sleep(rand.N(2 * time.Millisecond))
	return m.Zone.Lookup(context.Background(), name, t)
}

// AtHand implements resolve.AtHand.
func (m moody) AtHand(name string, t resolve.Type) *resolve.Answer {
	if rand.IntN(20) == 0 {
		return nil
	}
	return m.Zone.Lookup(context.Background(), name, t)
}

// marks are what sessions can be told apart by.
var marks = regexp.MustCompile(`x\d+x\d+x`)

// writer keeps records, and what they said when they came.
type writer struct {
	mu      sync.Mutex
	records []*history.Record
	said    []string
}

// Add implements Keeper.
func (w *writer) Add(r *history.Record, _ *history.Policy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records, w.said = append(w.records, r), append(w.said, said(r))
}

func said(r *history.Record) string {
	text := fmt.Sprintf("%+v", *r)
	if r.Message != nil {
		text += fmt.Sprintf(" %+v", *r.Message)
	}
	for _, o := range r.Outcomes {
		for _, f := range o.Findings {
			text += fmt.Sprintf(" %+v", f)
		}
	}
	return text
}

// TestSessionsUseRoomsOfTheirOwn: sessions that use the memory of earlier ones, while checks of these still run, show nothing of them: in no
// answer, no field, no record; and a record stays as it was.
func TestSessionsUseRoomsOfTheirOwn(t *testing.T) {
	text, err := os.ReadFile("../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	file := parsed(t, strings.NewReplacer(`mode = "observe"`, `mode = "enforce"`, "block = []", `block = ["bad@example.org"]`).Replace(string(text)))
	keep := &writer{}
	server := NewServer(SettingsOf(file), Deps{
		Resolver: moody{resolvetest.Must(recordedZone)}, Store: state.NewEmbedded(100_000, time.Now()), Log: slog.New(slog.DiscardHandler), History: keep,
	})
	const clients, each = 8, 60
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() {
			for n := range each {
				own := fmt.Sprintf("x%dx%dx", client, n)
				for _, seen := range visit(server.NewSession(), own, n) {
					if other := marks.FindAllString(seen, -1); slices.ContainsFunc(other, func(m string) bool { return m != own }) {
						t.Errorf("session %s shows %v:\n%s", own, other, seen)
					}
				}
			}
		})
	}
	work.Wait()
	for i, r := range keep.records {
		text := said(r)
		if text != keep.said[i] {
			t.Errorf("a record changed:\n%s\nto\n%s", keep.said[i], text)
		}
		found := marks.FindAllString(text, -1)
		slices.Sort(found)
		if found = slices.Compact(found); len(found) != 1 {
			t.Errorf("a record shows %v:\n%s", found, text)
		}
	}
	if len(keep.records) < clients*each {
		t.Errorf("%d records", len(keep.records))
	}
}

// visit is a session that carries its own mark in all that a client can say, and gives what the client and the recipient see of it.
func visit(s *Session, own string, n int) (seen []string) {
	defer s.Close()
	domain := own + "." + []string{"example.org", "bank.example", "silent.example"}[n%3]
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(1 + n%3)})
	seen = append(seen, s.Connect(Client{Addr: addr, Name: own + ".example.org", DaemonPort: "25", MTA: "mx.example.net"}).String())
	seen = append(seen, s.Helo("helo."+domain, TLS{}).String())
	if n%4 == 0 {
		seen = append(seen, s.Helo("again."+domain, TLS{Version: "TLSv1.3", Cipher: own}).String())
	}
	if n%6 == 5 {
		return seen // while its checks run
	}
	for message := range 1 + n%3 {
		l := letter{from: Sender{Address: "a@" + domain}, recipients: to(own+"@example.net", "postmaster@"+own+".example.net"), ends: (n+message)%5 > 0}
		if (n+message)%7 > 0 {
			l.header = []string{"From: b@" + domain, "Message-ID: <" + own + "@" + domain + ">", "List-Id: <" + own + ".example.org>"}
		}
		seen = append(seen, post(s, l))
	}
	return seen
}

// TestRecordsOfTheirOwn: the records of sessions that follow each other on one connection of the MTA, while the policy changes under them and checks
// outlast them, are in the file as each session was: the memory of a written record shows nothing in the next.
func TestRecordsOfTheirOwn(t *testing.T) {
	policies := recordedPolicies(t)
	path := filepath.Join(t.TempDir(), "history.db")
	kept, err := history.Open(history.Config{Path: path, Keep: time.Hour, Size: 1 << 40, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(SettingsOf(parsed(t, policies["every kind"])), Deps{
		Resolver: moody{resolvetest.Must(recordedZone)}, Store: state.NewEmbedded(100_000, time.Now()), Log: slog.New(slog.DiscardHandler), History: kept,
	})
	const connections, each = 4, 60
	var work sync.WaitGroup
	for connection := range connections {
		work.Go(func() {
			h := server.NewHandler()
			for n := range each {
				visit(h.session, fmt.Sprintf("x%dx%dx", connection, n), n)
				if h.Close(); n%10 == 0 { // else the MTA says QUIT_NC
					h = server.NewHandler()
				}
			}
		})
	}
	for _, text := range policies {
		set := SettingsOf(parsed(t, text))
		set.Budget = time.Millisecond
		server.Reload(set)
	}
	work.Wait()
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range readBack(t, path) {
		found := marks.FindAllString(said(r), -1)
		slices.Sort(found)
		if found = slices.Compact(found); len(found) != 1 {
			t.Errorf("a record shows %v:\n%s", found, said(r))
			continue
		}
		seen[found[0]] = true
	}
	if len(seen) != connections*each {
		t.Errorf("%d of %d sessions are in the file", len(seen), connections*each)
	}
}

// TestIdleSessionsHoldNoHeader: what a message says of its sender is told the memory later, and is a part of a header field. A session that rests
// after its message holds no more of the header.
func TestIdleSessionsHoldNoHeader(t *testing.T) {
	private := newKey(t)
	server := shippedServer(t, private)
	server.resolver = atHand{server.resolver}
	hash := sha256.Sum256(nil)
	const sessions, header = 200, 30_000
	fields := append([]message.Field{{Name: "X-Long", Value: strings.Repeat("x", header)}}, signedHeader(private, hash[:])...)
	play(t, server, fields, nil, 0)         // once for what is made once
	server.Pause(time.Now().Add(time.Hour)) // no limit is in the way
	before := held()
	var all []*Session
	for range sessions {
		s := server.NewSession()
		s.Connect(Client{Addr: netip.MustParseAddr("198.51.100.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		s.Mail(Sender{Address: "a@example.org"})
		s.Rcpt(to("u@example.net")[0])
		for _, f := range fields {
			s.HeaderField(f.Name, f.Value)
		}
		s.EndOfHeader()
		if r, _ := s.EndOfMessage("4fQ"); r.Verb != GoOn {
			t.Fatal(r)
		}
		all = append(all, s)
	}
	if each := (held() - before) / sessions; each > header/2 {
		t.Errorf("an idle session holds %d bytes", each)
	}
	for _, s := range all {
		s.Close()
	}
}
