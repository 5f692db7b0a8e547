package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// Lists and tables of pairs may stand in files that change. So that a decision can be taken again later, it can be asked what in them it
// rested on.

// Lookup is one thing that conditions look up: a fact in a list, or two facts in a table of pairs.
type Lookup struct {
	List string // or
	Pair string // the table's name
	Kind Kind   // which entries of the list are asked
	Fact string // what is looked up; "" in a pair for what is no plain fact
	With string // the second of a pair
}

// Lookups gives what the conditions of the policy look up, each once.
func (p *Policy) Lookups() []Lookup { return p.lookups }

func (p *Policy) looksUp(l Lookup) {
	if !slices.Contains(p.lookups, l) {
		p.lookups = append(p.lookups, l)
	}
}

// MayFind reports whether a lookup can find anything: an empty list or table never does.
func (p *Policy) MayFind(l Lookup) bool {
	if l.Pair != "" {
		return len(p.tables[l.Pair]) > 0
	}
	view, ok := p.views[viewOf(l.List, l.Kind)].(listView)
	return ok && view.list.mayHold(l.Kind)
}

// Entry gives the entry of the list by which it holds a text, "" where it does not. A user stands without its "user:".
func (p *Policy) Entry(l Lookup, text string) string {
	view, ok := p.views[viewOf(l.List, l.Kind)].(listView)
	if !ok {
		return ""
	}
	return view.list.entry(l.Kind, strings.ToLower(text))
}

// HasPair reports whether the table of a lookup has two texts.
func (p *Policy) HasPair(l Lookup, a, b string) bool { return p.tables[l.Pair].has(a, b) }

// Pairs gives what a table of pairs holds, at most a number of them, in no order.
func (p *Policy) Pairs(table string, most int) [][2]string {
	var out [][2]string
	for pair := range p.tables[table] {
		if len(out) == most {
			break
		}
		out = append(out, pair)
	}
	return out
}

// pairLookup notes a call of pair().
func (c *compiler) pairLookup(call ast.CallExpr) {
	table, ok := literalText(call.Args()[2])
	if !ok {
		return // refused
	}
	l := Lookup{Pair: strings.Clone(table)}
	first, isFact := c.language.factOf(call.Args()[0])
	second, areFacts := c.language.factOf(call.Args()[1])
	if isFact && areFacts {
		l.Fact, l.With = first.Name, second.Name
	}
	c.policy.looksUp(l)
}

// Compares reports whether a rule looks at the text of a fact in any other way than in lists, or by comparing it with texts that are harmless.
func (p *Policy) Compares(fact string, harmless func(text string) bool) bool {
	id, ok := p.vocabulary.byName[fact]
	if !ok {
		return false
	}
	return slices.ContainsFunc(p.rules, func(r *rule) bool {
		found := false
		walkExpr(r.whole.Expr(), nil, func(e ast.Expr, _ []string) bool {
			if e.Kind() == ast.CallKind && p.isHarmless(e.AsCall(), id, harmless) {
				return false
			}
			at, isFact := p.vocabulary.factAt(e)
			found = found || isFact && at == id
			return !isFact
		})
		return found
	})
}

// isHarmless reports whether a call only looks a fact up in a list, or compares it with harmless texts.
func (p *Policy) isHarmless(call ast.CallExpr, id FactID, harmless func(text string) bool) bool {
	switch call.FunctionName() {
	case operators.In, operators.Equals, operators.NotEquals:
	default:
		return false
	}
	at, isFact := p.vocabulary.factAt(call.Args()[0])
	other := call.Args()[1]
	if !isFact || at != id {
		at, isFact = p.vocabulary.factAt(other)
		other = call.Args()[0]
	}
	if !isFact || at != id {
		return false
	}
	texts := []ast.Expr{other}
	if other.Kind() == ast.ListKind {
		texts = other.AsList().Elements()
	}
	if name, _, ok := dottedName(other); ok && strings.HasPrefix(name, "list.") {
		return true
	}
	return !slices.ContainsFunc(texts, func(e ast.Expr) bool {
		text, ok := literalText(e)
		return !ok || !harmless(text)
	})
}
