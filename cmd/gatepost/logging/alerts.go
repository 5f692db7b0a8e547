package logging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/smtp"
	"os"
	"strings"
	"sync"
	"time"
)

// quiet is how long no second mail of a kind is sent.
const quiet = time.Hour

// sendTime bounds the sending of one mail.
const sendTime = 30 * time.Second

// maxWaiting bounds the mails that wait to be sent, and the errors that one mail tells.
const maxWaiting = 50

// Mail is what an alert is sent with.
type Mail struct {
	To, From string // addresses; no mail is sent while To is empty
	Server   string // host:port of the MTA, which takes mail from this machine without a login
}

// maxErrorKinds bounds the kinds of errors that are counted by their own name; the words of an error's message are ours, and few.
const maxErrorKinds = 50

// Alerts counts errors, and mails them to an admin, at most one mail an hour for each kind of error: its message. It passes every line on. Run sends.
type Alerts struct {
	next slog.Handler
	box  *outbox // shared with the handlers that With gives
	with []slog.Attr
}

type outbox struct {
	mu      sync.Mutex
	mail    Mail
	last    map[string]time.Time // when a mail of a kind was sent
	since   map[string]int       // how many errors of a kind came after it
	counts  map[string]uint64    // how many errors of a kind there were, by errorKind
	waiting []string             // texts of mails
	wake    chan struct{}
	now     func() time.Time
}

// NewAlerts gives a handler before next, which learns the time from now. It sends nothing before Follow names an address.
func NewAlerts(next slog.Handler, now func() time.Time) *Alerts {
	return &Alerts{next: next, box: &outbox{last: map[string]time.Time{}, since: map[string]int{}, counts: map[string]uint64{}, wake: make(chan struct{}, 1), now: now}}
}

// Follow sends to another address from now on.
func (a *Alerts) Follow(m Mail) {
	a.box.mu.Lock()
	defer a.box.mu.Unlock()
	if m.From == "" {
		m.From = "gatepost@" + hostname()
	}
	a.box.mail = m
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "localhost"
	}
	return name
}

var _ slog.Handler = (*Alerts)(nil)

// Enabled implements slog.Handler.
func (a *Alerts) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || a.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (a *Alerts) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		a.box.note(r, a.with)
	}
	if !a.next.Enabled(ctx, r.Level) {
		return nil
	}
	return a.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (a *Alerts) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Alerts{next: a.next.WithAttrs(attrs), box: a.box, with: append(append([]slog.Attr(nil), a.with...), attrs...)}
}

// WithGroup implements slog.Handler.
func (a *Alerts) WithGroup(name string) slog.Handler {
	return &Alerts{next: a.next.WithGroup(name), box: a.box, with: a.with}
}

// note counts an error and queues a mail about it, unless one of its kind was sent within the hour.
func (b *outbox) note(r slog.Record, with []slog.Attr) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count(errorKind(r.Message))
	if b.mail.To == "" {
		return
	}
	now := b.now()
	if last, sent := b.last[r.Message]; sent && now.Sub(last) < quiet && !now.Before(last) || len(b.waiting) >= maxWaiting {
		b.since[r.Message]++
		return
	}
	b.waiting = append(b.waiting, b.textOf(r, with, now))
	b.last[r.Message], b.since[r.Message] = now, 0
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// errorKind gives the beginning of an error's message that says what happened, without what follows from it.
func errorKind(message string) string {
	if end := strings.IndexAny(message, ";:"); end > 0 {
		message = message[:end]
	}
	return message
}

func (b *outbox) count(kind string) {
	if _, known := b.counts[kind]; !known && len(b.counts) >= maxErrorKinds {
		kind = "other"
	}
	b.counts[kind]++
}

// Counts calls visit with each kind of error and how many there were since the start.
func (a *Alerts) Counts(visit func(kind string, n uint64)) {
	a.box.mu.Lock()
	defer a.box.mu.Unlock()
	for kind, n := range a.box.counts {
		visit(kind, n)
	}
}

// textOf writes the mail: plain ASCII, lines of at most 900 bytes (RFC 5322 2.1.1 allows 998).
func (b *outbox) textOf(r slog.Record, with []slog.Attr, now time.Time) string {
	host := hostname()
	var body strings.Builder
	line := func(format string, args ...any) {
		text := ascii(fmt.Sprintf(format, args...))
		body.WriteString(text[:min(len(text), 900)] + "\r\n")
	}
	line("From: Gatepost <%s>", b.mail.From)
	line("To: <%s>", b.mail.To)
	line("Subject: gatepost on %s: %s", host, r.Message)
	line("Date: %s", now.Format(time.RFC1123Z))
	line("Message-Id: <%d.alert@%s>", now.UnixNano(), host)
	line("Auto-Submitted: auto-generated") // RFC 3834 5
	line("MIME-Version: 1.0")
	line("Content-Type: text/plain; charset=us-ascii")
	line("")
	line("%s", r.Message)
	line("")
	for _, a := range with {
		line("  %s: %s", a.Key, a.Value)
	}
	r.Attrs(func(a slog.Attr) bool {
		line("  %s: %s", a.Key, a.Value)
		return true
	})
	line("")
	if more := b.since[r.Message]; more > 0 {
		line("%d more of this kind came since the last mail about it.", more)
	}
	line("Another mail of this kind follows after %s at the earliest; the log has them all. `gatepost status` says what is wrong now.", "an hour")
	return body.String()
}

func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}

// Run sends mails until ctx ends. What cannot be sent is said in a warning and tried no more: the log has it.
func (a *Alerts) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.box.wake:
		}
		for text, mail := a.box.take(); text != ""; text, mail = a.box.take() {
			if err := send(ctx, mail, text); err != nil && a.next.Enabled(ctx, slog.LevelWarn) {
				r := slog.NewRecord(time.Now(), slog.LevelWarn, "an alert could not be mailed", 0)
				r.AddAttrs(slog.String("to", mail.To), slog.String("server", mail.Server), slog.String("error", err.Error()))
				_ = a.next.Handle(ctx, r) // what the log cannot take has nowhere else to go
			}
		}
	}
}

func (b *outbox) take() (string, Mail) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return "", b.mail
	}
	text := b.waiting[0]
	b.waiting = b.waiting[1:]
	return text, b.mail
}

// send hands a mail to the MTA of this machine, without TLS and login: it stays on the machine.
func send(ctx context.Context, m Mail, text string) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", m.Server)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, "localhost")
	if err != nil {
		return err
	}
	if err := client.Mail(m.From); err != nil {
		return err
	}
	if err := client.Rcpt(m.To); err != nil {
		return err
	}
	w, err := client.Data()
	if err != nil {
		return err
	}
	_, err = w.Write([]byte(text))
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return client.Quit()
}
