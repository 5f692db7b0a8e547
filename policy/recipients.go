package policy

import (
	"slices"

	"cel.dev/cel-go/common/types/ref"
)

// maxPutOff is how many recipients of another class a message may have put off; then the rest is taken, so that a sender whose queue
// keeps recipients together still gets through, and the mildest decision holds. An accept is never shared so: it is its recipient's alone,
// or whoever names postmaster first would get everybody else's mail in.
const maxPutOff = 3

// Recipients is the taken recipients of one message, by class, and so the walks that end at DATA. One session owns it.
type Recipients struct {
	message *Walk
	members []member
	putOff  int
	awaited []string  // by the last step
	facts   []ref.Val // memory for those of the first recipient
}

// maxAlso bounds the recipients of one class whose own tags and observed rules are followed beside those of the last one.
const maxAlso = 100

// member is a class: the walk of its last recipient decides (rcpt.count is the highest there).
type member struct {
	class string
	walk  *Walk
	facts []ref.Val // of the recipient
	also  []member  // earlier recipients, where tags or observed rules name the recipient
}

// NewRecipients begins a message whose own walk is w.
func NewRecipients(w *Walk) *Recipients {
	r, left := w.policy.released.recipients.Get().(*Recipients)
	if !left {
		r = new(Recipients)
	}
	r.message = w
	return r
}

// Release ends a message: nobody reads its walks any more, its own included.
func (r *Recipients) Release() {
	for _, m := range r.members {
		m.release(r.message)
	}
	if len(r.members) > 0 {
		r.facts = r.members[0].facts
		clear(r.facts)
	}
	pool := &r.message.policy.released.recipients
	r.message.Release()
	clear(r.members)
	clear(r.awaited)
	*r = Recipients{members: r.members[:0], awaited: r.awaited[:0], facts: r.facts[:0]}
	pool.Put(r)
}

func (m *member) release(message *Walk) {
	for i := range m.also {
		m.also[i].release(message)
	}
	if m.walk != message {
		m.walk.Release()
	}
}

// Walk gives the walk of the next recipient: one of its own where some rule names the recipient, else the message's.
func (r *Recipients) Walk() *Walk {
	if r.message.policy.perRcpt {
		return r.message.ForRecipient()
	}
	return r.message
}

// Take takes a recipient whose walk ended its step at RCPT without a refusal that was spoken. With split it gives false for one of another class
// than the first taken one: it must come back in a transaction of its own.
func (r *Recipients) Take(w *Walk, e *Evidence, split bool) bool {
	class := ""
	if w != r.message {
		class = w.class(e)
	}
	for i := range r.members {
		if r.members[i].class == class {
			r.members[i].follow(w, e)
			return true
		}
	}
	if split && !w.policy.mildest && len(r.members) > 0 && (r.putOff < maxPutOff || r.frees(w)) {
		r.putOff++
		return false
	}
	r.members = append(r.members, member{class: class, walk: w, facts: e.recipientFacts(r.facts)})
	r.facts = nil
	return true
}

// frees reports whether an accept would hold for others too if the recipient of w were taken.
func (r *Recipients) frees(w *Walk) bool {
	return slices.ContainsFunc(r.members, func(m member) bool { return m.walk.accepts() != w.accepts() })
}

func (w *Walk) accepts() bool { return w.decided && w.decision.Action == Accept }

// follow makes w the walk that decides for the class. The one before it is kept where its recipient can have tags of its own.
func (m *member) follow(w *Walk, e *Evidence) {
	if m.walk != w && w.policy.tagsRcpt && len(m.also) < maxAlso {
		m.also = append(m.also, member{walk: m.walk, facts: m.facts})
		m.facts = nil
	}
	m.walk, m.facts = w, e.recipientFacts(m.facts[:0])
}

// Taken reports whether any recipient was taken.
func (r *Recipients) Taken() bool { return len(r.members) > 0 }

// Step walks on for every class. It gives the names of the facts that some of them waits for. The recipient's facts in e are afterwards
// those of the one whose walk Ends gives. The names hold until the next step.
func (r *Recipients) Step(e *Evidence, at Stage) []string {
	waits := r.awaited[:0]
	for i := range r.members {
		m := &r.members[i]
		m.walk.also = nil
		for _, other := range m.also {
			waits = append(waits, other.step(e, at)...)
			m.walk.also = append(m.walk.also, other.walk)
		}
		waits = append(waits, m.step(e, at)...)
	}
	if best := r.mildest(); best != nil {
		e.setRecipientFacts(best.facts)
	}
	if r.awaited = waits; len(waits) == 0 {
		return nil
	}
	return waits
}

func (m *member) step(e *Evidence, at Stage) []string {
	e.setRecipientFacts(m.facts)
	return m.walk.Step(e, at)
}

// Ends gives the walk whose decision holds for all taken recipients: the mildest, and of equals the first. Without a recipient it is the message's.
func (r *Recipients) Ends() *Walk {
	if best := r.mildest(); best != nil {
		return best.walk
	}
	return r.message
}

// Harsher gives what the rules say of the classes for which the decision of Ends is too mild, each decision once.
func (r *Recipients) Harsher() []Decision {
	var out []Decision
	held := r.Ends().decision
	for _, m := range r.members {
		d := m.walk.decision
		known := slices.ContainsFunc(out, func(o Decision) bool { return o.index == d.index })
		if d.severity() > held.severity() && !known {
			out = append(out, d)
		}
	}
	return out
}

func (r *Recipients) mildest() *member {
	var best *member
	for i := range r.members {
		if m := &r.members[i]; best == nil || m.walk.decision.severity() < best.walk.decision.severity() {
			best = m
		}
	}
	return best
}

// recipientFacts adds the facts of the recipient of now, where a rule reads any.
func (e *Evidence) recipientFacts(out []ref.Val) []ref.Val {
	if !e.policy.perRcpt {
		return nil
	}
	for _, id := range e.policy.vocabulary.within[OfRecipient] {
		out = append(out, e.vals[id])
	}
	return out
}

func (e *Evidence) setRecipientFacts(facts []ref.Val) {
	if !e.policy.perRcpt {
		return
	}
	for i, id := range e.policy.vocabulary.within[OfRecipient] {
		e.vals[id], e.at[id] = facts[i], Rcpt
	}
}
