package filter

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/filter/limit"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// boundLimit is a [[limit]] of a policy, ready to be asked.
type boundLimit struct {
	policyfile.Limit
	arithmetic *limit.Limit
	fact       string
	retry      string          // the fact that says when it will not be over any more
	due        policy.Stage    // at which its events are counted
	wanted     bool            // a rule reads its facts
	once       bool            // the occasion may come again for what was counted already: the connection, or the message
	ids        []policy.FactID // of fact and retry
	perIDs     []policy.FactID // of Per
}

// natural says at which stage each kind of event happens.
var natural = map[policyfile.Count]policy.Stage{
	policyfile.CountConnections: policy.Connect, policyfile.CountSessions: policy.Connect, policyfile.CountMessages: policy.Mail,
	policyfile.CountRecipients: policy.Rcpt, policyfile.CountFirstTime: policy.Rcpt, policyfile.CountBounces: policy.Rcpt,
	policyfile.CountUnknown: policy.Rcpt, policyfile.CountRefused: policy.Rcpt, policyfile.CountBytes: policy.Data,
}

func bindLimits(configured []policyfile.Limit) []boundLimit {
	out := make([]boundLimit, len(configured))
	for i, l := range configured {
		a := limit.New(limit.Limit{Name: l.Name, AtMost: l.AtMost, Latch: l.Latch, Burst: l.Burst})
		for band, rate := range l.Rate {
			if l.AtMost == 0 {
				a.Rate[band] = rate.Second()
			}
		}
		out[i] = boundLimit{Limit: l, arithmetic: a, fact: "over." + l.Name, retry: "over." + l.Name + ".retry", due: max(l.Stage, natural[l.Count])}
		out[i].once = l.Count == policyfile.CountConnections && l.Stage > policy.Connect || l.Count == policyfile.CountMessages && l.Scope == policy.OfRecipient
	}
	return out
}

// occasion is what happens when limits are asked.
type occasion struct {
	at       policy.Stage
	refused  bool // the MTA refused the recipient
	unknown  bool // because it does not exist
	newcomer bool // the user never wrote to the recipient
	size     int  // of the message
}

// amount gives how many events of a kind happen on the occasion.
func (s *Session) amount(l *boundLimit, o occasion) float64 {
	if l.due != o.at {
		return 0
	}
	yes := true
	switch l.Count {
	case policyfile.CountUnknown:
		yes = o.refused && o.unknown
	case policyfile.CountRefused:
		yes = o.refused && !o.unknown
	case policyfile.CountBounces:
		yes = s.msg.from.Address == ""
	case policyfile.CountFirstTime:
		yes = o.newcomer
	case policyfile.CountBytes:
		return float64(o.size)
	}
	if !yes || o.refused && l.Count != policyfile.CountUnknown && l.Count != policyfile.CountRefused {
		return 0
	}
	return 1
}

// reads reports whether the limit's facts are published at a stage: when its key is known, and anew at each MAIL.
func (l *boundLimit) reads(at policy.Stage) bool {
	return l.Stage == at || at == policy.Mail && l.Scope == policy.OfMessage && l.Stage < policy.Mail
}

// question is one limit asked on an occasion.
type question struct {
	limit *boundLimit
	key   string
	band  int
	n     float64 // counted; 0 where it is only read
}

// concerned gives the limits that an occasion reads or counts, each with how much it counts.
func (s *Session) concerned(o occasion) iter.Seq[question] {
	return func(yield func(question) bool) {
		for i := range s.settings.limits {
			l := &s.settings.limits[i]
			q := question{limit: l, n: s.amount(l, o)}
			if (q.n > 0 || l.reads(o.at) && l.wanted && !o.refused) && !yield(q) {
				return
			}
		}
	}
}

