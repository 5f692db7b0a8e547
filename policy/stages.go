package policy

import (
	"fmt"
	"slices"
)

// never is the stage of what cannot happen.
const never = stages

// span is when a rule, taken by itself, can be known to be true, to be false, and by when it is known for sure.
type span struct {
	trueFrom, falseFrom, settled Stage
}

// maxSearch bounds the steps of the search that tries every combination of truths; a condition that needs more is searched with its
// terms taken as independent of each other.
const maxSearch = 1 << 18

// spanOf searches the truths that the atoms of a condition can have at each stage. Atoms are taken as independent of each other, so a
// stage may be earlier than what really happens, never later. A rule that names the recipient is asked from RCPT on only.
func (p *Policy) spanOf(r *rule) span {
	s := span{trueFrom: never, falseFrom: never}
	first := Connect
	if r.scope == OfRecipient {
		first = Rcpt
	}
	s.settled = first
	for _, id := range r.facts {
		s.settled = max(s.settled, p.firstStage(id))
	}
	for at := first; at <= s.settled; at++ {
		canBeTrue, canBeFalse := p.possible(r, at)
		if canBeTrue {
			s.trueFrom = min(s.trueFrom, at)
		}
		if canBeFalse {
			s.falseFrom = min(s.falseFrom, at)
		}
	}
	return s
}

// firstStage is the first stage at which a condition can read a fact: one of the recipient not before RCPT.
func (p *Policy) firstStage(id FactID) Stage {
	if p.scopeOf(id) == OfRecipient {
		return max(Rcpt, p.stageOf(id))
	}
	return p.stageOf(id)
}

// possible reports whether the condition can be true, and false, when the facts of a stage are there and later ones are not.
func (p *Policy) possible(r *rule, at Stage) (canBeTrue, canBeFalse bool) {
	var free []int
	sets := make([]truths, len(r.atoms))
	known := early{p.vocabulary, func(id FactID) bool { return p.firstStage(id) <= at }}
	for i, a := range r.atoms {
		sets[i] = setOf(unknown)
		if value, _ := known.of(a.expr); value {
			free, sets[i] = append(free, i), setOf(no, yes)
		}
	}
	if len(free) > 16 || r.tree.size()<<len(free) > maxSearch {
		all := r.tree.evalSets(sets)
		return all.has(yes), all.has(no) || r.fails(known)
	}
	truths := make([]truth, len(r.atoms))
	for combination := range 1 << len(free) {
		for bit, i := range free {
			truths[i] = no
			if combination>>bit&1 == 1 {
				truths[i] = yes
			}
		}
		switch r.tree.eval(truths) {
		case yes:
			canBeTrue = true
		case no:
			canBeFalse = true
		}
	}
	return canBeTrue, canBeFalse || r.fails(known)
}

// fails reports whether the condition can fail, and so count as false, whatever its atoms say.
func (r *rule) fails(known early) bool {
	return slices.ContainsFunc(r.atoms, func(a atom) bool {
		_, failure := known.of(a.expr)
		return failure
	})
}

// RuleReport says in the words of `gatepost check` when a rule takes part in a session.
type RuleReport struct {
	Name    string
	Action  Action
	Code    int    // the reply code; 0 without a reply
	Observe bool   // observed only
	Share   Share  // enforced for this share of senders and observed for the rest; 0 for all
	Scope   Scope  // the narrowest of its facts
	Decides Stage  // the earliest stage at which it can decide, with the rules above it
	Settled Stage  // by then it is true or false
	Speaks  Stage  // the earliest stage at which its decision is spoken
	Alone   Stage  // the earliest stage at which it would be spoken if no rule stood above it
	Waits   string // the rule above that makes it wait, "" for none
	Dead    string // why it can never decide, "" when it can
	Risks   []string
}

