package check

import (
	"context"
	"slices"

	"gatepost.example/policy"
)

// Choice is a fact that is one of few words. Its values are made once, for all sessions.
type Choice struct {
	fact   string
	words  []string
	values []Named // by word
}

// NewChoice makes the values of a fact out of all words that it can be.
func NewChoice(fact string, words ...string) *Choice {
	c := &Choice{fact: fact, words: words}
	for _, word := range words {
		c.values = append(c.values, Named{fact, policy.StringOf(word)})
	}
	return c
}

// Words gives all the words, as a fact lists them.
func (c *Choice) Words() []string { return c.words }

// Of gives the fact with one of its words.
func (c *Choice) Of(word string) Named { return c.Only(word)[0] }

// Only gives the fact with one of its words as all the facts of an outcome, which never change.
func (c *Choice) Only(word string) []Named {
	i := slices.Index(c.words, word)
	if i < 0 {
		return []Named{{c.fact, policy.StringOf(word)}}
	}
	return c.values[i : i+1 : i+1]
}

// Truth is a fact that is true or false. Its values are made once, for all sessions.
type Truth struct{ yes, no []Named }

// NewTruth makes the values of a fact.
func NewTruth(fact string) Truth {
	return Truth{[]Named{{fact, policy.BoolOf(true)}}, []Named{{fact, policy.BoolOf(false)}}}
}

// Only gives the fact as all the facts of an outcome, which never change.
func (t Truth) Only(is bool) []Named {
	if is {
		return t.yes
	}
	return t.no
}

// Always gives the work of a check that has nothing to ask: the same outcome each time, without findings, as those are marked by whose they are.
func Always(facts []Named) func(context.Context) Outcome {
	return func(context.Context) Outcome { return Outcome{Facts: facts} }
}

// Alone gives the findings of an outcome that has one, mostly with its properties in the same piece of memory.
func Alone(f Finding, props ...Property) []Finding {
	memory := &struct {
		findings [1]Finding
		props    [2]Property
	}{}
	f.Props = slices.Clip(append(memory.props[:0], props...))
	memory.findings[0] = f
	return memory.findings[:]
}
