package filter

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
)

// letter is a message, as far as its client sends it.
type letter struct {
	from       Sender
	recipients []Recipient
	header     []string // "Name: value"; none for a client that gives up before DATA
	ends       bool     // else it gives up in the body
}

func to(addresses ...string) (out []Recipient) {
	for _, a := range addresses {
		out = append(out, Recipient{Address: a, Resolved: a, Mailer: "smtp", Host: "example.net"})
	}
	return out
}

// post sends a letter and gives all that its client and its recipient see.
func post(s *Session, l letter) string {
	out := []string{"mail " + s.Mail(l.from).String()}
	taken := 0
	for _, r := range l.recipients {
		response := s.Rcpt(r)
		if response.Verb == GoOn && !r.refused() {
			taken++
		}
		out = append(out, "rcpt "+response.String())
	}
	if taken == 0 || l.header == nil {
		return strings.Join(out, "\n")
	}
	for _, field := range l.header {
		name, value, _ := strings.Cut(field, ":")
		s.HeaderField(name, value)
	}
	s.EndOfHeader()
	s.Body([]byte("hello\r\n"))
	if l.ends {
		response, edits := s.EndOfMessage("4fQ")
		out = append(out, fmt.Sprintf("data %s %v", response, edits))
	}
	return strings.Join(out, "\n")
}

// TestNothingLeaksIntoTheNextMessage: under the shipped rules every message of a connection ends as it would have alone, whatever came before
// it, how ever that ended, and whether RSET or another HELO stood between.
func TestNothingLeaksIntoTheNextMessage(t *testing.T) {
	text, err := os.ReadFile("../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	policy := strings.NewReplacer(`mode = "observe"`, `mode = "enforce"`, "block = []", `block = ["bad@example.org"]`, "allow = []", `allow = ["vip@example.org"]`).Replace(string(text))
	zone := resolvetest.Must(recordedZone)
	file, now := parsed(t, policy), time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	a, plain := Sender{Address: "a@example.org"}, []string{"From: a@example.org", "Subject: x"}
	letters := map[string]letter{
		"plain":        {a, to("u@example.net"), plain, true},
		"spoofed":      {a, to("u@example.net"), []string{"From: service@bank.example", "X-Spam-Flag: NO", "Authentication-Results: mx.example.net; dmarc=pass"}, true},
		"blocked":      {Sender{Address: "bad@example.org"}, to("u@example.net", "postmaster@example.net"), plain, true},
		"allowed":      {Sender{Address: "vip@example.org"}, to("u@example.net"), []string{"From: service@bank.example"}, true},
		"of a user":    {Sender{Address: "a@example.org", User: "anna", Method: "PLAIN", TLS: TLS{"TLSv1.3", "AES", 256}}, to("u@example.net"), plain, true},
		"a bounce":     {Sender{}, to("u@example.net"), []string{"From: MAILER-DAEMON@bank.example"}, true},
		"two authors":  {a, to("u@example.net"), []string{"From: a@example.org", "From: b@bank.example"}, true},
		"unknown box":  {a, []Recipient{{Address: "n@example.net", Resolved: "User unknown", Mailer: "error", Host: "5.1.1"}}, nil, false},
		"two classes":  {Sender{Address: "d@null.example"}, to("postmaster@example.net", "u@example.net"), plain, true},
		"given up":     {Sender{Address: "bad@example.org"}, nil, nil, false},
		"no end":       {a, to("u@example.net", "v@example.net"), []string{"From: service@bank.example", "X-Spam-Flag: NO"}, false},
		"silent reset": {Sender{Address: "c@silent.example"}, to("u@example.net"), nil, false},
	}
	between := map[string]func(*Session){
		"nothing": func(*Session) {},
		"RSET":    (*Session).Abort,
		"HELO":    func(s *Session) { s.Helo("mail.example.org", TLS{}) },
	}
	run := func(all ...func(*Session) string) (last string) {
		server := NewServer(SettingsOf(file), Deps{
			Resolver: zone, Store: state.NewEmbedded(10_000, now), Log: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return now }, NewID: func() string { return "TEST-0001" },
		})
		s := server.NewSession()
		defer s.Close()
		s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
		s.Helo("mail.example.org", TLS{})
		for _, one := range all {
			last = one(s)
		}
		return last
	}
	for name, l := range letters {
		send := func(s *Session) string { return post(s, l) }
		alone := run(send)
		for before, first := range letters {
			for pause, do := range between {
				got := run(func(s *Session) string { return post(s, first) }, func(s *Session) string { do(s); return "" }, send)
				if got != alone {
					t.Errorf("%q behind %q and %s:\n%s\nalone:\n%s", name, before, pause, got, alone)
				}
			}
		}
	}
}