// Report gives the order of events: for each rule from where it can decide and what makes it wait.
func (p *Policy) Report() []RuleReport {
	out := make([]RuleReport, 0, len(p.rules))
	from, because, blocked := Connect, "", ""
	for _, r := range p.rules {
		report := RuleReport{
			Name: r.name, Action: r.action, Code: r.reply.Code, Observe: r.observe, Share: r.share, Scope: r.scope, Settled: r.span.settled, Risks: r.risks,
		}
		report.Decides = r.span.trueFrom
		switch {
		case blocked != "":
			report.Dead = fmt.Sprintf("rule %q above it is always true", blocked)
		case r.span.trueFrom == never:
			report.Dead = "its condition is never true"
		case from > r.span.trueFrom:
			report.Decides, report.Waits = from, because
		}
		report.Speaks, report.Alone = p.speaksAt(r, report.Decides), p.speaksAt(r, r.span.trueFrom)
		out = append(out, report)
		if !r.final() {
			continue
		}
		switch {
		case blocked != "":
		case r.span.falseFrom == never:
			blocked = r.name
		case r.span.falseFrom > from:
			from, because = r.span.falseFrom, r.name
		}
	}
	return out
}

// speaksAt gives the stage at which a decision of rule r, taken at a stage, is spoken: a refusal at RCPT or later unless the rule
// or the server speaks at once; everything else at the end of the message.
func (p *Policy) speaksAt(r *rule, decided Stage) Stage {
	switch {
	case r.action != Answer:
		return Data
	case r.atOnce || !p.delayReject:
		return decided
	}
	return max(Rcpt, decided)
}

// lateness refuses a placeholder whose fact comes later than the rule may be spoken.
func (c *compiler) lateness() {
	at := map[string]int{}
	for i, r := range c.source.Rules {
		at[r.Name] = i
	}
	for i, report := range c.policy.Report() {
		r := c.policy.rules[i]
		if r.greylist && report.Decides > Rcpt && report.Dead == "" {
			c.report(fmt.Sprintf("rule[%d].when", at[r.name]),
				"rule %q: a sender is greylisted at RCPT, and rule %q above it is decided at %s only; put this rule above that one", r.name, report.Waits, report.Decides)
		}
		for _, part := range r.reply.text.parts {
			id, isFact := c.policy.vocabulary.byName[part.fact]
			if !isFact || c.policy.firstStage(id) <= report.Speaks {
				continue
			}
			c.report(fmt.Sprintf("rule[%d].reply", at[r.name]),
				"rule %q: placeholder {%s} is not known before %s, but the rule may speak at %s; leave it out or ask for it in the condition",
				r.name, part.fact, c.policy.firstStage(id), report.Speaks)
		}
	}
}

// Delivers reports whether the MTA must wait for our answer at a stage: whether some rule may be decided and spoken there.
func (p *Policy) Delivers(at Stage) bool {
	if at == Data {
		return true
	}
	if p.observe {
		return false
	}
	if at == Rcpt && p.classes && !p.mildest {
		return true
	}
	for _, report := range p.Report() {
		if report.Action == Answer && !report.Observe && report.Dead == "" && report.Speaks <= at {
			return true
		}
	}
	return false
}

// Observes reports whether the policy decides and records, but refuses nothing.
func (p *Policy) Observes() bool { return p.observe }

// Headers gives the names of all fields that rules may add; incoming copies of them are removed.
func (p *Policy) Headers() []string { return p.adds }

// Wants reports whether some rule names one of the facts, in its condition or in what it writes.
func (p *Policy) Wants(facts []Fact) bool {
	for _, f := range facts {
		for _, r := range p.rules {
			if slices.Contains(r.facts, p.vocabulary.byName[f.Name]) || r.writes(f.Name) {
				return true
			}
		}
		for _, c := range p.conditions {
			if slices.Contains(c.facts, f.Name) {
				return true
			}
		}
	}
	return false
}

// writes reports whether the rule's reply or fields have a placeholder for a fact.
func (r *rule) writes(fact string) bool {
	texts := []template{r.reply.text}
	for _, h := range r.header {
		texts = append(texts, h.value)
	}
	return slices.ContainsFunc(texts, func(t template) bool {
		return slices.ContainsFunc(t.parts, func(p templatePart) bool { return p.fact == fact })
	})
}
