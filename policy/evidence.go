package policy

import (
	"fmt"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Evidence is what is known of one session so far: a value for each published fact, with the stage at which it was published.
// It only grows, but for Forget at the end of a recipient, message or HELO. One session owns it; it is not safe for concurrent use.
type Evidence struct {
	policy *Policy
	vals   []ref.Val
	at     []Stage
	next   FactID              // behind the last that was published by name
	header map[string][]string // values of the fields that the policy names, by lower-case name; nil before they are known
	fields ref.Val             // header as conditions see it; nil while none looks
	errors []string            // conditions that failed to evaluate, each rule once
	stack  string              // of the last that panicked
	given  map[string]Value    // facts that have a value whatever is published; nil for none

	withheld func(name string, v Value) bool // says what is not made known; nil for nothing
	quick    quick                           // what evaluations write into
}

// NewEvidence gives the empty evidence of a new session under p.
func (p *Policy) NewEvidence() *Evidence {
	if e, left := p.released.evidences.Get().(*Evidence); left {
		e.policy = p
		return e
	}
	n := len(p.vocabulary.facts)
	e := &Evidence{policy: p, vals: make([]ref.Val, n), at: make([]Stage, n)}
	e.quick.e = e
	return e
}

// Release ends evidence that nobody reads any more: a session to come uses its memory.
func (e *Evidence) Release() {
	clear(e.vals)
	pool := &e.policy.released.evidences
	*e = Evidence{vals: e.vals, at: e.at, quick: quick{e: e, waits: e.quick.waits[:0]}}
	pool.Put(e)
}

// Give makes facts have a value whatever is published, for a policy's tests. They become known when they are published.
func (e *Evidence) Give(values map[string]Value) { e.given = values }

// Withhold keeps facts unknown that have such a value when they are published.
func (e *Evidence) Withhold(such func(name string, v Value) bool) { e.withheld = such }

// Publish makes a fact known. It panics on a name outside the vocabulary: that is a mistake in a check, found by its tests.
func (e *Evidence) Publish(name string, v Value, at Stage) {
	id, ok := e.next, true // facts are published by and large in the order of the vocabulary
	if facts := e.policy.vocabulary.facts; int(id) >= len(facts) || facts[id].Name != name {
		id, ok = e.policy.vocabulary.byName[name]
	}
	if !ok {
		panic("policy: fact " + name + " is not in the vocabulary")
	}
	e.next = id + 1
	e.PublishID(id, v, at)
}

// PublishID is Publish by the fact's id.
func (e *Evidence) PublishID(id FactID, v Value, at Stage) {
	if e.given != nil || e.withheld != nil {
		name := e.policy.vocabulary.facts[id].Name
		if given, ok := e.given[name]; ok {
			v = given
		}
		if e.withheld != nil && e.withheld(name, v) {
			return
		}
	}
	e.vals[id], e.at[id] = v.val, at
}

// PublishHeader makes the fields that the policy names by header("...") known; values gives those of one field name.
func (e *Evidence) PublishHeader(values func(name string) []string) {
	e.header, e.fields = make(map[string][]string, len(e.policy.headerNames)), nil
	for _, name := range e.policy.headerNames {
		e.header[name] = values(name)
	}
}

// Known reports whether a fact is published.
func (e *Evidence) Known(name string) bool {
	id, ok := e.policy.vocabulary.byName[name]
	return ok && e.KnownID(id)
}

// KnownID is Known by the fact's id.
func (e *Evidence) KnownID(id FactID) bool { return e.vals[id] != nil }

// Text gives a fact's value as people read it: words and numbers plain, lists joined by commas, "" while it is unknown.
func (e *Evidence) Text(name string) string {
	id, ok := e.policy.vocabulary.byName[name]
	if !ok {
		return ""
	}
	return e.TextID(id)
}

// TextID is Text by the fact's id.
func (e *Evidence) TextID(id FactID) string {
	if e.vals[id] == nil {
		return ""
	}
	return textOf(e.vals[id])
}

func textOf(v ref.Val) string {
	switch v := v.(type) {
	case types.String:
		return string(v)
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case types.Bool:
		return strconv.FormatBool(bool(v))
	case types.Double:
		return strconv.FormatFloat(float64(v), 'g', -1, 64)
	}
	if list, ok := v.Value().([]string); ok {
		return strings.Join(list, ", ")
	}
	return ""
}

// PublishedAt gives the stage at which a fact was published, and whether it is.
func (e *Evidence) PublishedAt(name string) (Stage, bool) {
	id, ok := e.policy.vocabulary.byName[name]
	if !ok || e.vals[id] == nil {
		return 0, false
	}
	return e.at[id], true
}

// Forget drops the facts of a scope and of every narrower one.
func (e *Evidence) Forget(scope Scope) {
	for _, id := range e.policy.vocabulary.within[scope] {
		e.vals[id] = nil
	}
	if scope <= OfMessage {
		e.header, e.fields = nil, nil
	}
}

// ForgetHelo drops what was known from HELO on: a second HELO, after STARTTLS, starts anew (RFC 3207 4.2).
func (e *Evidence) ForgetHelo() {
	for _, id := range e.policy.vocabulary.sinceHelo {
		e.vals[id] = nil
	}
	e.header, e.fields = nil, nil
}

// Errors gives the conditions that could not be evaluated so far ("rule \"x\": division by zero"), each rule once, as printable ASCII.
func (e *Evidence) Errors() []string { return e.errors }

// Stack gives where the last condition panicked, for the log; "" when none did.
func (e *Evidence) Stack() string { return e.stack }

// failed keeps the first failure of a rule. What is behind it may hold a sender's text, so that it is cleaned and cut.
func (e *Evidence) failed(rule string, err error) {
	prefix := fmt.Sprintf("rule %q: ", rule)
	for _, known := range e.errors {
		if strings.HasPrefix(known, prefix) {
			return
		}
	}
	e.errors = append(e.errors, prefix+cut(clean(err.Error()), maxValue))
}

// headerVariable is the name under which header("X") reads the kept fields; @ keeps it out of reach of conditions.
const headerVariable = "@header"

var unknownHeader = types.NewUnknown(int64(headerFact)+1, types.NewAttributeTrail(headerVariable))

var _ cel.Activation = (*Evidence)(nil)

// ResolveName implements the activation that conditions are evaluated over. An unpublished fact is an unknown that names itself.
func (e *Evidence) ResolveName(name string) (any, bool) {
	if id, ok := e.policy.vocabulary.byName[name]; ok {
		if v := e.vals[id]; v != nil {
			return v, true
		}
		return e.policy.vocabulary.unknown[id], true
	}
	if name == headerVariable {
		switch {
		case e.header == nil:
			return unknownHeader, true
		case e.fields == nil:
			e.fields = types.DefaultTypeAdapter.NativeToValue(e.header)
		}
		return e.fields, true
	}
	if view, ok := e.policy.views[name]; ok {
		return view, true
	}
	return nil, false
}

// Parent implements the activation.
func (e *Evidence) Parent() cel.Activation { return nil }
