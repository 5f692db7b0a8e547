package policy

import "iter"

// A rule with action = "greylist" is a refusal whose condition ends in "&& greylist.wait": policy stays pure, and what it means to wait is
// the filter's. That fact is asked for only where the rest of the condition is true, for asking writes down that the sender came.

const (
	greylistWord = "greylist"
	greylistFact = "greylist.wait"
	greylistText = "451 4.7.1 Greylisted; try again in {greylist.retry}"
)

// greylist makes r a greylisting rule and gives its reply.
func (c *compiler) greylist(r *rule, source RuleSource, say func(key, format string, args ...any)) string {
	r.greylist = true
	if _, known := c.policy.vocabulary.Fact(greylistFact); !known {
		say(".action", "nothing here can greylist")
	}
	if source.Reply != "" {
		say(".reply", "action \"greylist\" has a reply of its own; remove one of the two")
	}
	return greylistText
}

// Greylists reports whether a rule of this walk that can still count waits for greylist.wait and for nothing else.
func (w *Walk) Greylists() bool {
	for i := range w.greylisting() {
		if len(w.waits(i)) == 1 && w.waits(i)[0] == w.policy.greylistWait() {
			return true
		}
	}
	return false
}

// GreylistWaits gives the facts for which greylisting rules that can still count wait, without greylist.wait itself. The
// names hold until the walk's next step.
func (w *Walk) GreylistWaits() []string {
	out := w.awaited[:0]
	for i := range w.greylisting() {
		for _, id := range w.waits(i) {
			if id != w.policy.greylistWait() {
				out = append(out, id)
			}
		}
	}
	w.awaited, w.names = out, w.policy.appendNames(w.names[:0], out)
	return w.names
}

func (p *Policy) greylistWait() FactID { return p.vocabulary.byName[greylistFact] }

// greylisting gives the greylisting rules that are undecided and can still count.
func (w *Walk) greylisting() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, r := range w.policy.rules[:w.end()] {
			if w.rules[i].truth != unknown {
				continue
			}
			if r.greylist && len(w.waits(i)) > 0 && !yield(i) {
				return
			}
			if w.final(i) {
				return // nothing below can count yet
			}
		}
	}
}
