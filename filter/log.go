package filter

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"gatepost.example/filter/check"
	"gatepost.example/policy"
)

// Record is what one decision leaves behind: a line in the log, and what explains it.
type Record struct {
	ID        string // of the message, or of the connection before MAIL
	Decision  policy.Decision
	Spoken    string            // the stage at which it was spoken, "none" when it was not
	Recipient string            // for a decision over one recipient
	PutOff    bool              // the recipient was put off with 452 because its class differs
	Woulds    []policy.Would    // what observed rules, or a policy in observe mode or in a pause, would have done
	Tags      []string          // the rules that tagged
	Instead   string            // what a refusal became where refusing is wrong: "tag" or "hold"
	Paused    bool              // everything was accepted, for a pause
	Harsher   []policy.Decision // what the rules say of recipients of other classes, for whom the milder Decision holds too
	After     string            // in observe mode and in a pause: the stage at which the message would have ended; what came later would not have happened
	Text      string            // the reply as the client gets it

	Evidence *policy.Evidence // what is known; only while the record is handed over
	Findings []check.Finding  // of the awaited checks, in registry order
}

// What gives what was really done as one word: a reply code or an action.
func (r Record) What() string {
	switch {
	case r.PutOff:
		return "452"
	case r.Instead != "":
		return r.Instead
	case r.Spoken == "none":
		return policy.None.String()
	}
	return r.Decision.What()
}

// record writes one line, what was decided, where, by which rule and over whom, and hands the record to whom the server names.
func (s *Session) record(l Record) {
	s.told = true
	l.Evidence, l.Paused = s.conn.evidence, s.paused()
	s.noteLine(l)
	if s.past != nil {
		return
	}
	s.server.measureRecord(l)
	s.probeRecord(l)
	if s.server.onRecord != nil {
		l.Findings = s.appendFindings(nil)
		s.server.onRecord(l)
	}
	if s.log.Enabled(context.Background(), slog.LevelInfo) {
		s.writeLine(l)
	}
}

// writeLine writes the line of a record. It goes to the handler itself: a Logger would look up who calls it, for every line.
func (s *Session) writeLine(l Record) {
	e, room := s.conn.evidence, s.server.attrs.Get().(*[]slog.Attr)
	attrs := append((*room)[:0], slog.String("id", l.ID), slog.String("action", l.What()))
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, printable(value)))
		}
	}
	if l.Decision.Rule != "" {
		add("rule", l.Decision.Rule)
		add("decided", l.Decision.Decided.String())
	}
	if l.Decision.Share > 0 {
		add("share", l.Decision.Share.String())
	}
	if l.Paused {
		add("paused", "true")
	}
	add("milder_than", harsher(l.Harsher))
	add("spoken", l.Spoken)
	if l.PutOff {
		add("why", "recipient of another class")
	}
	if l.Instead != "" {
		add("instead_of", l.Decision.What())
	}
	add("after", l.After)
	add("would", joined(l.Woulds))
	add("tagged", strings.Join(l.Tags, ","))
	_, name, helo := s.who()
	add("client", s.clientText())
	add("name", name)
	add("helo", helo)
	if s.conn.relay {
		add("relay", s.conn.Addr.String())
	}
	add("role", s.conn.role)
	if t := s.msg; t != nil {
		attrs = append(attrs, slog.String("sender", printable(t.from.Address)))
		add("recipients", s.recipientText(l))
		add("user", t.from.User)
		add("queue", t.queueID)
		add("message_id", e.Text("message.id"))
	}
	for _, fact := range loggedFacts {
		add(fact.key, e.Text(fact.name))
	}
	line := slog.NewRecord(time.Now(), slog.LevelInfo, "decision", 0)
	line.AddAttrs(slog.Attr{Value: slog.GroupValue(attrs...)}) // without a name: each attribute stands by itself, and none is copied
	_ = s.log.Handler().Handle(context.Background(), line)     // what the log cannot take has nowhere else to go
	clear(attrs)
	*room = attrs
	s.server.attrs.Put(room)
}

// newAttrs gives room for the attributes of a line.
func newAttrs() any { return new(make([]slog.Attr, 0, len(loggedFacts)+24)) }

// loggedFacts are those that a line has, and their keys in it.
var loggedFacts = []struct{ name, key string }{
	{"client.iprev", "client_iprev"}, {"helo.spf", "helo_spf"}, {"spf.result", "spf_result"}, {"dkim.result", "dkim_result"},
	{"dmarc.result", "dmarc_result"}, {"author.domain", "author_domain"},
}

func (s *Session) clientText() string {
	switch addr, _, _ := s.who(); {
	case addr == s.conn.Addr && s.conn.ip != "":
		return s.conn.ip
	case addr.IsValid():
		return addr.String()
	case s.conn.relay:
		return "unknown"
	}
	return "local"
}

func (s *Session) recipientText(l Record) string {
	if l.Recipient != "" {
		return l.Recipient
	}
	text := strings.Join(s.msg.taken, ",")
	if more := s.msg.count - len(s.msg.taken); more > 0 && len(s.msg.taken) == maxLogged {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func joined(woulds []policy.Would) string {
	texts := make([]string, len(woulds))
	for i, w := range woulds {
		texts[i] = w.String()
	}
	return strings.Join(texts, "; ")
}

func harsher(decisions []policy.Decision) string {
	texts := make([]string, len(decisions))
	for i, d := range decisions {
		texts[i] = d.What() + " by " + d.Rule
	}
	return strings.Join(texts, "; ")
}

// leaveMessage writes a line for a message that ended before its decision was spoken.
func (s *Session) leaveMessage(t *transaction) {
	s.decidesBy(t.walk)
	if d, decided := t.walk.Decision(); decided && d.Refuses() && t.count == 0 {
		s.record(Record{ID: t.id, Decision: d, Spoken: "none"})
	}
}

// leaveConnection does the same for a client that left before MAIL.
func (s *Session) leaveConnection() {
	s.decidesBy(s.conn.walk)
	if d, decided := s.conn.walk.Decision(); decided && d.Refuses() {
		s.record(Record{ID: s.conn.id, Decision: d, Spoken: "none"})
	}
}

// maxText bounds what a sender's text may add to a log line.
const maxText = 300

// printable makes a sender's text safe for a log: one line, bounded, control characters escaped.
func printable(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "..."
	}
	return Visible(text)
}

// Visible makes a sender's text safe to print in one line: what Hidden tells becomes question marks.
func Visible(text string) string {
	if isPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		if Hidden(r) {
			return '?'
		}
		return r
	}, text)
}

// Hidden reports whether a character does not show as itself but does something to a terminal or to the text around it: control characters, those that
// turn the direction of a line or have no width, and separators of lines (Cc, Cf, Zl and Zp of Unicode).
func Hidden(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }

// isPlain reports whether a text is printable ASCII, as nearly all are.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}