// readyLimits gives the questions that need nothing but what is known already. They are good until it is called again.
func (s *Session) readyLimits(o occasion) []question {
	out := s.room.ready[:0]
	for q := range s.concerned(o) {
		if q.limit.once || slices.ContainsFunc(q.limit.perIDs, s.lacksFact) || q.limit.When != nil && !s.knowsAll(q.limit.When.Facts()) {
			continue
		}
		// A level can be read before the band is known: only what drained since then hangs on it.
		if q.n > 0 && q.limit.Banded() && !s.conn.evidence.Known("client.reputation") {
			continue
		}
		if q.key = s.plainKey(q.limit); q.key == "" || q.idle(o) && !q.limit.Latch {
			continue
		}
		q.band = s.band(q.limit)
		out = append(out, q)
	}
	s.room.ready = out
	return out
}

func (s *Session) lacksFact(id policy.FactID) bool { return !s.conn.evidence.KnownID(id) }

func (s *Session) knowsAll(names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return !s.conn.evidence.Known(name) })
}

// idle reports whether the limit counts nothing of the event that it is about: then it is not over, but where it is latched.
func (q question) idle(o occasion) bool {
	return q.n == 0 && q.limit.due == o.at && q.limit.Count != policyfile.CountUnknown && q.limit.Count != policyfile.CountRefused
}

// askLimits reads the limits whose keys are known from this stage on, and counts the events that happen. Those in asked have their results
// already; for all others it makes one round trip.
func (s *Session) askLimits(o occasion, asked []question, results []state.Result) {
	now, r := s.present(), s.room
	rest, steps := r.asked[:0], r.steps[:0]
	for q := range s.concerned(o) {
		i := slices.IndexFunc(asked, func(a question) bool { return a.limit == q.limit && a.n == q.n })
		if i >= 0 && !q.limit.Banded() {
			q.key = asked[i].key
		} else {
			q.key, q.band = s.keyOf(q.limit, o.at)
		}
		if s.past != nil && s.past.answers(s, &q, o) {
			continue
		}
		if q.key == "" || q.idle(o) && !q.limit.Latch {
			s.publishLimit(q.limit, limit.Verdict{}, o) // nobody to count, or nothing that this limit counts
			continue
		}
		if v, was := s.countedOf(q.limit)[countedAs{q.limit, q.key}]; was {
			s.publishLimit(q.limit, v, o)
			continue
		}
		if i >= 0 {
			s.answer(q, results[i], o, now)
			continue
		}
		rest, steps = append(rest, q), append(steps, s.stepOf(q))
	}
	if r.asked, r.steps = rest, steps; len(steps) == 0 {
		return
	}
	for i, result := range s.remember(steps, &r.results) {
		s.answer(rest[i], result, o, now)
	}
}

func (s *Session) appendSteps(out []state.Step, asked []question) []state.Step {
	for _, q := range asked {
		out = append(out, s.stepOf(q))
	}
	return out
}

func (s *Session) stepOf(q question) state.Step {
	switch a := q.limit.arithmetic; {
	case q.n > 0 && a.AtMost > 0:
		leave := a.Leave(q.key, s.conn.id)
		if slices.Contains(s.conn.leaving, leave) { // its condition is about messages: a session counts once, however many it brings
			return a.Look(q.key)
		}
		s.atEnd(leave)
		s.server.leases.add(leave)
		return a.Enter(q.key, s.conn.id)
	case q.n > 0:
		return a.Pour(q.key, q.band, q.n)
	default:
		return a.Look(q.key)
	}
}

// atEnd keeps a step to be done when the session ends.
func (s *Session) atEnd(step state.Step) { s.conn.leaving = append(s.conn.leaving, step) }

func (s *Session) answer(q question, r state.Result, o occasion, now time.Time) {
	switch {
	case r.Full:
		r = s.countWider(q, now)
	case !r.Found && q.n == 0 && s.server.overflow.lately(q.limit.Name, now):
		r = s.readWider(q, now)
	}
	v := q.limit.arithmetic.Read(r, q.band, 1, r.At)
	switch {
	case q.n > 0:
		v = q.limit.arithmetic.Counted(r, q.band, q.n)
	case q.idle(o):
		v = limit.Verdict{Over: r.Cell.Mark}
	}
	if q.n > 0 && r.Over {
		s.server.metrics.Over(q.limit.Name)
	}
	if q.n > 0 && q.limit.once {
		s.noteCounted(q, v)
	}
	if r.Cell.Mark && !r.Before.Mark {
		s.log.LogAttrs(context.Background(), slog.LevelError, "limit tripped; over until it is reset",
			slog.String("limit", q.limit.Name), slog.String("key", printable(q.key)), slog.String("id", s.id()))
	}
	if !o.refused {
		s.publishLimit(q.limit, v, o)
	}
}

