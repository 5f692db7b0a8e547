package filter

import (
	"slices"

	"gatepost.example/filter/history"
	"gatepost.example/policy"
)

// This file is what a session notes for the history as it goes. Nothing is copied that does not change any more, and nothing is waited for.

// trail is what is noted of a connection.
type trail struct {
	moment   int // how many events there were
	helo     int // the moment of the last HELO; 0 for none
	messages int
	readings []history.Reading
	lines    []history.Line
}

func (t *trail) event() { t.moment++ }

// messageTrail is what is noted of a message.
type messageTrail struct {
	mail       int // its moment
	recipients []history.Recipient
	dropped    int
	readings   []history.Reading
	lines      []history.Line
}

// noteHelo notes a HELO: readings that rested on an earlier one are gone.
func (s *Session) noteHelo() {
	t := &s.conn.trail
	t.event()
	t.helo = t.moment
	t.readings = slices.DeleteFunc(t.readings, func(r history.Reading) bool { return r.At >= policy.Helo })
	t.lines = slices.DeleteFunc(t.lines, func(l history.Line) bool { return l.Spoken != policy.Connect.String() })
	if s.past != nil {
		s.past.published(s, history.BeforeHelo)
	}
}

// noteMail notes the begin of a message.
func (s *Session) noteMail() {
	t := &s.conn.trail
	t.event()
	t.messages++
	s.msg.trail.mail = t.moment
	if s.past != nil {
		s.past.published(s, history.BeforeMail)
	}
}

// noteRecipient notes a recipient.
func (s *Session) noteRecipient(r Recipient) {
	s.conn.trail.event()
	t := &s.msg.trail
	if len(t.recipients) == history.MaxRecipients {
		t.dropped++
		return
	}
	t.recipients = append(t.recipients, history.Recipient{Address: r.Address, Resolved: r.Resolved, Mailer: r.Mailer, Host: r.Host, Refused: r.refused()})
}

// noteMemory notes what the memory said of the recipient.
func (s *Session) noteMemory() {
	t, e := &s.msg.trail, s.conn.evidence
	if t.dropped > 0 || s.conn.relay || s.past != nil {
		return
	}
	one := &t.recipients[len(t.recipients)-1]
	one.Relayed = e.Text("rcpt.relayed") == "true"
	if one.Asked = e.Known("greylist.wait"); one.Asked {
		one.Wait, one.Retry = e.Text("greylist.wait") == "true", e.Text("greylist.retry")
	}
}

// noteReading notes a limit as it was published.
func (s *Session) noteReading(r history.Reading) {
	if s.server.history == nil || s.conn.relay {
		return
	}
	if s.msg == nil {
		s.conn.trail.readings = append(s.conn.trail.readings, r)
		return
	}
	if s.msg.trail.readings == nil {
		s.msg.trail.readings = make([]history.Reading, 0, len(s.settings.limits))
	}
	t := &s.msg.trail
	if r.At == policy.Rcpt {
		if t.dropped > 0 {
			return
		}
		r.Recipient = len(t.recipients) - 1
	}
	t.readings = append(t.readings, r)
}

// noteLine notes a decision.
func (s *Session) noteLine(l Record) {
	if s.server.history == nil && s.past == nil {
		return
	}
	line := lineOf(l)
	if s.msg != nil && l.Spoken == policy.Rcpt.String() {
		if s.msg.trail.dropped > 0 {
			return
		}
		line.Recipient = len(s.msg.trail.recipients) - 1
	}
	switch {
	case s.past != nil:
		s.past.lines = append(s.past.lines, line)
		s.past.tell(s)
	case s.msg != nil:
		s.msg.trail.lines = append(s.msg.trail.lines, line)
	default:
		s.conn.trail.lines = append(s.conn.trail.lines, line)
	}
}

func lineOf(l Record) history.Line {
	d := l.Decision
	line := history.Line{
		Recipient: -1, Action: d.Action, Rule: d.Rule, Code: d.Reply.Code, Enhanced: d.Reply.Enhanced, Decided: d.Decided, Planned: d.Spoken,
		Spoken: l.Spoken, PutOff: l.PutOff, Instead: l.Instead, After: l.After, What: l.What(), Text: l.Text, Woulds: l.Woulds, Tags: l.Tags,
		Share: d.Share, Paused: l.Paused,
	}
	for _, h := range l.Harsher {
		line.Harsher = append(line.Harsher, h.What()+" by "+h.Rule)
	}
	if l.PutOff {
		line.Code, line.Enhanced = 452, "4.5.3"
	}
	return line
}

