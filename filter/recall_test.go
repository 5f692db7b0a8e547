package filter

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/state"
)

// trips counts how often a store is asked.
type trips struct {
	*state.Embedded
	n int
}

func (c *trips) Do(ctx context.Context, now time.Time, steps []state.Step, out []state.Result) []state.Result {
	c.n++
	return c.Embedded.Do(ctx, now, steps, out)
}

// TestOneTripAStage: under the shipped rules a shared memory costs at most one round trip a stage, at HELO none. A second one costs who
// is put off by greylisting for the first time, and of users' mail a recipient to whom they never wrote and what is learned at the end.
func TestOneTripAStage(t *testing.T) {
	text, err := os.ReadFile("../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, strings.Replace(string(text), "mode = \"observe\"\n", "", 1))
	c := &trips{Embedded: s.store}
	s.server.store = c
	s.server.Reload(s.server.settings.Load())
	const loggedIn = "connect 1, helo 0, mail 1, rcpt 2, rcpt 2, data 2, mail 1, rcpt 1, rcpt 1, data 2, quit 1" // a stranger counts; a message teaches
	for _, test := range []struct{ addr, user, want string }{
		{"192.0.2.1", "", "connect 1, helo 0, mail 1, rcpt 0, rcpt 0, data 1, mail 1, rcpt 0, rcpt 0, data 1, quit 1"},
		{"198.51.100.1", "", "connect 1, helo 0, mail 1, rcpt 2, rcpt 2, data 1, mail 1, rcpt 1, rcpt 1, data 1, quit 1"}, // greylisting notes a first visit
		{"192.0.2.1", "alice", loggedIn},
	} {
		var got []string
		stage := func(name string, do func()) {
			before := c.n
			do()
			got = append(got, fmt.Sprintf("%s %d", name, c.n-before))
		}
		session := s.server.NewSession()
		stage("connect", func() {
			session.Connect(Client{Addr: netip.MustParseAddr(test.addr), DaemonPort: "25", MTA: "mx.example.net"})
		})
		stage("helo", func() { session.Helo("mail.example.org", TLS{}) })
		for range 2 {
			stage("mail", func() { session.Mail(Sender{Address: "a@example.org", User: test.user}) })
			for _, to := range []string{"u@example.net", "v@example.net"} {
				stage("rcpt", func() { session.Rcpt(Recipient{Address: to, Resolved: to, Mailer: "smtp", Host: "example.net"}) })
			}
			stage("data", func() {
				session.HeaderField("From", " a@example.org")
				session.EndOfHeader()
				session.Body([]byte("x\r\n"))
				session.EndOfMessage("")
			})
		}
		stage("quit", session.Close)
		s.want(strings.Join(got, ", "), test.want, test.addr+" "+test.user)
	}
}
