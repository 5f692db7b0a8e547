package policy

import (
	"cmp"
	"math"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// variable is something that has a value of its own in the analysis: a fact, or a term that the analysis does not look into. Values
// that no test tells apart are one value.
type variable struct {
	key    string
	expr   ast.Expr // nil for what is no term, such as that something fails
	typ    Type
	length bool  // it is the length of something
	fact   *Fact // nil for a term
	facts  []FactID
	usual  ref.Val // in an ordinary message; nil where only evaluation can tell
	tests  []comparison
	values []value // once the space is closed

	owner   *Policy                     // in whose condition the term stands
	program func() (cel.Program, error) // evaluates it

	crowd bool // it has too many values to be searched: every test may come to anything
}

// comparison is one test of a variable.
type comparison struct {
	operator string // as CEL names it, "in", or "" for the boolean variable itself
	with     []ref.Val
}

// value is one of the values that tests tell apart, with what each test comes to.
type value struct {
	val   ref.Val
	holds []bool // for each test
}

// space is all variables of the policies under analysis.
type space struct {
	vocabulary *Vocabulary
	vars       []*variable
	byKey      map[string]int
}

func newSpace(v *Vocabulary) *space { return &space{vocabulary: v, byKey: map[string]int{}} }

// variable gives the number of the variable of a key; made says that it is new.
func (s *space) variable(key string, make func() *variable) int {
	if i, ok := s.byKey[key]; ok {
		return i
	}
	v := make()
	v.key = key
	s.byKey[key] = len(s.vars)
	s.vars = append(s.vars, v)
	return len(s.vars) - 1
}

// test gives the formula of a comparison of variable i.
func (s *space) test(i int, operator string, with []ref.Val, text ast.Expr) *formula {
	v := s.vars[i]
	at := slices.IndexFunc(v.tests, func(c comparison) bool {
		return c.operator == operator && slices.EqualFunc(c.with, with, func(a, b ref.Val) bool { return a.Equal(b) == types.True })
	})
	if at < 0 {
		at = len(v.tests)
		v.tests = append(v.tests, comparison{operator, with})
	}
	return &formula{op: testOp, variable: i, test: at, text: text}
}

// close finds the values of every variable, once all conditions are read.
func (s *space) close() {
	for _, v := range s.vars {
		v.close()
	}
}

// open gives a state in which nothing is known.
func (s *space) open() state {
	out := make(state, len(s.vars))
	for i := range out {
		out[i] = open
	}
	return out
}

func (v *variable) close() {
	candidates := v.candidates()
	v.crowd = len(v.tests) > maxTests
	if v.crowd {
		candidates = candidates[:1]
	}
	seen := map[string]bool{}
	for _, candidate := range candidates {
		one := value{val: candidate, holds: make([]bool, len(v.tests))}
		signature := make([]byte, len(v.tests))
		for i, c := range v.tests {
			one.holds[i] = c.holds(candidate)
			if one.holds[i] {
				signature[i] = 1
			}
		}
		if !seen[string(signature)] {
			seen[string(signature)] = true
			v.values = append(v.values, one)
		}
	}
}

// maxTests bounds the tests of one variable that is searched: what more of them tell apart are too many values.
const maxTests = 300

// candidates gives values of which at least one stands for each that tests can tell apart, the usual one first.
func (v *variable) candidates() []ref.Val {
	var out []ref.Val
	if v.usual != nil {
		out = append(out, v.usual)
	}
	switch {
	case v.typ == Bool:
		out = append(out, types.False, types.True)
	case v.fact != nil && v.fact.Words != nil:
		for _, w := range v.fact.Words {
			out = append(out, types.String(w))
		}
		out = append(out, v.fact.Trouble.val)
	case v.typ == String:
		out = append(out, v.texts()...)
	default:
		out = append(out, v.numbers()...)
	}
	return out
}

// texts gives every text that a test names, and one that none does.
func (v *variable) texts() []ref.Val {
	named := map[string]bool{}
	var out []ref.Val
	for _, c := range v.tests {
		for _, w := range c.with {
			if text, ok := w.(types.String); ok && !named[string(text)] {
				named[string(text)] = true
				out = append(out, text)
			}
		}
	}
	other := "other"
	for named[other] {
		other += "x"
	}
	return append(out, types.String(other))
}

// numbers gives every number that a test names, its neighbours and those between.
func (v *variable) numbers() []ref.Val {
	var named []float64
	for _, c := range v.tests {
		for _, w := range c.with {
			named = append(named, asFloat(w))
		}
	}
	slices.Sort(named)
	all := []float64{0}
	for i, n := range named {
		all = append(all, n-1, n, n+1, math.Nextafter(n, math.Inf(-1)), math.Nextafter(n, math.Inf(1)))
		if i > 0 {
			all = append(all, named[i-1]/2+n/2)
		}
	}
	low, high := math.Inf(-1), math.Inf(1)
	if v.fact != nil && v.fact.Range != (Range{}) {
		low, high = v.fact.Range.Least, v.fact.Range.Most
	} else if v.length {
		low = 0
	}
	var out []ref.Val
	for _, n := range all {
		if n < low || n > high {
			continue
		}
		if v.typ == Double {
			out = append(out, types.Double(n))
		} else {
			out = append(out, types.Int(math.Floor(n)))
		}
	}
	return out
}

func asFloat(v ref.Val) float64 {
	switch v := v.(type) {
	case types.Int:
		return float64(v)
	case types.Double:
		return float64(v)
	}
	return 0
}

// outcome gives what a test comes to at a value, or at any while the variable is open.
func (v *variable) outcome(test int, at int16) outcomes {
	if v.crowd {
		return canBeTrue | canBeFalse
	}
	if at != open {
		return outcomeOf(v.values[at].holds[test])
	}
	var out outcomes
	for _, value := range v.values {
		out |= outcomeOf(value.holds[test])
		if out == canBeTrue|canBeFalse {
			break
		}
	}
	return out
}

// holds tells what the comparison comes to for a value.
func (c comparison) holds(v ref.Val) bool {
	switch c.operator {
	case "":
		return v == types.True
	case operators.In:
		return slices.ContainsFunc(c.with, func(w ref.Val) bool { return w.Equal(v) == types.True })
	case operators.Equals:
		return v.Equal(c.with[0]) == types.True
	case operators.NotEquals:
		return v.Equal(c.with[0]) != types.True
	}
	order := cmp.Compare(asFloat(v), asFloat(c.with[0]))
	switch c.operator {
	case operators.Less:
		return order < 0
	case operators.LessEquals:
		return order <= 0
	case operators.Greater:
		return order > 0
	}
	return order >= 0
}
