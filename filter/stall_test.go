package filter

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"gatepost.example/filter/milter"
)

// TestStalls: an MTA that falls silent, at whatever stage and in mid-message, is hung up on by its deadline, and nothing of its session stays.
func TestStalls(t *testing.T) {
	s := newSite(t, harsh)
	server := milter.NewServer(milter.Config{
		ReadTimeout: 100 * time.Millisecond, NewSession: func(net.Addr) milter.Handler { return s.server.NewHandler() },
	})
	l, err := milter.Listen("inet:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	for _, stage := range []string{"connect", "mail", "rcpt", "header", "body"} {
		session, err := gomilter.NewClient("tcp", l.Addr().String()).Session(gomilter.NewMacroBag())
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		stall(t, session, stage)
	}
	held := ""
	for range 500 {
		stacks := make([]byte, 1<<20)
		held = string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(held, "milter.(*session)") && !strings.Contains(held, "filter.(*task)") {
			held = ""
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if held != "" {
		t.Errorf("something of a session stays:\n%s", held)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Errorf("sessions were left: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// stall speaks up to a stage and falls silent.
func stall(t *testing.T, session *gomilter.ClientSession, stage string) {
	t.Helper()
	for _, step := range []struct {
		name string
		say  func() (*gomilter.Action, error)
	}{
		{"connect", func() (*gomilter.Action, error) {
			return session.Conn("mail.example.org", gomilter.FamilyInet, 25, "192.0.2.1")
		}},
		{"helo", func() (*gomilter.Action, error) { return session.Helo("mail.example.org") }},
		{"mail", func() (*gomilter.Action, error) { return session.Mail("a@example.org", "") }},
		{"rcpt", func() (*gomilter.Action, error) { return session.Rcpt("u@example.net", "") }},
		{"data", session.DataStart},
		{"header", func() (*gomilter.Action, error) { return session.HeaderField("From", " a@example.org", nil) }},
		{"end of header", session.HeaderEnd},
		{"body", func() (*gomilter.Action, error) { return session.BodyChunk([]byte("text\r\n")) }},
	} {
		if _, err := step.say(); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if step.name == stage {
			return
		}
	}
}
