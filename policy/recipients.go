package policy

import "cel.dev/cel-go/common/types/ref"

// maxPutOff is how many recipients of another class a message may have put off; then the rest is taken, so that a sender whose queue
// keeps recipients together still gets through, and the mildest decision holds.
const maxPutOff = 3

// Recipients is the taken recipients of one message, by class, and so the walks that end at DATA. One session owns it.
type Recipients struct {
	message *Walk
	members []member
	putOff  int
}

type member struct {
	class string
	walk  *Walk
	facts []ref.Val // of the recipient
}

// NewRecipients begins a message whose own walk is w.
func NewRecipients(w *Walk) *Recipients { return &Recipients{message: w} }

// Walk gives the walk of the next recipient: one of its own where some rule names the recipient, else the message's.
func (r *Recipients) Walk() *Walk {
	for _, rule := range r.message.policy.rules {
		if rule.scope == OfRecipient {
			return r.message.ForRecipient()
		}
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
			r.members[i].walk, r.members[i].facts = w, e.recipientFacts()
			return true
		}
	}
	if split && !w.policy.mildest && len(r.members) > 0 && r.putOff < maxPutOff {
		r.putOff++
		return false
	}
	r.members = append(r.members, member{class, w, e.recipientFacts()})
	return true
}

// Taken reports whether any recipient was taken.
func (r *Recipients) Taken() bool { return len(r.members) > 0 }

// Step walks on for every class. It gives the names of the facts that some of them waits for.
func (r *Recipients) Step(e *Evidence, at Stage) []string {
	var waits []string
	for _, m := range r.members {
		e.setRecipientFacts(m.facts)
		waits = append(waits, m.walk.Step(e, at)...)
	}
	return waits
}

// Ends gives the walk whose decision holds for all taken recipients: the mildest, and of equals the first. Without a recipient it is the message's.
func (r *Recipients) Ends() *Walk {
	if len(r.members) == 0 {
		return r.message
	}
	best := r.members[0].walk
	for _, m := range r.members[1:] {
		if m.walk.decision.severity() < best.decision.severity() {
			best = m.walk
		}
	}
	return best
}

func (e *Evidence) recipientFacts() []ref.Val {
	var out []ref.Val
	for id, f := range e.policy.vocabulary.facts {
		if f.Scope == OfRecipient {
			out = append(out, e.vals[id])
		}
	}
	return out
}

func (e *Evidence) setRecipientFacts(facts []ref.Val) {
	i := 0
	for id, f := range e.policy.vocabulary.facts {
		if f.Scope == OfRecipient {
			e.vals[id], e.at[id] = facts[i], Rcpt
			i++
		}
	}
}
