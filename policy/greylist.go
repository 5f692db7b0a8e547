package policy

import "slices"

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
	return slices.ContainsFunc(w.greylisting(), func(waits []string) bool { return len(waits) == 0 })
}

// GreylistWaits gives the facts for which greylisting rules that can still count wait, without greylist.wait itself.
func (w *Walk) GreylistWaits() []string { return slices.Concat(w.greylisting()...) }

// greylisting gives for each greylisting rule that is undecided and can still count what else it waits for.
func (w *Walk) greylisting() [][]string {
	var out [][]string
	for i, r := range w.policy.rules[:w.end()] {
		if w.rules[i].truth != unknown {
			continue
		}
		if r.greylist && len(w.waits(i)) > 0 {
			waits := w.policy.names(w.waits(i))
			out = append(out, slices.DeleteFunc(waits, func(name string) bool { return name == greylistFact }))
		}
		if w.final(i) {
			break // nothing below can count yet
		}
	}
	return out
}
