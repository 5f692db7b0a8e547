package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types/ref"
)

// decides gives the constraints that rule i decides, each with some variables seen otherwise.
func (a *analysis) decides(s *examined, i int, force map[int]int16) []constraint {
	out := []constraint{matches(s.rules[i])}
	for _, j := range a.above(s, i) {
		out = append(out, misses(s.rules[j]))
	}
	for n := range out {
		out[n].force = maps.Clone(force)
	}
	return out
}

// shown asks whether rule i can decide under some forced values, and would not match if others were forced. It gives the message.
func (a *analysis) shown(s *examined, i int, force, otherwise map[int]int16) *Witness {
	question := append(a.decides(s, i, force), constraint{f: s.rules[i], allow: noMatch, force: maps.Clone(otherwise)})
	given, st := a.ask(question...)
	if given != possible {
		return nil
	}
	for v, at := range force {
		st[v] = at
	}
	w := a.build(st)
	name := s.policy.rules[i].name
	if d, decided := w.Decide(s.policy); s.policy.rules[i].binds() && (!decided || d.Rule != name) {
		return nil
	}
	if holds, _ := w.Truth(s.policy, name); !holds {
		return nil
	}
	return w
}

// factVariable gives the variable of a fact, where a condition reads it.
func (a *analysis) factVariable(name string) (int, bool) {
	i, ok := a.byKey[name]
	return i, ok && a.vars[i].fact != nil
}

// code finds a refusal for good that rests on trouble or on a limit, which both pass, and one for now that rests on what will not.
func (a *analysis) code(s *examined, i int) {
	r := s.policy.rules[i]
	what, instead := "it drops mail", "answer 451 there"
	if r.action == Answer {
		if r.reply.Temporary() {
			a.inVain(s, i)
			return
		}
		what = fmt.Sprintf("it refuses for good (%d)", r.reply.Code)
	}
	a.newcomer(s, i, what)
	var troubles, limits []string
	var trouble, limit *Witness
	for _, v := range slices.Sorted(maps.Keys(s.reads[i])) {
		if w := a.hangsOnTrouble(s, i, v); w != nil {
			if troubles = append(troubles, a.vars[v].fact.Name); trouble == nil {
				trouble = w
			}
		}
		if w := a.hangsOnLimit(s, i, v); w != nil {
			if limits = append(limits, a.vars[v].fact.Name); limit == nil {
				limit = w
			}
		}
	}
	if trouble != nil {
		a.find(s, i, nil, Finding{Level: Warning, Kind: "code", Witness: trouble, Problem: Problem{Text: fmt.Sprintf(
			"%s where %s is %q, which may pass; %s, or leave it out of the condition", what, strings.Join(troubles, " or "), temporary, instead)}})
	}
	if limit != nil {
		a.find(s, i, nil, Finding{Level: Warning, Kind: "code", Witness: limit, Problem: Problem{Text: fmt.Sprintf(
			"%s for %s, and a limit is not over for good: mail that comes meanwhile is lost; answer 450 or 421", what, strings.Join(limits, " or "))}})
	}
}

// hangsOnLimit gives a message that rule i decides because a limit is over.
func (a *analysis) hangsOnLimit(s *examined, i, v int) *Witness {
	fact := a.vars[v].fact
	if fact == nil || !strings.HasPrefix(fact.Name, "over.") {
		return nil
	}
	return a.shown(s, i, map[int]int16{v: a.vars[v].index(BoolOf(true).val)}, map[int]int16{v: a.vars[v].index(BoolOf(false).val)})
}

// hangsOnTrouble gives a message that rule i decides because the fact of a variable is temperror.
func (a *analysis) hangsOnTrouble(s *examined, i, v int) *Witness {
	fact := a.vars[v].fact
	if fact == nil || !slices.Contains(passing(*fact), temporary) {
		return nil
	}
	trouble := a.vars[v].index(StringOf(temporary).val)
	for at := range a.vars[v].values {
		if int16(at) == trouble {
			continue
		}
		if w := a.shown(s, i, map[int]int16{v: trouble}, map[int]int16{v: int16(at)}); w != nil {
			return w
		}
	}
	return nil
}

// inVain finds a 4xx that every retry meets again: all facts of the condition last.
func (a *analysis) inVain(s *examined, i int) {
	r := s.policy.rules[i]
	verdict := ""
	for _, id := range r.facts {
		if id == headerFact {
			continue
		}
		f := a.vocabulary.facts[id]
		if !slices.Contains(lasting, f.Name) {
			return
		}
		if slices.Contains(f.Words, temporary) && verdict == "" {
			verdict = f.Name
		}
	}
	if verdict == "" || usesLists(s, i) {
		return
	}
	question := a.decides(s, i, nil)
	for _, v := range slices.Sorted(maps.Keys(s.reads[i])) {
		if fact := a.vars[v].fact; fact != nil && slices.Contains(fact.Words, temporary) {
			for _, word := range passing(*fact) {
				question = append(question, constraint{f: a.isWord(v, word), allow: canBeFalse})
			}
		}
	}
	given, st := a.ask(question...)
	if given != possible {
		return
	}
	w := a.build(st)
	if d, _ := w.Decide(s.policy); d.Rule != r.name && r.binds() {
		return
	}
	a.find(s, i, nil, Finding{Level: Warning, Kind: "code", Witness: w, Problem: Problem{Text: fmt.Sprintf(
		"it puts off (%d) what no retry can change: the sender tries for days and then gives up; answer 550, or ask for what may pass", r.reply.Code)}})
}