// keepConnection hands over a connection that ended before MAIL.
func (s *Session) keepConnection() {
	if s.server.history == nil || s.conn.trail.messages > 0 {
		return
	}
	r := s.newRecord()
	r.ID, r.Time, r.Lines, r.Readings = s.conn.id, s.conn.now, append(r.Lines, s.conn.trail.lines...), append(r.Readings, s.conn.trail.readings...)
	if r.Greeted {
		r.Reached = policy.Helo
	}
	r.Outcomes = s.outcomes(r.Outcomes, nil)
	s.server.history.Add(r, s.settings.Kept)
}

// keepMessage hands over a message, whole or as far as it came.
func (s *Session) keepMessage(t *transaction, whole bool) {
	if s.server.history == nil {
		return
	}
	r := s.newRecord()
	r.Paused = t.paused
	r.ID, r.Number, r.Time, r.QueueID = t.id, s.conn.trail.messages, t.now, t.queueID
	r.Sender = history.Sender{Address: t.from.Address, User: t.from.User, Method: t.from.Method, TLS: history.TLS(t.from.TLS)}
	r.Recipients, r.Dropped = append(r.Recipients, t.trail.recipients...), t.trail.dropped
	r.Readings = append(append(r.Readings, s.conn.trail.readings...), t.trail.readings...)
	r.Lines = append(append(r.Lines, s.conn.trail.lines...), t.trail.lines...)
	r.Reached = policy.Mail
	if len(r.Recipients) > 0 {
		r.Reached = policy.Rcpt
	}
	if whole {
		r.Reached, r.Message = policy.Data, s.messageRecord(t, r.Room())
	}
	r.Outcomes = s.outcomes(r.Outcomes, t)
	s.server.history.Add(r, s.settings.Kept)
}

// newRecord gives a record of the connection alone.
func (s *Session) newRecord() *history.Record {
	c, r := s.conn, s.spareRecord()
	r.Conn, r.ConnTime, r.Client, r.QueueID = c.id, c.now, history.Client(c.Client), c.QueueID
	r.Greeted, r.Helo, r.HeloTLS, r.Relay, r.ConnPaused = c.trail.helo > 0, c.helo, history.TLS(c.tls), c.relay, c.paused
	if s.settings.Kept != nil {
		r.Policy = s.settings.Kept.Identity
	}
	return r
}

func (s *Session) spareRecord() *history.Record {
	if lender, lends := s.server.history.(lender); lends {
		return lender.Spare()
	}
	return new(history.Record)
}

// lender is a Keeper that lends out records whose memory is used again.
type lender interface{ Spare() *history.Record }

// messageRecord puts into m what came with the end of the message.
func (s *Session) messageRecord(t *transaction, m *history.Message) *history.Message {
	e := s.conn.evidence
	*m = history.Message{
		Size: t.header.Size() + len("\r\n") + t.size, ListID: e.Text("message.list_id"), MessageID: e.Text("message.id"),
		AuthorAddress: t.author.Address, AuthorDomain: t.author.Domain, AuthorFields: t.author.Fields, AuthorDomains: len(t.author.Domains),
		Header: e.Header(), HopAddr: t.hop.Addr, HopName: t.hop.Name, HopHelo: t.hop.Helo,
	}
	return m
}

// outcomes appends what the checks of the connection, and of message t where there is one, have established by now.
func (s *Session) outcomes(out []history.Outcome, t *transaction) []history.Outcome {
	out = slices.Grow(out, len(s.settings.checks))
	for i, one := range s.conn.tasks {
		out = s.appendOutcome(out, i, one, t)
	}
	if t != nil {
		for i, one := range t.tasks {
			out = s.appendOutcome(out, i, one, t)
		}
	}
	return out
}

func (s *Session) appendOutcome(out []history.Outcome, i int, one *task, t *transaction) []history.Outcome {
	if one == nil {
		return out
	}
	found := one.read
	switch {
	case found != nil:
	case one.over():
		found = &one.outcome // nobody asked, but another policy may
	default:
		return out
	}
	return append(out, history.Outcome{
		Check: one.check.Name(), Starts: one.check.Starts(), Published: s.when(one, t), Stage: one.stage,
		Facts: found.Facts, Findings: found.Findings,
	})
}

// when gives the moment of publication, relative to message t or to a connection without one.
func (s *Session) when(one *task, t *transaction) history.When {
	helo, mail := s.conn.trail.helo, 0
	if t != nil {
		mail = t.trail.mail
	}
	switch m := one.moment; {
	case m == 0:
		return history.Never
	case m == 1:
		return history.AtConnect
	case m < helo:
		return history.BeforeHelo
	case m == helo:
		return history.AtHelo
	case mail > 0 && m < mail:
		return history.BeforeMail
	case m == mail:
		return history.AtMail
	case one.stage == policy.Rcpt:
		return history.AtRcpt
	}
	return history.AtData
}
