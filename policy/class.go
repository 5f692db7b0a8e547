package policy

import (
	"fmt"
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
	prepared
	facts []FactID // the recipient's facts in it
}

// classTerms finds the smallest boolean terms of a final rule that make recipients differ, also inside of sums. How many recipients
// there were (rcpt.count) and limits make no class.
func (c *compiler) classTerms(path string, r *rule, whole *ast.AST) {
	var terms []ast.Expr
	for _, a := range r.atoms {
		c.smallestTerms(whole, a.expr, &terms)
	}
	for _, term := range terms {
		part := ast.NewCheckedAST(ast.NewAST(term, whole.SourceInfo()), whole.TypeMap(), whole.ReferenceMap())
		ready, err := c.plan(part)
		if err != nil {
			c.report(path, "rule %q: %v", r.name, err)
			return
		}
		r.classBy = append(r.classBy, classTerm{ready, c.classFacts(term)})
	}
}

// smallestTerms collects the boolean terms within e; it reports whether they hold all that e says of the recipient. Inside of exists
// and its like it does not look: what stands there reads an element of the list.
func (c *compiler) smallestTerms(whole *ast.AST, e ast.Expr, terms *[]ast.Expr) bool {
	if c.classFacts(e) == nil {
		return true
	}
	var parts []ast.Expr
	switch e.Kind() {
	case ast.CallKind:
		parts = e.AsCall().Args()
		if e.AsCall().IsMemberFunction() {
			parts = append([]ast.Expr{e.AsCall().Target()}, parts...)
		}
	case ast.ListKind:
		parts = e.AsList().Elements()
	}
	before, all := len(*terms), parts != nil
	for _, part := range parts {
		all = all && c.smallestTerms(whole, part, terms)
	}
	if all || !whole.GetType(e.ID()).IsExactType(cel.BoolType) {
		return all
	}
	*terms = append((*terms)[:before], e)
	return true
}

// classFacts gives the facts of an expression that make recipients differ.
func (c *compiler) classFacts(e ast.Expr) []FactID {
	var out []FactID
	for _, id := range c.policy.vocabulary.factsIn(e) {
		if c.policy.scopeOf(id) == OfRecipient && !isCounter(c.policy.vocabulary.facts[id].Name) {
			out = append(out, id)
		}
	}
	return out
}

func isCounter(name string) bool {
	return name == "rcpt.count" || strings.HasPrefix(name, "over.") || strings.HasPrefix(name, "greylist.")
}

// class gives the class of the recipient whose walk this is, after its step at RCPT. Two recipients of one class meet the same
// decision at the end of DATA: it names each final rule that can still be reached, with the truth of its terms.
func (w *Walk) class(e *Evidence) string {
	if w.decided {
		return w.decision.Rule
	}
	var b strings.Builder
	for i, r := range w.policy.rules[:w.policy.classUpTo] {
		if !w.final(i) {
			continue
		}
		if w.rules[i].truth == unknown {
			w.evaluate(i, e, Rcpt) // also below the rule at which the walk stopped
		}
		if w.rules[i].truth == no {
			continue
		}
		for n, term := range r.classBy {
			fmt.Fprintf(&b, "\n%d.%d %s", i, n, term.value(e))
		}
		if w.rules[i].truth == yes {
			break // nothing below can be reached
		}
	}
	return b.String()
}

// value gives what the term says of the recipient: its truth, or the recipient's own values where the truth is not there yet.
func (t classTerm) value(e *Evidence) string {
	truth, _, _ := t.truth(e)
	if truth != unknown {
		return fmt.Sprint(truth)
	}
	var b strings.Builder
	for _, id := range t.facts {
		fmt.Fprintf(&b, " %q", e.Text(e.policy.vocabulary.facts[id].Name))
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
