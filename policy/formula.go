package policy

import "cel.dev/cel-go/common/ast"

// The analysis sees a condition as a formula over variables with few values each. What it cannot see into becomes a variable that may
// have any value: so what a search calls impossible is impossible, and what it calls possible is tried on the real condition (witness).

// outcomes is a set of what a boolean term can come to. A term that fails to evaluate counts as false in a rule, but not inside of one.
type outcomes uint8

const (
	canBeTrue outcomes = 1 << iota
	canBeFalse
	canFail
	noMatch = canBeFalse | canFail // what a rule does not match by
)

func outcomeOf(b bool) outcomes {
	if b {
		return canBeTrue
	}
	return canBeFalse
}

// formulaOp is how a formula is made of others.
type formulaOp uint8

const (
	constOp   formulaOp = iota // always is its outcome
	allOp                      // && of its parts
	anyOp                      // || of its parts
	negOp                      // ! of its part
	chooseOp                   // if the first part, then the second, else the third
	sameOp                     // two boolean terms are equal
	testOp                     // what one variable's value makes of a comparison
	compareOp                  // two sums compared
)

// formula is a boolean term.
type formula struct {
	op     formulaOp
	parts  []*formula
	always outcomes // constOp

	variable int // testOp: which
	test     int // and which of its tests

	left, right *sum // compareOp
	compare     string

	text ast.Expr // the term as the condition has it; nil for what the analysis made itself
}

// sum is a number that depends on conditions, such as (a ? 1 : 0) + (b ? 2 : 0).
type sum struct {
	op          sumOp
	number      float64
	condition   *formula
	left, right *sum
	low, high   float64 // whatever the conditions are
}

type sumOp uint8

const (
	numberOp sumOp = iota
	eitherOp       // if condition then left else right
	plusOp
	minusOp
	timesOp
)

// join makes one formula of several.
func join(op formulaOp, parts ...*formula) *formula {
	if len(parts) == 1 {
		return parts[0]
	}
	return &formula{op: op, parts: parts}
}

func not(f *formula) *formula { return &formula{op: negOp, parts: []*formula{f}} }

func constant(o outcomes) *formula { return &formula{always: o} }

// each calls visit for f and every formula below it, those inside of sums too; visit says whether to go below.
func (f *formula) each(visit func(*formula) bool) {
	if !visit(f) {
		return
	}
	for _, part := range f.parts {
		part.each(visit)
	}
	for _, s := range []*sum{f.left, f.right} {
		s.each(visit)
	}
}

func (s *sum) each(visit func(*formula) bool) {
	if s == nil {
		return
	}
	if s.condition != nil {
		s.condition.each(visit)
	}
	s.left.each(visit)
	s.right.each(visit)
}

// state is which value each variable has: an index of its values, or open.
type state []int16

const open = int16(-1)

// look evaluates formulas while some variables are open, and counts its steps.
type look struct {
	space *space
	state state
	steps int
}

// at gives what f can come to. Variables are taken as independent of each other, so that the set may be too large, never too small.
func (l *look) at(f *formula) outcomes {
	l.steps++
	switch f.op {
	case constOp:
		return f.always
	case testOp:
		return l.space.vars[f.variable].outcome(f.test, l.state[f.variable])
	case negOp:
		return negated(l.at(f.parts[0]))
	case allOp:
		return l.conjunction(f, canBeFalse, canBeTrue)
	case anyOp:
		return l.conjunction(f, canBeTrue, canBeFalse)
	case chooseOp:
		condition := l.at(f.parts[0])
		out := condition & canFail
		if condition&canBeTrue != 0 {
			out |= l.at(f.parts[1])
		}
		if condition&canBeFalse != 0 {
			out |= l.at(f.parts[2])
		}
		return out
	case sameOp:
		return same(l.at(f.parts[0]), l.at(f.parts[1]))
	}
	return l.comparison(f)
}

func negated(o outcomes) outcomes {
	out := o & canFail
	if o&canBeTrue != 0 {
		out |= canBeFalse
	}
	if o&canBeFalse != 0 {
		out |= canBeTrue
	}
	return out
}

// conjunction is && with (false, true), || with (true, false): one part that is strong decides, then one that fails, else it is weak.
func (l *look) conjunction(f *formula, strong, weak outcomes) outcomes {
	all := weak
	for _, part := range f.parts {
		o := l.at(part)
		if o == strong {
			return strong
		}
		next := (all | o) & strong
		if all&weak != 0 && o&weak != 0 {
			next |= weak
		}
		if (all|o)&canFail != 0 && all&(weak|canFail) != 0 && o&(weak|canFail) != 0 {
			next |= canFail
		}
		all = next
	}
	return all
}

func same(a, b outcomes) outcomes {
	out := (a | b) & canFail
	if a&b&(canBeTrue|canBeFalse) != 0 {
		out |= canBeTrue
	}
	if a&canBeTrue != 0 && b&canBeFalse != 0 || a&canBeFalse != 0 && b&canBeTrue != 0 {
		out |= canBeFalse
	}
	return out
}

// reach is between which numbers a sum lies, and whether it can fail or can have a value.
type reach struct {
	low, high    float64
	fails, holds bool
}

func (l *look) sum(s *sum) reach {
	l.steps++
	switch s.op {
	case numberOp:
		return reach{s.number, s.number, false, true}
	case eitherOp:
		return l.either(s)
	}
	a, b := l.sum(s.left), l.sum(s.right)
	out := reach{fails: a.fails || b.fails, holds: a.holds && b.holds}
	switch s.op {
	case plusOp:
		out.low, out.high = a.low+b.low, a.high+b.high
	case minusOp:
		out.low, out.high = a.low-b.high, a.high-b.low
	case timesOp:
		corners := []float64{a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high}
		out.low, out.high = corners[0], corners[0]
		for _, c := range corners[1:] {
			out.low, out.high = min(out.low, c), max(out.high, c)
		}
	}
	return out
}

func (l *look) either(s *sum) reach {
	condition := l.at(s.condition)
	var out reach
	if condition&canBeTrue != 0 {
		out = l.sum(s.left)
	}
	if condition&canBeFalse != 0 {
		other := l.sum(s.right)
		switch {
		case !out.holds:
			out.low, out.high = other.low, other.high
		case other.holds:
			out.low, out.high = min(out.low, other.low), max(out.high, other.high)
		}
		out.fails, out.holds = out.fails || other.fails, out.holds || other.holds
	}
	out.fails = out.fails || condition&canFail != 0
	return out
}

// comparison gives what two sums compared can come to.
func (l *look) comparison(f *formula) outcomes {
	a, b := l.sum(f.left), l.sum(f.right)
	var out outcomes
	if a.fails || b.fails {
		out = canFail
	}
	if !a.holds || !b.holds {
		return out
	}
	surely, possibly := compared(f.compare, a, b)
	if possibly {
		out |= canBeTrue
	}
	if !surely {
		out |= canBeFalse
	}
	return out
}

// compared reports whether a comparison holds for all, and for some, numbers in reach.
func compared(operator string, a, b reach) (surely, possibly bool) {
	switch operator {
	case "<":
		return a.high < b.low, a.low < b.high
	case "<=":
		return a.high <= b.low, a.low <= b.high
	case ">":
		return a.low > b.high, a.high > b.low
	case ">=":
		return a.low >= b.high, a.high >= b.low
	}
	point := a.low == a.high && b.low == b.high && a.low == b.low
	apart := a.high < b.low || b.high < a.low
	if operator == "!=" {
		return apart, !point
	}
	return point, !apart
}
