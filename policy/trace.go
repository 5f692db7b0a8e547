package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/parser"
)

// This file tells what became of each rule in a walk, for people: it evaluates every term of every condition by itself, which no session needs.

// State is what became of a rule in a walk.
type State string

// The states.
const (
	Matched    State = "true"
	NotMatched State = "false"
	Waited     State = "waited"      // for facts that the session did not have yet
	NotReached State = "not reached" // a rule above decided
	Failed     State = "failed"      // its condition could not be evaluated, which counts as false
)

// RuleTrace is what became of one rule.
type RuleTrace struct {
	Name    string
	What    string // the reply code or the action that it is about
	Observe bool
	Final   bool
	State   State
	At      Stage    // where it became true
	Waits   []string // the facts that it waited for
	Reads   []FactTrace
	Unless  []Change // each by itself makes a condition that is true false, and one that is false true
}

// FactTrace is a fact that a condition reads.
type FactTrace struct {
	Name  string
	Known bool
	Value string
	At    Stage // of publication
}

// Change is a term of a condition that had to be otherwise.
type Change struct {
	Term  string   // as it would have had to be: "client.dnsbl_score < 4"
	Facts []string // that it reads
	List  string   // where the term asks whether a fact is in a list: that list
	In    bool     // and whether it would have had to be in it
	Entry string   // of the list, by which the fact was in it
}

// Trace gives what became of the rules, in their order, with the values that e has now.
func (w *Walk) Trace(e *Evidence) []RuleTrace {
	out := make([]RuleTrace, len(w.policy.rules))
	for i, r := range w.policy.rules {
		t := RuleTrace{Name: r.name, What: Decision{Action: r.action, Reply: r.reply}.What(), Observe: w.observes(i), Final: w.final(i)}
		if r.greylist {
			t.What = greylistWord
		}
		t.Reads = e.reads(r)
		at, matched := w.matched(i)
		switch {
		case i > w.end(), i == w.end() && !w.decided:
			t.State = NotReached
		case matched:
			t.State, t.At = Matched, at
		case slices.ContainsFunc(e.errors, func(s string) bool { return strings.HasPrefix(s, `rule "`+r.name+`": `) }):
			t.State = Failed
		case w.rules[i].truth == no:
			t.State = NotMatched
		default:
			t.State, t.Waits = Waited, w.policy.names(w.waits(i))
			if i > w.stopped {
				t.State = NotReached
			}
		}
		if t.State != NotReached && t.State != Failed {
			t.Unless = w.policy.changes(r, e)
		}
		out[i] = t
	}
	return out
}

func (e *Evidence) reads(r *rule) []FactTrace {
	var out []FactTrace
	for _, id := range r.facts {
		if id == headerFact {
			out = append(out, FactTrace{Name: "header", Known: e.fields != nil, At: Data})
			continue
		}
		f := FactTrace{Name: e.policy.vocabulary.facts[id].Name, Known: e.vals[id] != nil, At: e.at[id]}
		if f.Known {
			f.Value = textOf(e.vals[id])
		}
		out = append(out, f)
	}
	return out
}

// changes gives the terms of a condition each of which by itself would have turned it around.
func (p *Policy) changes(r *rule, e *Evidence) []Change {
	truths := make([]truth, len(r.atoms))
	for i, a := range r.atoms {
		truths[i] = p.termTruth(r, a, e)
	}
	is := r.tree.eval(truths)
	if is == unknown {
		return nil
	}
	var out []Change
	for i, a := range r.atoms {
		if truths[i] == unknown {
			continue
		}
		truths[i] = -truths[i]
		if r.tree.eval(truths) == -is {
			c := p.change(r, a, truths[i])
			if c.List != "" && !c.In && len(a.facts) == 1 && a.facts[0] != headerFact {
				f := p.vocabulary.facts[a.facts[0]]
				c.Entry = p.Entry(Lookup{List: c.List, Kind: f.Kind}, textOf(e.vals[a.facts[0]]))
			}
			out = append(out, c)
		}
		truths[i] = -truths[i]
	}
	return out
}

func (p *Policy) termTruth(r *rule, a atom, e *Evidence) truth {
	part := ast.NewCheckedAST(ast.NewAST(a.expr, r.whole.SourceInfo()), r.whole.TypeMap(), r.whole.ReferenceMap())
	program, err := p.env.PlanProgram(part)
	if err != nil {
		return unknown
	}
	value, _, err := program.Eval(e)
	if err != nil {
		return no
	}
	t, _ := toTruth(value)
	return t
}

// opposite gives the comparison that holds where another does not.
var opposite = map[string]string{
	operators.Equals: "!=", operators.NotEquals: "==", operators.Less: ">=", operators.GreaterEquals: "<", operators.Greater: "<=", operators.LessEquals: ">",
}

// change says in words of the language how a term has to be.
func (p *Policy) change(r *rule, a atom, wanted truth) Change {
	c := Change{Facts: p.names(a.facts)}
	text := func(e ast.Expr) string {
		out, err := parser.Unparse(e, r.whole.SourceInfo(), wide)
		if err != nil {
			return "a term over " + strings.Join(c.Facts, " and ")
		}
		return headerLook.ReplaceAllString(out, "header($1)")
	}
	c.Term = text(a.expr)
	if wanted == yes {
		c.List, c.In = p.listOf(a.expr), true
		return c
	}
	if a.expr.Kind() == ast.CallKind {
		call := a.expr.AsCall()
		if op, ok := opposite[call.FunctionName()]; ok {
			c.Term = text(call.Args()[0]) + " " + op + " " + text(call.Args()[1])
			return c
		}
		if c.List = p.listOf(a.expr); c.List != "" {
			c.Term = text(call.Args()[0]) + " not in " + text(call.Args()[1])
			return c
		}
	}
	c.Term = "not " + c.Term
	return c
}

// listOf gives the list that a term asks, "" for none.
func (p *Policy) listOf(e ast.Expr) string {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In {
		return ""
	}
	name, _, _ := dottedName(e.AsCall().Args()[1])
	list, _ := strings.CutPrefix(name, "list.")
	return list
}

// Facts gives every fact that is known, in the order of the vocabulary.
func (e *Evidence) Facts() []FactTrace {
	var out []FactTrace
	for id, f := range e.policy.vocabulary.facts {
		if e.vals[id] != nil {
			out = append(out, FactTrace{Name: f.Name, Known: true, Value: textOf(e.vals[id]), At: e.at[id]})
		}
	}
	return out
}