// countedAs is a limit with the key under which the connection or the message was counted.
type countedAs struct {
	limit *boundLimit
	key   string
}

// maxCounted bounds the keys of one message: those of recipients are as many as they.
const maxCounted = 1000

// countedOf gives what was said when the connection, or the message, was counted for a limit: a connection whose condition waits for HELO has
// another HELO after STARTTLS, and a message may have many recipients of one domain.
func (s *Session) countedOf(l *boundLimit) map[countedAs]limit.Verdict {
	if l.Count == policyfile.CountConnections {
		return s.conn.counted
	}
	if s.msg == nil {
		return nil
	}
	return s.msg.counted
}

func (s *Session) noteCounted(q question, v limit.Verdict) {
	in := &s.conn.counted
	if q.limit.Count != policyfile.CountConnections {
		in = &s.msg.counted
	}
	if *in == nil {
		*in = map[countedAs]limit.Verdict{}
	}
	if len(*in) < maxCounted {
		(*in)[countedAs{q.limit, q.key}] = v
	}
}

func (s *Session) publishLimit(l *boundLimit, v limit.Verdict, o occasion) {
	if o.refused {
		return
	}
	retry := limit.Text(v.Retry)
	s.conn.evidence.PublishID(l.ids[0], policy.BoolOf(v.Over), o.at)
	s.conn.evidence.PublishID(l.ids[1], policy.StringOf(retry), o.at)
	s.noteReading(history.Reading{Limit: l.Name, At: o.at, Recipient: -1, Over: v.Over, Retry: retry})
}

// keyOf gives the key of a limit, "" where it does not apply, and the client's band.
func (s *Session) keyOf(l *boundLimit, at policy.Stage) (key string, band int) {
	if l.When != nil {
		s.publishAwaited(l.When.Facts(), at)
		if !l.When.Holds(s.conn.evidence) {
			return "", 0
		}
	}
	if slices.ContainsFunc(l.perIDs, s.lacksFact) {
		s.publishAwaited(l.Per, at)
	}
	if key = s.plainKey(l); key != "" && l.Banded() {
		s.publishAwaited([]string{"client.reputation"}, at)
	}
	return key, s.band(l)
}

// plainKey gives the key of a limit from what is known, "" where it does not apply.
func (s *Session) plainKey(l *boundLimit) string {
	e := s.conn.evidence
	if l.When != nil && !l.When.Holds(e) {
		return ""
	}
	values := make([]string, len(l.perIDs))
	for i, id := range l.perIDs {
		values[i] = e.TextID(id)
		if l.Per[i] == "client.ip" {
			values[i] = limit.Host(values[i])
		}
		if s.msg != nil {
			values[i] = s.msg.from.counted(l.Per[i], values[i])
		}
	}
	return limit.Key(values)
}

// counted gives the value of a fact in a key: of the sender's address that under which the message will go, so that nobody has a limit anew for
// each way of writing it.
func (f Sender) counted(fact, value string) string {
	switch {
	case fact == "sender.address" && value == plainAddress(f.Address):
		return plainAddress(f.whole())
	case fact == "sender.domain" && value == mailDomain(f.Address):
		return mailDomain(f.whole())
	}
	return value
}

// band gives the client's band for a limit that has several.
func (s *Session) band(l *boundLimit) int {
	e := s.conn.evidence
	if !l.Banded() {
		return 0
	}
	return limit.Band(e.Text("client.reputation"), e.Text("memory.settled") == "true")
}
