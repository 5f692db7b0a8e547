package filter

import (
	"context"
	"log/slog"
	"time"

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
	due        policy.Stage // at which its events are counted
	wanted     bool         // a rule reads its facts
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
		a := &limit.Limit{Name: l.Name, AtMost: l.AtMost, Latch: l.Latch, Burst: l.Burst}
		for band, rate := range l.Rate {
			if l.AtMost == 0 {
				a.Rate[band] = rate.Second()
			}
		}
		out[i] = boundLimit{Limit: l, arithmetic: a, fact: "over." + l.Name, due: max(l.Stage, natural[l.Count])}
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

// askLimits reads the limits whose keys are known from this stage on, and counts the events that happen, in one round trip.
func (s *Session) askLimits(o occasion) {
	var asked []question
	var steps []state.Step
	for i := range s.settings.limits {
		l := &s.settings.limits[i]
		n := s.amount(l, o)
		reads := l.reads(o.at) && l.wanted && !o.refused
		if n == 0 && !reads {
			continue
		}
		q := question{limit: l, n: n}
		q.key, q.band = s.keyOf(l, o.at)
		if q.key == "" || n == 0 && l.due == o.at && l.Count != policyfile.CountUnknown && l.Count != policyfile.CountRefused {
			s.publishLimit(l, limit.Verdict{}, o) // nobody to count, or nothing that this limit counts
			continue
		}
		asked, steps = append(asked, q), append(steps, s.stepOf(q))
	}
	if len(steps) == 0 {
		return
	}
	// The moment of the event, not of the message: a slow session must not turn the time of a bucket back.
	now := s.server.now()
	for i, r := range s.server.store.Do(context.Background(), now, steps) {
		s.answer(asked[i], r, o, now)
	}
}

func (s *Session) stepOf(q question) state.Step {
	switch a := q.limit.arithmetic; {
	case q.n > 0 && a.AtMost > 0:
		s.atEnd(a.Leave(q.key, s.conn.id))
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
	if r.Full {
		r = s.countWider(q)
	}
	v := q.limit.arithmetic.Read(r, q.band, 1, now)
	if q.n > 0 {
		v = q.limit.arithmetic.Counted(r, q.band, q.n)
	}
	if q.n > 0 && r.Over {
		s.server.metrics.Over(q.limit.Name)
	}
	if r.Cell.Mark && !r.Before.Mark {
		s.log.LogAttrs(context.Background(), slog.LevelError, "limit tripped; over until it is reset",
			slog.String("limit", q.limit.Name), slog.String("key", printable(q.key)), slog.String("id", s.id()))
	}
	if !o.refused {
		s.publishLimit(q.limit, v, o)
	}
}

// countWider counts under wider and wider keys where the memory has no room for more.
func (s *Session) countWider(q question) state.Result {
	s.server.warnOnce(s.log, "limit "+q.limit.Name+" has no room for more keys; wider networks count in their place")
	r := state.Result{Full: true}
	for key := q.key; r.Full && key != "*"; {
		key = limit.Wider(key)
		r = s.server.store.Do(context.Background(), s.server.now(), []state.Step{q.limit.arithmetic.Pour(key, q.band, max(q.n, 0))})[0]
	}
	return r
}

func (s *Session) publishLimit(l *boundLimit, v limit.Verdict, o occasion) {
	if o.refused {
		return
	}
	s.publishMemory(l.fact, policy.BoolOf(v.Over), o.at)
	s.publishMemory(l.fact+".retry", policy.StringOf(limit.Text(v.Retry)), o.at)
}

// keyOf gives the key of a limit, "" where it does not apply, and the client's band.
func (s *Session) keyOf(l *boundLimit, at policy.Stage) (key string, band int) {
	e := s.conn.evidence
	if l.When != nil {
		s.publishAwaited(l.When.Facts(), at)
		if !l.When.Holds(e) {
			return "", 0
		}
	}
	s.publishAwaited(l.Per, at)
	values := make([]string, len(l.Per))
	for i, name := range l.Per {
		values[i] = e.Text(name)
	}
	if key = limit.Key(values); key == "" || !l.Banded() {
		return key, 0
	}
	s.publishAwaited([]string{"client.reputation"}, at)
	return key, limit.Band(e.Text("client.reputation"), e.Text("memory.settled") == "true")
}
