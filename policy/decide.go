package policy

import (
	"fmt"
	"runtime/debug"
	"slices"
)

// Walk goes through the rules of a policy for one connection, message or recipient as facts arrive. The first final rule that is true
// decides. A rule that is false stays false; one that is unknown remembers which facts it waits for; a final one that is unknown
// ends the step, so that nothing below it can decide before it. One session owns a walk.
type Walk struct {
	policy    *Policy
	recipient bool
	rules     []standing // in the order of the policy's
	room      []FactID   // what rules wait for, piece by piece
	from      int        // all rules before it are settled
	stopped   int        // the rule at which the last step ended; len(rules) when it went through
	decided   bool
	decision  Decision
	also      []*Walk  // of other recipients of this message and class: their tags and would-bes count too
	sides     []side   // of each rule with a share; empty where there is none
	awaited   []FactID // by the last step
	names     []string // of those
}

// standing is how far a walk is with one rule.
type standing struct {
	truth      truth
	at         Stage // where it became true
	begin, end int32 // of an unknown rule that was evaluated: where in the walk's room the facts stand that it waits for
}

// NewWalk gives the walk of a new connection.
func (p *Policy) NewWalk() *Walk {
	if w, left := p.released.walks.Get().(*Walk); left {
		w.policy = p
		return w
	}
	return &Walk{policy: p, rules: make([]standing, len(p.rules))}
}

// Release ends a walk that nobody reads any more: one to come uses its memory.
func (w *Walk) Release() {
	clear(w.rules)
	clear(w.names)
	pool := &w.policy.released.walks
	*w = Walk{rules: w.rules, room: w.room[:0], sides: w.sides[:0], awaited: w.awaited[:0], names: w.names[:0]}
	pool.Put(w)
}

// Clone gives a walk that goes on from here on its own: a message's from its connection's. What rests on facts that every message has
// anew, such as a limit read at connect, is asked again.
func (w *Walk) Clone() *Walk {
	c := w.copy()
	for i, r := range c.policy.rules {
		if !r.anew {
			continue
		}
		c.rules[i] = standing{}
		c.from = min(c.from, i)
		if c.decided && c.final(i) && i <= c.decision.index {
			c.decided, c.decision = false, Decision{}
		}
	}
	return c
}

func (w *Walk) copy() *Walk {
	c := w.policy.NewWalk()
	own := *c
	*c = *w
	copy(own.rules, w.rules)
	c.rules, c.room, c.sides = own.rules, append(own.room, w.room...), append(own.sides, w.sides...)
	c.awaited, c.names = own.awaited, own.names
	return c
}

// ForRecipient gives the walk of one recipient: it goes on from where the message's stands, into the rules that name the recipient.
func (w *Walk) ForRecipient() *Walk {
	c := w.copy()
	c.recipient = true
	return c
}

// Step goes on with what e knows now, at a stage. It gives the names of the facts that the final rule at which it stopped waits for;
// at Data also those of undecided tag and observed rules above the decision. None means that there is nothing to await. The names hold until
// the walk's next step.
func (w *Walk) Step(e *Evidence, at Stage) []string {
	waits := w.awaited[:0]
	w.stopped = len(w.policy.rules)
	if w.policy.shares {
		w.takeSides(e)
	}
	settled := true
	for i := w.from; i < len(w.policy.rules); i++ {
		if w.decided && i >= w.decision.index {
			break
		}
		r := w.policy.rules[i]
		if w.rules[i].truth == unknown {
			if r.scope == OfRecipient && !w.recipient {
				settled = false
				if w.final(i) {
					w.stopped = i
					break
				}
				continue
			}
			w.evaluate(i, e, at)
		}
		if w.rules[i].truth == unknown {
			settled = false
			if w.final(i) || at == Data {
				waits = append(waits, w.waits(i)...)
			}
			if w.final(i) {
				w.stopped = i
				break
			}
		}
		if w.rules[i].truth == yes && w.policy.shares {
			if missing := w.awaitsSide(i, e); missing != nil {
				settled = false
				waits = append(waits, missing...)
				if w.final(i) {
					w.stopped = i
					break
				}
			}
		}
		if settled {
			w.from = i + 1
		}
		if w.rules[i].truth == yes && w.final(i) {
			w.decide(i, at)
		}
	}
	if w.awaited = waits; len(waits) == 0 {
		return nil
	}
	w.names = w.policy.appendNames(w.names[:0], waits)
	return w.names
}

