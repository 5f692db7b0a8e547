package policy

import (
	"fmt"
	"strings"

	"cel.dev/cel-go/cel"
)

// ConditionSource is a condition that is no rule's, such as the when of a limit.
type ConditionSource struct {
	Path string // where problems are reported: "limit[0].when"
	Name string // what it belongs to, as messages begin: `limit "flood"`
	Expr string
}

// Condition is a compiled condition that is no rule's. It does not change, and any number of sessions use it at once.
type Condition struct {
	prepared
	facts []string
	stage Stage
	scope Scope
}

// Holds reports whether the condition is true. While a fact that it needs is unknown it is not, nor where its evaluation fails.
func (c *Condition) Holds(e *Evidence) bool {
	t, _, err := c.truth(e)
	return err == nil && t == yes
}

// Facts gives the names of the facts that it reads.
func (c *Condition) Facts() []string { return c.facts }

// Stage gives the first stage at which all its facts can be there.
func (c *Condition) Stage() Stage { return c.stage }

// Scope gives the narrowest scope of its facts.
func (c *Condition) Scope() Scope { return c.scope }

// Conditions compiles the conditions of a source over v, nil for one with a mistake: Compile reports it. What they rest on, lists and
// definitions, is taken from the source too.
func Conditions(v *Vocabulary, source Source) []*Condition {
	c := compilerOf(v, source)
	language, err := newLanguage(v, c.lists(), c.pairsOf())
	if err != nil {
		return make([]*Condition, len(source.Conditions))
	}
	c.language = language
	c.definitions()
	c.conditions()
	return c.policy.conditions
}

// Condition gives the compiled condition i of the source.
func (p *Policy) Condition(i int) *Condition { return p.conditions[i] }

func (c *compiler) conditions() {
	for _, source := range c.source.Conditions {
		c.policy.conditions = append(c.policy.conditions, c.bare(source))
	}
}

// bare compiles one condition that is no rule's.
func (c *compiler) bare(source ConditionSource) *Condition {
	prefix := source.Name + ": "
	whole, typ, wrong := c.language.compile(source.Expr)
	switch {
	case strings.TrimSpace(source.Expr) == "":
		whole, wrong = nil, []mistake{{1, 1, "the condition is empty; write one, or remove the key for always"}}
	case whole != nil && !typ.IsExactType(cel.BoolType):
		whole, wrong = nil, []mistake{{1, 1, fmt.Sprintf("the condition is no condition but %s; compare it with something", article(typ.String()))}}
	}
	if whole == nil {
		c.reportAll(source.Path, prefix, wrong)
		return nil
	}
	out := &Condition{}
	for _, id := range c.policy.vocabulary.factsIn(whole.Expr()) {
		out.stage = max(out.stage, c.policy.firstStage(id))
		out.scope = max(out.scope, c.policy.scopeOf(id))
		if id != headerFact {
			out.facts = append(out.facts, c.policy.vocabulary.facts[id].Name)
		}
	}
	c.checked[source.Path] = whole
	ready, err := c.plan(whole)
	if err != nil {
		c.report(source.Path, "%s%v", prefix, err)
		return nil
	}
	out.prepared = ready
	return out
}