// isWord gives the formula that a variable is a word.
func (a *analysis) isWord(v int, word string) *formula {
	return a.test(v, operators.Equals, []ref.Val{StringOf(word).val}, nil)
}

func usesLists(s *examined, i int) bool {
	for _, v := range s.policy.rules[i].atoms {
		if _, _, ok := membership(s.policy.vocabulary, v.expr); ok {
			return true
		}
	}
	return false
}

// exemption finds a rule that takes mail for what the sender can write alone.
func (a *analysis) exemption(s *examined, i int) {
	var groups []string
	for _, id := range s.policy.rules[i].facts {
		group := headerClaim
		if id != headerFact {
			group = claims[a.vocabulary.facts[id].Name]
		}
		if group != "" && !slices.Contains(groups, group) {
			groups = append(groups, group)
		}
	}
	for _, group := range groups {
		force, otherwise := map[int]int16{}, map[int]int16{}
		for _, v := range slices.Sorted(maps.Keys(s.reads[i])) {
			switch at, what := a.strangersView(v, group); what {
			case known:
				force[v], otherwise[v] = at, at
			case claim:
				otherwise[v] = at
			}
		}
		a.builder.base = unbacked[group]
		w := a.shown(s, i, force, otherwise)
		a.builder.base = nil
		if w == nil {
			continue
		}
		a.find(s, i, nil, Finding{Level: Warning, Kind: "claim", Witness: w, Problem: Problem{Text: fmt.Sprintf(
			"it takes mail for the sake of %s, which anybody can write; %s", claimed[group][0], claimed[group][1])}})
		return
	}
	a.anybody(s, i)
}

// view is what a stranger has to do with a variable.
type view uint8

const (
	free  view = iota // it may be anything
	known             // it is what it is of a stranger
	claim             // the stranger writes it
)

// strangersView gives what a stranger who claims a group has to do with a variable, and the value: what is known of him, or what stands
// there without the claim.
func (a *analysis) strangersView(i int, group string) (int16, view) {
	v := a.vars[i]
	what := free
	for _, id := range v.facts {
		name := headerVariable
		if id != headerFact {
			name = a.vocabulary.facts[id].Name
		}
		_, proves := stranger[name]
		_, backs := backing[group][name]
		switch {
		case proves || backs:
			what = known
		case what == free && (id == headerFact && group == headerClaim || claims[name] == group):
			what = claim
		}
	}
	if what == known && v.fact != nil {
		if value := stranger[v.fact.Name]; value != nil {
			return v.index(value.val), known
		}
		if word := backing[group][v.fact.Name]; word != "" {
			return v.other(word), known
		}
	}
	return v.unlike(), what
}

// other gives a value that is not the word, best one that means no.
func (v *variable) other(word string) int16 {
	for _, no := range []string{"fail", "none"} {
		if slices.Contains(v.fact.Words, no) && no != word {
			return v.index(StringOf(no).val)
		}
	}
	return 0
}

// unlike gives the value for which the fewest tests say "it is": none of those that conditions name.
func (v *variable) unlike() int16 {
	best, least := 0, len(v.tests)+1
	for i, value := range v.values {
		count := 0
		for test, c := range v.tests {
			if value.holds[test] != (c.operator == operators.NotEquals) {
				count++
			}
		}
		if count < least {
			best, least = i, count
		}
	}
	return int16(best)
}

// rejectOnly finds a refusal that rests on p=reject alone: it refuses what mailing lists and forwarders make of good mail.
func (a *analysis) rejectOnly(s *examined, i int) {
	v, ok := a.factVariable("dmarc.result")
	if !ok || s.policy.rules[i].reply.Temporary() {
		return
	}
	force := map[int]int16{}
	for name, value := range listMail {
		if at, ok := a.factVariable(name); ok {
			force[at] = a.vars[at].index(StringOf(value).val)
		}
	}
	otherwise := maps.Clone(force)
	otherwise[v] = a.vars[v].index(StringOf("pass").val)
	if w := a.shown(s, i, force, otherwise); w != nil {
		a.find(s, i, nil, Finding{Level: Remark, Kind: "dmarc", Witness: w, Problem: Problem{Text: strings.Join([]string{
			"it refuses for p=reject alone (RFC 9989 7.4): mailing lists and forwarders break signatures too",
			`ask for dkim.author == "none" as well, and send the rest to Junk`}, "; ")}})
	}
}
