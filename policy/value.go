package policy

import "cel.dev/cel-go/common/types"

// Native gives the value as Go has it: string, bool, int64, float64 or []string, which must not be changed; nil for the zero Value.
func (v Value) Native() any {
	switch val := v.val.(type) {
	case nil:
		return nil
	case types.String:
		return string(val)
	case types.Bool:
		return bool(val)
	case types.Int:
		return int64(val)
	case types.Double:
		return float64(val)
	}
	list, _ := v.val.Value().([]string)
	return list
}

// IsText gives a value that is a text, and whether it is one. It allocates nothing.
func (v Value) IsText() (text string, is bool) {
	s, is := v.val.(types.String)
	return string(s), is
}

// Text gives the value as people read it: words and numbers plain, lists joined by commas.
func (v Value) Text() string {
	if v.val == nil {
		return ""
	}
	return textOf(v.val)
}

// Value gives the value of a fact, the zero Value while it is unknown.
func (e *Evidence) Value(name string) Value {
	id, ok := e.policy.vocabulary.byName[name]
	if !ok {
		return Value{}
	}
	return Value{e.vals[id]}
}

// Header gives the fields that the policy names and the message has, by lower-case name: what header("X") reads. Nil before they are known. It
// must not be changed.
func (e *Evidence) Header() map[string][]string { return e.header }

// HeaderNames gives the lower-case names of the fields that conditions read by header("X").
func (p *Policy) HeaderNames() []string { return p.headerNames }
