package logging

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"gatepost.example/policy/policyfile"
)

// clock is a time that a test moves.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

// plain gives a handler that writes logfmt without times.
func plain(out *bytes.Buffer) slog.Handler {
	return slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
}

func TestFaultsAreSaidOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	repeats := NewRepeats(plain(&out), func() time.Time { return c.now })
	log := slog.New(repeats)
	for i := range 5 {
		log.Warn("a frame that is none", "peer", i)
		log.Info("decision", "id", i)
	}
	log.Warn("a check panicked", "check", "spf")
	log.With("check", "dkim").Warn("a check panicked")
	if got := strings.Count(out.String(), "a frame that is none"); got != 1 {
		t.Errorf("a fault stands %d times within a minute, want 1:\n%s", got, out.String())
	}
	if got := strings.Count(out.String(), "decision"); got != 5 {
		t.Errorf("%d of 5 decisions are logged", got)
	}
	if got := strings.Count(out.String(), "a check panicked"); got != 2 {
		t.Errorf("faults of two checks stand %d times, want 2", got)
	}
	out.Reset()
	c.now = c.now.Add(61 * time.Second)
	log.Warn("a frame that is none", "peer", 9)
	if want := "level=WARN msg=\"a frame that is none\" peer=9 repeated=4\n"; out.String() != want {
		t.Errorf("after a minute\n%swant\n%s", out.String(), want)
	}
}

func TestWhatWasHeldBackIsNotLost(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	repeats := NewRepeats(plain(&out), func() time.Time { return c.now })
	log := slog.New(repeats)
	for range 3 {
		log.Error("Redis is away")
	}
	repeats.Flush(context.Background(), false)
	if got := strings.Count(out.String(), "\n"); got != 1 {
		t.Errorf("%d lines before the minute is over, want 1:\n%s", got, out.String())
	}
	c.now = c.now.Add(time.Minute)
	repeats.Flush(context.Background(), false)
	if want := "level=ERROR msg=\"Redis is away\" repeated=2\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("after a minute\n%swant at the end\n%s", out.String(), want)
	}
}

// A flood of faults that differ is bounded in memory and never swallowed.
func TestManyKindsOfFaults(t *testing.T) {
	var out bytes.Buffer
	c := newClock()
	repeats := NewRepeats(plain(&out), func() time.Time { return c.now })
	log := slog.New(repeats)
	for i := range 3 * maxKinds {
		log.Warn("fault", "problem", i)
	}
	if got := strings.Count(out.String(), "\n"); got != 3*maxKinds {
		t.Errorf("%d lines, want %d", got, 3*maxKinds)
	}
	if len(repeats.kinds.seen) > maxKinds {
		t.Errorf("%d kinds are kept, at most %d should be", len(repeats.kinds.seen), maxKinds)
	}
}

// mailServer takes mails over SMTP on loopback, one connection each (RFC 5321).
func mailServer(t *testing.T) (address string, mails <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	out := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			out <- takeMail(conn)
		}
	}()
	return l.Addr().String(), out
}

func takeMail(conn net.Conn) string {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := textproto.NewConn(conn)
	_ = c.PrintfLine("220 mx.example.net ESMTP")
	for {
		line, err := c.ReadLine()
		switch {
		case err != nil:
			return "broken off: " + err.Error()
		case line == "DATA":
			_ = c.PrintfLine("354 go on")
			text, _ := c.ReadDotBytes()
			_ = c.PrintfLine("250 taken")
			return string(text)
		}
		_ = c.PrintfLine("250 ok")
	}
}

func TestAnErrorIsMailedOnceAnHour(t *testing.T) {
	address, mails := mailServer(t)
	c := newClock()
	alerts := NewAlerts(slog.DiscardHandler, func() time.Time { return c.now })
	log := slog.New(alerts)
	log.Error("before anybody asked")
	alerts.Follow(Mail{To: "postmaster@example.net", From: "gatepost@mx.example.net", Server: address})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); alerts.Run(ctx) }()
	defer func() { cancel(); <-done }()

	log.Info("decision")
	log.With("limit", "user_strangers").Error("limit tripped; over until it is reset", "key", "alice\r\nBcc: victim@example.org")
	log.Error("limit tripped; over until it is reset", "key", "bob")
	first := <-mails
	for _, want := range []string{
		"From: Gatepost <gatepost@mx.example.net>\n", "To: <postmaster@example.net>\n", ": limit tripped; over until it is reset\n",
		"Auto-Submitted: auto-generated\n", "  limit: user_strangers\n", "  key: alice??Bcc: victim@example.org\n",
	} {
		if !strings.Contains(first, want) {
			t.Errorf("the mail lacks %q:\n%s", want, first)
		}
	}
	c.now = c.now.Add(quiet)
	log.Error("limit tripped; over until it is reset", "key", "carol")
	if second := <-mails; !strings.Contains(second, "carol") || !strings.Contains(second, "1 more of this kind") {
		t.Errorf("an hour later:\n%s", second)
	}
}

// TestErrorsAreCounted: by what happened, without what follows from it, whether somebody wants mail or not; no more kinds than there may be.
func TestErrorsAreCounted(t *testing.T) {
	alerts := NewAlerts(slog.DiscardHandler, time.Now)
	log := slog.New(alerts)
	log.Info("decision")
	log.Error("limit tripped; over until it is reset", "key", "alice")
	log.With("limit", "x").Error("limit tripped; over until it is reset", "key", "bob")
	log.Error("blocklist out of use: its test points answer wrongly")
	for i := range 2 * maxErrorKinds {
		log.Error(fmt.Sprintf("kind %d", i))
	}
	got := map[string]uint64{}
	alerts.Counts(func(kind string, n uint64) { got[kind] = n })
	if got["limit tripped"] != 2 || got["blocklist out of use"] != 1 || got["other"] != maxErrorKinds+2 || len(got) != maxErrorKinds+1 {
		t.Errorf("%v", got)
	}
}

func TestALineHasItsFields(t *testing.T) {
	var line string
	var fields []slog.Attr
	s := &sink{level: slog.LevelInfo, out: NewOutlet(), send: func(_ slog.Level, l string, a []slog.Attr) error { line, fields = l, a; return nil }}
	slog.New(s).With("id", "7K3Q-9MXA").WithGroup("spf").Info("decision", slog.GroupAttrs("", slog.String("result", "pass")), "text", "two words\n")
	s.out.Close(time.Minute)
	if want := `decision id=7K3Q-9MXA spf.result=pass spf.text="two words\n"`; line != want {
		t.Errorf("line %s, want %s", line, want)
	}
	var names []string
	for _, f := range fields {
		names = append(names, fieldName(f.Key))
	}
	if got, want := strings.Join(names, " "), "GATEPOST_ID GATEPOST_SPF_RESULT GATEPOST_SPF_TEXT"; got != want {
		t.Errorf("fields %s, want %s", got, want)
	}
}

func TestFormats(t *testing.T) {
	for format, want := range map[policyfile.LogFormat]string{policyfile.LogAuto: `"msg":"decision","id":"A"`, policyfile.LogLogfmt: "msg=decision id=A", policyfile.LogJSON: `"msg":"decision","id":"A"`} {
		var out bytes.Buffer
		h, err := New(&out, NewOutlet(), format, slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		log := slog.New(h)
		log.Debug("not this")
		log.Info("decision", "id", "A")
		if !strings.Contains(out.String(), want) || strings.Contains(out.String(), "not this") {
			t.Errorf("%s: %s, want %s", format, out.String(), want)
		}
	}
}
