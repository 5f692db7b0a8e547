package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// rules looks at each rule, from the top.
func (a *analysis) rules(s *examined) {
	for i := range s.rules {
		if a.dead(s, i) {
			continue
		}
		a.always(s, i)
		a.fails(s, i)
		a.parts(s, i)
		r := s.policy.rules[i]
		switch {
		case r.action == Answer && !r.greylist:
			a.code(s, i)
			a.rejectOnly(s, i)
		case r.action == Accept && r.final():
			a.exemption(s, i)
		case r.action == Discard && r.final():
			a.code(s, i)
		}
	}
}

// dead finds a rule that can decide nothing: its condition is never true, or rules above it match first whatever it matches.
func (a *analysis) dead(s *examined, i int) bool {
	given, st := a.ask(matches(s.rules[i]))
	if given == impossible {
		text := "its condition is never true"
		if parts := a.contradiction(s, i); parts != "" {
			text = parts
		}
		a.find(s, i, nil, Finding{Level: Warning, Kind: "dead", Problem: Problem{Text: "it can never match: " + text}})
		return true
	}
	if given == undecided {
		return false
	}
	by := a.above(s, i)
	if len(by) == 0 || a.first(s, i, by) != impossible {
		return false
	}
	names := a.shadows(s, i, by)
	text := fmt.Sprintf("it never decides: whatever it matches, rule %s above it decides first", names[0])
	if len(names) > 1 {
		text = fmt.Sprintf("it never decides: whatever it matches, one of the rules %s above it decides first", listed(names))
	}
	f := Finding{Level: Warning, Kind: "dead", Problem: Problem{Text: text}}
	if w := a.build(st); w != nil {
		holds, _ := w.Truth(s.policy, s.policy.rules[i].name)
		if d, decided := w.Decide(s.policy); holds && decided && d.Rule != s.policy.rules[i].name {
			f.Witness = w
		}
	}
	a.find(s, i, nil, f)
	return true
}

// first asks whether rule i can match where none of some others do.
func (a *analysis) first(s *examined, i int, others []int) answer {
	question := []constraint{matches(s.rules[i])}
	for _, j := range others {
		question = append(question, misses(s.rules[j]))
	}
	given, _ := a.ask(question...)
	return given
}

// shadows gives the names of the fewest of the rules above rule i that together match first, as far as leaving out one after the other
// finds them.
func (a *analysis) shadows(s *examined, i int, kept []int) []string {
	for n := 0; n < len(kept); {
		if rest := slices.Delete(slices.Clone(kept), n, n+1); a.first(s, i, rest) == impossible {
			kept = rest
		} else {
			n++
		}
	}
	var names []string
	for _, j := range slices.Sorted(slices.Values(kept)) {
		names = append(names, fmt.Sprintf("%q", s.policy.rules[j].name))
	}
	return names
}

func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// contradiction says which parts of a condition exclude each other.
func (a *analysis) contradiction(s *examined, i int) string {
	var parts []*formula
	conjuncts(s.rules[i], &parts)
	for n := len(parts) - 1; n >= 0 && len(parts) > 1; n-- {
		var rest []constraint
		for m, part := range parts {
			if m != n {
				rest = append(rest, matches(part))
			}
		}
		if given, _ := a.ask(rest...); given == impossible {
			parts = slices.Delete(parts, n, n+1)
		}
	}
	var texts []string
	for _, part := range parts {
		text := s.textOf(i, part.text)
		if text == "" {
			return ""
		}
		if part.op == anyOp || part.op == chooseOp {
			text = "(" + text + ")"
		}
		texts = append(texts, text)
	}
	if len(texts) == 1 {
		return texts[0] + " is never true" + a.because(parts[0])
	}
	return strings.Join(texts, " and ") + " exclude each other"
}

// because says what values the one fact of a comparison can have.
func (a *analysis) because(f *formula) string {
	if f.op != testOp || a.vars[f.variable].fact == nil {
		return ""
	}
	fact := a.vars[f.variable].fact
	switch {
	case fact.Words != nil:
		return fmt.Sprintf("; %s is one of %s", fact.Name, strings.Join(quoted(fact.Words), ", "))
	case fact.Range != (Range{}):
		return fmt.Sprintf("; %s is %s", fact.Name, fact.Range)
	}
	return ""
}

// conjuncts gives the parts of a condition that must all be true.
func conjuncts(f *formula, out *[]*formula) {
	if f.op != allOp {
		*out = append(*out, f)
		return
	}
	for _, part := range f.parts {
		conjuncts(part, out)
	}
}

// always finds a condition, or a part of one, that is true or false whatever the message.
func (a *analysis) always(s *examined, i int) {
	root := s.rules[i]
	root.each(func(f *formula) bool {
		if f.text == nil || f.op == constOp {
			return f.op != constOp
		}
		if f.writtenDown() {
			return true
		}
		word := ""
		if f.cheaplyOpen() {
			return true
		}
		if given, _ := a.ask(misses(f)); given == impossible {
			word = "true"
		} else if given, _ := a.ask(matches(f)); given == impossible {
			word = "false"
		}
		if word != "" {
			a.sayAlways(s, i, f, word)
		}
		return word == ""
	})
}

func (a *analysis) sayAlways(s *examined, i int, f *formula, word string) {
	text := s.textOf(i, f.text)
	if f == s.rules[i] {
		a.find(s, i, nil, Finding{Level: Warning, Kind: "always", Problem: Problem{
			Text: "its condition is always " + word + a.because(f) + "; write when = 'true' if that is meant"}})
		return
	}
	if text == "" {
		text = "a part of its condition"
	}
	a.find(s, i, f.text, Finding{Level: Warning, Kind: "part", Problem: Problem{Text: fmt.Sprintf("%s is always %s%s", text, word, a.because(f))}})
}

// writtenDown reports whether true or false stands in the term: then somebody meant it so.
func (f *formula) writtenDown() bool {
	found := false
	f.each(func(f *formula) bool {
		found = found || f.op == constOp && f.always != canFail
		return !found
	})
	return found
}

// cheaplyOpen recognizes a boolean fact or dark term by itself, which can be both.
func (f *formula) cheaplyOpen() bool { return f.op == testOp && f.text != nil && isPlainName(f.text) }

func isPlainName(e ast.Expr) bool { return e.Kind() == ast.SelectKind || e.Kind() == ast.IdentKind }

// fails finds a condition whose evaluation fails for some message: it then counts as false.
func (a *analysis) fails(s *examined, i int) {
	r := s.policy.rules[i]
	if len(r.risks) == 0 {
		return
	}
	given, st := a.ask(constraint{f: s.rules[i], allow: canFail})
	if given != possible {
		return
	}
	w := a.build(st)
	if _, fails := w.Truth(s.policy, r.name); !fails {
		return
	}
	what := fmt.Sprintf("it counts as false where %s fails", strings.Join(r.risks, " or "))
	a.find(s, i, nil, Finding{Level: Warning, Kind: "fails", Witness: w, Problem: Problem{Text: what + "; ask first whether it can be done"}})
}
