package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
)

// A milter has one answer for all taken recipients at the end of DATA. So recipients that the rules may treat differently must not
// share a transaction. Their class says whether they may: the decision so far, and the truth of every boolean term that names a
// recipient in final rules that can still be reached.

// classTerm is one boolean term that mentions the recipient. Where it also needs facts of DATA its truth is not there yet at RCPT;
// then the recipient's own values stand for it.
type classTerm struct {
	program cel.Program
	facts   []factID // the recipient's facts in it
}

// classTerms finds the terms of a final rule that make recipients differ. How many there were (rcpt.count) and limits make no class.
func (c *compiler) classTerms(path string, r *rule, whole *ast.AST) {
	for _, a := range r.atoms {
		var facts []factID
		for _, id := range a.facts {
			if c.policy.scopeOf(id) == OfRecipient && !isCounter(c.policy.vocabulary.facts[id].Name) {
				facts = append(facts, id)
			}
		}
		if facts == nil {
			continue
		}
		part := ast.NewCheckedAST(ast.NewAST(a.expr, whole.SourceInfo()), whole.TypeMap(), whole.ReferenceMap())
		program, err := c.plan(part)
		if err != nil {
			c.report(path, "rule %q: %v", r.name, err)
			return
		}
		r.classBy = append(r.classBy, classTerm{program, facts})
	}
}

func isCounter(name string) bool { return name == "rcpt.count" || strings.HasPrefix(name, "over.") }

// class gives the class of the recipient whose walk this is, after its step at RCPT. Two recipients of one class meet the same
// rules at the end of DATA.
func (w *Walk) class(e *Evidence) string {
	var b strings.Builder
	end := len(w.policy.rules)
	if w.decided {
		end = w.decision.index
		b.WriteString(w.decision.Rule)
	}
	for i, r := range w.policy.rules[:end] {
		if w.truths[i] != unknown {
			continue
		}
		for _, term := range r.classBy {
			b.WriteByte('\n')
			value, _, _ := term.program.Eval(e)
			switch t, waits := toTruth(value); {
			case waits != nil:
				for _, id := range term.facts {
					b.WriteString(e.Text(e.policy.vocabulary.facts[id].Name) + "\t")
				}
			case t == yes:
				b.WriteByte('t')
			default:
				b.WriteByte('f')
			}
		}
	}
	return b.String()
}

// headersOf gives the names of all fields that rules may add, each once, in the order of the rules.
func (p *Policy) headersOf() []string {
	var out []string
	for _, r := range p.rules {
		for _, h := range r.header {
			if !slices.ContainsFunc(out, func(known string) bool { return strings.EqualFold(known, h.name) }) {
				out = append(out, h.name)
			}
		}
	}
	return out
}