// evaluate asks one rule again if a fact it waits for has come.
func (w *Walk) evaluate(i int, e *Evidence, at Stage) {
	if waits := w.waits(i); len(waits) > 0 && !slices.ContainsFunc(waits, e.has) {
		return
	}
	r := w.policy.rules[i]
	t, waits, err := r.safely(e)
	if err != nil {
		// DESIGN: a rule whose evaluation errs is false, logged once, counted.
		e.failed(r.name, err)
		w.rules[i].truth = no
		return
	}
	w.rules[i].truth = t
	switch t {
	case yes:
		w.rules[i].at = at
	case unknown:
		w.awaits(i, waits)
	}
}

// safely gives the truth of the rule's condition. A panic in it is an error like others: the session goes on with the other rules.
func (r *rule) safely(e *Evidence) (t truth, waits []FactID, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			t, waits, err = no, nil, fmt.Errorf("panicked: %v", reason)
			e.stack = string(debug.Stack())
		}
	}()
	return r.truth(e)
}

// waits gives the facts that rule i waits for, none where it was not evaluated yet.
func (w *Walk) waits(i int) []FactID { return w.room[w.rules[i].begin:w.rules[i].end] }

func (w *Walk) awaits(i int, waits []FactID) {
	if cap(w.room) == 0 {
		w.room = make([]FactID, 0, 2*len(w.rules))
	}
	w.rules[i].begin = int32(len(w.room))
	w.room = append(w.room, waits...)
	w.rules[i].end = int32(len(w.room))
}

func (e *Evidence) has(id FactID) bool {
	if id == headerFact {
		return e.header != nil
	}
	return e.vals[id] != nil
}

func (w *Walk) decide(i int, at Stage) {
	r := w.policy.rules[i]
	w.decided = true
	w.decision = Decision{Action: r.action, Rule: r.name, Reply: r.reply, Decided: at, Spoken: w.policy.speaksAt(r, at), Share: r.share, index: i}
}

// Decision gives what was decided, and whether anything was.
func (w *Walk) Decision() (Decision, bool) { return w.decision, w.decided }

// Settled reports whether something was decided, no rule above it is open, and no field that such a rule adds tells of facts: nothing that is still
// to come changes what the walk says.
func (w *Walk) Settled() bool {
	if !w.decided || w.from < w.decision.index {
		return false
	}
	for i, r := range w.policy.rules[:w.decision.index] {
		if w.rules[i].truth == yes && slices.ContainsFunc(r.header, func(h headerTemplate) bool { return h.value.tells() }) {
			return false
		}
	}
	return true
}

// MayWait reports whether a step at this stage may wait for checks: only where an answer can be spoken then. Before RCPT that is
// while a rule that speaks where it is decided (at_once, or delay_reject off) can be reached, and no rule about the recipient stands
// above it.
func (w *Walk) MayWait(at Stage) bool {
	if at >= Rcpt || w.decided {
		return at >= Rcpt
	}
	for i, r := range w.policy.rules[w.stopped:] {
		switch {
		case !w.final(w.stopped + i):
		case r.scope == OfRecipient:
			return false
		case r.action == Answer && r.span.trueFrom <= at && w.policy.speaksAt(r, at) <= at:
			return true
		}
	}
	return false
}

// Woulds gives what the observed rules above the decision would have done, in the order of the rules.
func (w *Walk) Woulds() []Would {
	var out []Would
	for i, r := range w.policy.rules[:w.end()] {
		if at, matched := w.matched(i); matched && w.observes(i) {
			d := Decision{Action: r.action, Reply: r.reply}
			out = append(out, Would{Rule: r.name, What: d.What(), Decided: at, Spoken: w.policy.speaksAt(r, at), Share: r.share})
		}
	}
	return out
}

// Tags gives the fields that tag rules above the decision add, in the order of the rules, their values filled from e.
func (w *Walk) Tags(e *Evidence, id string) []Field {
	var out []Field
	for i, r := range w.policy.rules[:w.end()] {
		if _, matched := w.matched(i); r.action != Tag || w.observes(i) || !matched {
			continue
		}
		for _, h := range r.header {
			out = append(out, Field{Name: h.name, Value: clean(h.value.fill(e, id)), Rule: r.name})
		}
	}
	return out
}

// matched reports whether rule i was true, for this recipient or another that shares the decision, and where first.
func (w *Walk) matched(i int) (first Stage, matched bool) {
	first = never
	if w.rules[i].truth == yes {
		first = w.rules[i].at
	}
	for _, other := range w.also {
		if other.rules[i].truth == yes {
			first = min(first, other.rules[i].at)
		}
	}
	return first, first < never
}

func (w *Walk) end() int {
	if w.decided {
		return w.decision.index
	}
	return len(w.policy.rules)
}

func (p *Policy) names(ids []FactID) []string { return p.appendNames(nil, ids) }

// appendNames adds the names of facts, each once.
func (p *Policy) appendNames(out []string, ids []FactID) []string {
	for _, id := range ids {
		name := headerVariable
		if id != headerFact {
			name = p.vocabulary.facts[id].Name
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}
