// Package logging writes the daemon's log: to journald with a field for each attribute, to syslog's mail facility, or as logfmt or JSON
// lines. Repeats holds back faults that say the same again within a minute, and Alerts mails errors to an admin.
package logging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"strings"
	"unicode"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/term"

	"gatepost.example/policy/policyfile"
)

// New gives the handler for lines of a format that go to w, through an outlet. Auto is journald where w is a stream that leads there, logfmt on a terminal,
// else JSON. The error says that syslog cannot be reached.
func New(w io.Writer, out *Outlet, format policyfile.LogFormat, level slog.Leveler) (slog.Handler, error) {
	switch {
	case format == policyfile.LogJournald || format == policyfile.LogAuto && leadsToJournal(w):
		return &sink{level: level, out: out, send: sendToJournal}, nil
	case format == policyfile.LogSyslog:
		to, err := syslog.Dial("", "", syslog.LOG_MAIL|syslog.LOG_INFO, "gatepost")
		if err != nil {
			return nil, fmt.Errorf("log.format = \"syslog\": %w; start a syslog daemon, or choose another format", err)
		}
		return &sink{level: level, out: out, send: sendToSyslog(to)}, nil
	case format == policyfile.LogLogfmt || format == policyfile.LogAuto && isTerminal(w):
		return slog.NewTextHandler(out.Stream(w), &slog.HandlerOptions{Level: level}), nil
	}
	return newJSONLines(out.Stream(w), level), nil
}

func isTerminal(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd()))
}

// leadsToJournal reports whether systemd connected w, which is standard error, to the journal (systemd.exec(5), $JOURNAL_STREAM).
func leadsToJournal(w io.Writer) bool {
	if w != os.Stderr {
		return false
	}
	connected, err := journal.StderrIsJournalStream()
	return err == nil && connected && journal.Enabled()
}

// sink is a handler that hands on a line and its fields.
type sink struct {
	level slog.Leveler
	attrs []slog.Attr // of With
	group string      // "a." for With in groups
	out   *Outlet
	send  func(level slog.Level, line string, attrs []slog.Attr) error
}

var _ slog.Handler = (*sink)(nil)

// Enabled implements slog.Handler.
func (s *sink) Enabled(_ context.Context, level slog.Level) bool { return level >= s.level.Level() }

// Handle implements slog.Handler.
func (s *sink) Handle(_ context.Context, r slog.Record) error {
	attrs := append([]slog.Attr(nil), s.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		attrs = s.appendAttr(attrs, a)
		return true
	})
	ownTexts(attrs)
	level, line := r.Level, lineOf(r.Message, attrs)
	s.out.hand(waiting{2*len(line) + lineCost, func() error { return s.send(level, line, attrs) }})
	return nil
}

// ownTexts gives attributes texts of their own, in one piece: a line may wait, and what it says is often a part of a whole header field.
func ownTexts(attrs []slog.Attr) {
	var all strings.Builder
	for _, a := range attrs {
		if a.Value.Kind() == slog.KindString {
			all.WriteString(a.Value.String())
		}
	}
	rest := all.String()
	for i := range attrs {
		if v := &attrs[i].Value; v.Kind() == slog.KindString {
			size := len(v.String())
			*v, rest = slog.StringValue(rest[:size]), rest[size:]
		}
	}
}

// appendAttr appends an attribute under its full name; of a group without a name each stands by itself, as slog.Handler asks.
func (s *sink) appendAttr(to []slog.Attr, a slog.Attr) []slog.Attr {
	if a.Key == "" && a.Value.Kind() == slog.KindGroup {
		for _, one := range a.Value.Group() {
			to = s.appendAttr(to, one)
		}
		return to
	}
	a.Key = s.group + a.Key
	return append(to, a)
}

// WithAttrs implements slog.Handler.
func (s *sink) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *s
	c.attrs = append([]slog.Attr(nil), s.attrs...)
	for _, a := range attrs {
		a.Key = s.group + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (s *sink) WithGroup(name string) slog.Handler {
	c := *s
	c.group += name + "."
	return &c
}

// lineOf gives a message and its attributes as one line, the attributes in logfmt.
func lineOf(message string, attrs []slog.Attr) string {
	var out bytes.Buffer
	text := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}})
	r := slog.Record{}
	r.AddAttrs(attrs...)
	_ = text.Handle(context.Background(), r) // a buffer takes everything
	return strings.TrimSpace(message + " " + out.String())
}

// sendToJournal writes a line with a field for each attribute: journalctl GATEPOST_RULE=flood finds the decisions of one rule.
func sendToJournal(level slog.Level, line string, attrs []slog.Attr) error {
	fields := make(map[string]string, len(attrs)+1)
	fields["SYSLOG_IDENTIFIER"] = "gatepost"
	for _, a := range attrs {
		fields[fieldName(a.Key)] = a.Value.String()
	}
	return journal.Send(line, journal.Priority(severity(level)), fields)
}

// fieldName gives the name of a journal field, which has capital letters, digits and _ only (systemd.journal-fields(7)).
func fieldName(key string) string {
	return "GATEPOST_" + strings.Map(func(r rune) rune {
		if r = unicode.ToUpper(r); r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, key)
}

// severity gives the number of a level (RFC 5424 6.2.1).
func severity(level slog.Level) int {
	switch {
	case level >= slog.LevelError:
		return 3
	case level >= slog.LevelWarn:
		return 4
	case level >= slog.LevelInfo:
		return 6
	}
	return 7
}

func sendToSyslog(to *syslog.Writer) func(slog.Level, string, []slog.Attr) error {
	return func(level slog.Level, line string, _ []slog.Attr) error {
		switch severity(level) {
		case 3:
			return to.Err(line)
		case 4:
			return to.Warning(line)
		case 6:
			return to.Info(line)
		}
		return to.Debug(line)
	}
}
