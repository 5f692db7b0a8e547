package filter

import (
	"slices"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/history"
	"gatepost.example/filter/limit"
	"gatepost.example/filter/message"
	"gatepost.example/policy"
)

// past is what a recorded session saw: it takes the place of DNS, clock and memory when the session is decided again. The session's own code runs
// as it does for mail that comes in now, so that the same policy decides the same way, and another one as it would have.
type past struct {
	record  *history.Record
	recount bool     // limits are counted anew in the server's memory
	absent  []string // facts that a check of today's policy would have established, and that were not recorded
	unknown string   // the first of them that a decision waited for; "" for none
	lines   []history.Line

	explain bool
	walk    *policy.Walk // whose decision is told next
	told    []told       // for each line
}

// told is what stood behind a line.
type told struct {
	rules []policy.RuleTrace
	facts []policy.FactTrace
}

// decidesBy notes whose decision is told next.
func (s *Session) decidesBy(w *policy.Walk) {
	if s.past != nil {
		s.past.walk = w
	}
}

// tell notes what stands behind what is known now.
func (p *past) tell(s *Session) {
	if p.explain {
		p.told = append(p.told, told{rules: p.walk.Trace(s.conn.evidence), facts: s.conn.evidence.Facts()})
	}
}

// task gives a run of a check as it was recorded, nil where it was not.
func (p *past) task(e *entry) *task {
	for i := range p.record.Outcomes {
		if o := &p.record.Outcomes[i]; o.Check == e.name {
			return &task{check: e.check, ended: true, read: &check.Outcome{Facts: o.Facts, Findings: o.Findings}}
		}
	}
	for _, f := range e.facts {
		p.absent = append(p.absent, f.Name)
	}
	return nil
}

// published makes known what an earlier HELO or an earlier message of the connection had asked for.
func (p *past) published(s *Session, when history.When) {
	for i := range p.record.Outcomes {
		o := &p.record.Outcomes[i]
		if o.Published != when {
			continue
		}
		for n, t := range s.conn.tasks {
			if t != nil && t.check.Name() == o.Check && t.moment == 0 {
				s.publish(n, t.read, o.Stage)
			}
		}
	}
}

// answers publishes a limit as it was read on the occasion. It reports false where the memory is to be asked.
func (p *past) answers(s *Session, q *question, o occasion) bool {
	if p.recount && q.limit.AtMost == 0 {
		return p.record.Number > 1 && o.at < policy.Mail && s.msg == nil && q.n > 0 // counted for the connection's first message
	}
	recipient := -1
	if o.at == policy.Rcpt && s.msg != nil {
		recipient = len(s.msg.trail.recipients) - 1
	}
	for _, r := range p.record.Readings {
		if r.Limit != q.limit.Name || r.At != o.at || r.Recipient != recipient {
			continue
		}
		s.publishMemory(q.limit.fact, policy.BoolOf(r.Over), o.at)
		s.publishMemory(q.limit.retry, policy.StringOf(r.Retry), o.at)
		return true
	}
	switch {
	case o.refused:
	case q.key == "":
		s.publishLimit(q.limit, limit.Verdict{}, o)
	default:
		p.absent = append(p.absent, q.limit.fact, q.limit.retry)
	}
	return true
}

// recipient gives the recipient that is decided about.
func (p *past) recipient(s *Session) *history.Recipient {
	if i := len(s.msg.trail.recipients) - 1; i < len(p.record.Recipients) {
		return &p.record.Recipients[i]
	}
	return &history.Recipient{}
}

func (p *past) meetRecipient(s *Session) {
	s.publishMemory("rcpt.relayed", policy.BoolOf(p.recipient(s).Relayed), policy.Rcpt)
	s.askLimits(occasion{at: policy.Rcpt}, nil, nil)
}

// greylist publishes what greylisting said, where it was asked.
func (p *past) greylist(s *Session) {
	r := p.recipient(s)
	if !r.Asked {
		p.unknown = firstOf(p.unknown, "greylist.wait")
		return
	}
	s.publishMemory("greylist.wait", policy.BoolOf(r.Wait), policy.Rcpt)
	s.publishMemory("greylist.retry", policy.StringOf(r.Retry), policy.Rcpt)
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// lacks notes that a decision waits at a stage for facts and none of them can come: where one of them could have been known by then and was not
// recorded, nobody knows.
func (s *Session) lacks(waits []string, at policy.Stage) {
	if s.past == nil {
		return
	}
	for _, name := range waits {
		if f, ok := s.settings.Vocabulary.Fact(name); slices.Contains(s.past.absent, name) && (!ok || f.Stage <= at) {
			s.past.unknown = firstOf(s.past.unknown, name)
		}
	}
}

// present is the moment for what happens now.
func (s *Session) present() time.Time {
	switch {
	case s.past == nil:
		return s.server.now()
	case s.conn.evidence == nil:
		return s.past.record.ConnTime
	}
	return s.past.record.Time
}

// pausedAt reports whether what begins at a moment is accepted for a pause.
func (s *Session) pausedAt(now time.Time) bool {
	switch {
	case s.past == nil:
		return s.server.isPaused(now)
	case s.msg == nil && s.conn.trail.moment == 0:
		return s.past.record.ConnPaused
	}
	return s.past.record.Paused
}

// newID gives the id of the connection or message that begins.
func (s *Session) newID() string {
	switch {
	case s.past == nil:
		return s.server.newID()
	case s.conn.evidence == nil:
		return s.past.record.Conn
	}
	return s.past.record.ID
}

// headerWord is what a condition waits for that reads header("X").
const headerWord = "@header"

// publishRecorded makes the facts of the message known as they were recorded.
func (p *past) publishRecorded(s *Session) {
	m, e := p.record.Message, s.conn.evidence
	for _, f := range [...]struct {
		name  string
		value policy.Value
	}{
		{"message.size", policy.IntOf(m.Size)}, {"message.list_id", policy.StringOf(m.ListID)}, {"message.id", policy.StringOf(m.MessageID)},
		{"author.address", policy.StringOf(m.AuthorAddress)}, {"author.domain", policy.StringOf(m.AuthorDomain)},
		{"author.fields", policy.IntOf(m.AuthorFields)}, {"author.domains", policy.IntOf(m.AuthorDomains)},
	} {
		e.Publish(f.name, f.value, policy.Data)
	}
	for _, name := range s.settings.Policy.HeaderNames() {
		if _, kept := m.Header[name]; !kept {
			p.absent = append(p.absent, headerWord)
			return
		}
	}
	e.PublishHeader(func(name string) []string { return m.Header[name] })
}

// endOfMessage decides over the whole message.
func (p *past) endOfMessage(s *Session) {
	t, m := s.msg, p.record.Message
	t.author = message.Author{Address: m.AuthorAddress, Domain: m.AuthorDomain, Fields: m.AuthorFields}
	if s.conn.relay {
		t.hop = message.Hop{Addr: m.HopAddr, Name: m.HopName, Helo: m.HopHelo}
		s.adoptClient()
	}
	s.begin(policy.Data, &t.runs, nil)
	t.queueID = p.record.QueueID
	p.publishRecorded(s)
	s.judge(t, m.Size-len("\r\n"))
}
