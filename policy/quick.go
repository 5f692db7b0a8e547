package policy

import (
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Most conditions are and, or, not and if-then-else over facts that are true, that equal a word, that stand in a list, or that are more or
// less than a number. Those are asked here, in a twentieth of the time that CEL's interpreter takes; it has all others, and the last word
// on what both can ask (FuzzQuick compares them).

// quickTruth asks a condition or a part of one. While facts are missing it is unknown, and notes which.
type quickTruth func(q *quick) truth

// quickNumber asks a whole number; while facts are missing it is not known, and notes which.
type quickNumber func(q *quick) (n int64, known bool)

// quick is one evaluation. One session owns it.
type quick struct {
	e     *Evidence
	waits []FactID // what the parts that are unknown wait for, in no order
	odd   bool     // something came that only CEL has an answer to: a value of another type, a sum that is too large
}

// prepared is a condition that is ready to be asked.
type prepared struct {
	program cel.Program
	quick   quickTruth // nil where only the program can tell
}

// truth gives the truth of a condition and, where it is unknown, the facts that it waits for, in the order of the vocabulary; they hold
// until e is asked next.
func (p prepared) truth(e *Evidence) (truth, []FactID, error) {
	q := &e.quick
	if p.quick != nil {
		q.waits, q.odd = q.waits[:0], false
		if t := p.quick(q); !q.odd {
			slices.Sort(q.waits)
			return t, slices.Compact(q.waits), nil
		}
	}
	value, _, err := p.program.Eval(e)
	if err != nil {
		return no, nil, err
	}
	t, pending := toTruth(value)
	if t != unknown {
		return t, nil, nil
	}
	q.waits = q.waits[:0]
	for _, id := range pending.IDs() {
		q.waits = append(q.waits, FactID(id-1))
	}
	return t, q.waits, nil
}

// value gives a fact, nil while it is missing.
func (q *quick) value(id FactID) ref.Val {
	v := q.e.vals[id]
	if v == nil {
		q.waits = append(q.waits, id)
	}
	return v
}

// text gives a fact that is a text.
func (q *quick) text(id FactID) (text string, known bool) {
	v := q.value(id)
	s, isText := v.(types.String)
	q.odd = q.odd || v != nil && !isText
	return string(s), isText
}

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// quick gives the quick form of a checked expression that is true or false, nil where it has none.
func (c *compiler) quick(e ast.Expr) quickTruth {
	if e.Kind() == ast.LiteralKind {
		b, isBool := e.AsLiteral().(types.Bool)
		if !isBool {
			return nil
		}
		t := truthOf(bool(b))
		return func(*quick) truth { return t }
	}
	if id, ok := c.quickFact(e, Bool); ok {
		return func(q *quick) truth {
			v := q.value(id)
			b, isBool := v.(types.Bool)
			q.odd = q.odd || v != nil && !isBool
			if !isBool {
				return unknown
			}
			return truthOf(bool(b))
		}
	}
	if e.Kind() != ast.CallKind || e.AsCall().IsMemberFunction() {
		return nil
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		return c.quickAnd(args)
	case operators.LogicalOr:
		return c.quickOr(args)
	case operators.LogicalNot:
		if of := c.quick(args[0]); of != nil {
			return func(q *quick) truth { return -of(q) }
		}
	case operators.Conditional:
		return c.quickIf(args)
	case operators.In:
		return c.quickIn(args[0], args[1])
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return c.quickCompare(e.AsCall().FunctionName(), args[0], args[1])
	}
	return nil
}

// quickFact gives the fact of a type that an expression is.
func (c *compiler) quickFact(e ast.Expr, t Type) (FactID, bool) {
	id, ok := c.policy.vocabulary.factAt(e)
	return id, ok && id != headerFact && c.policy.vocabulary.facts[id].Type == t
}

func (c *compiler) quickAll(args []ast.Expr) []quickTruth {
	out := make([]quickTruth, len(args))
	for i, arg := range args {
		if out[i] = c.quick(arg); out[i] == nil {
			return nil
		}
	}
	return out
}

func (c *compiler) quickAnd(args []ast.Expr) quickTruth {
	all := c.quickAll(args)
	if all == nil {
		return nil
	}
	return func(q *quick) truth { return q.firstOf(all, no) }
}

func (c *compiler) quickOr(args []ast.Expr) quickTruth {
	all := c.quickAll(args)
	if all == nil {
		return nil
	}
	return func(q *quick) truth { return q.firstOf(all, yes) }
}

// firstOf gives the truth that settles an and (no) or an or (yes) if one of the terms has it, else unknown if one is unknown. What is
// settled waits for nothing.
func (q *quick) firstOf(terms []quickTruth, settles truth) truth {
	before, out := len(q.waits), -settles
	for _, term := range terms {
		switch term(q) {
		case settles:
			q.waits = q.waits[:before]
			return settles
		case unknown:
			out = unknown
		}
	}
	return out
}

func (c *compiler) quickIf(args []ast.Expr) quickTruth {
	all := c.quickAll(args)
	if all == nil {
		return nil
	}
	return func(q *quick) truth {
		switch all[0](q) {
		case yes:
			return all[1](q)
		case no:
			return all[2](q)
		}
		return unknown
	}
}

// quickIn asks a text fact for words, or for a list.
func (c *compiler) quickIn(what, in ast.Expr) quickTruth {
	id, ok := c.quickFact(what, String)
	if !ok {
		return nil
	}
	if name, isList := c.language.listNamed(in); isList {
		view := viewOf(name, c.policy.vocabulary.facts[id].Kind)
		return func(q *quick) truth {
			text, known := q.text(id)
			if !known {
				return unknown
			}
			list := q.e.policy.views[view].(listView)
			return truthOf(list.list.Has(list.kind, text))
		}
	}
	if in.Kind() != ast.ListKind || in.AsList().Size() == 0 || len(in.AsList().OptionalIndices()) > 0 {
		return nil // CEL knows that nothing is in an empty list before it knows the fact
	}
	var words []string
	for _, element := range in.AsList().Elements() {
		word, isText := literalText(element)
		if !isText {
			return nil
		}
		words = append(words, word)
	}
	return oneOf(id, words, yes)
}

// oneOf asks whether a fact is one of some words.
func oneOf(id FactID, words []string, then truth) quickTruth {
	return func(q *quick) truth {
		text, known := q.text(id)
		switch {
		case !known:
			return unknown
		case slices.Contains(words, text):
			return then
		}
		return -then
	}
}

// quickCompare asks a text fact for one word, or compares two whole numbers.
func (c *compiler) quickCompare(operator string, a, b ast.Expr) quickTruth {
	if word, isText := literalText(a); isText && (operator == operators.Equals || operator == operators.NotEquals) {
		return c.quickWord(operator, b, word)
	}
	if word, isText := literalText(b); isText && (operator == operators.Equals || operator == operators.NotEquals) {
		return c.quickWord(operator, a, word)
	}
	left, right := c.quickNumber(a), c.quickNumber(b)
	if left == nil || right == nil {
		return nil
	}
	holds := map[string]func(a, b int64) bool{
		operators.Equals: func(a, b int64) bool { return a == b }, operators.NotEquals: func(a, b int64) bool { return a != b },
		operators.Less: func(a, b int64) bool { return a < b }, operators.LessEquals: func(a, b int64) bool { return a <= b },
		operators.Greater: func(a, b int64) bool { return a > b }, operators.GreaterEquals: func(a, b int64) bool { return a >= b },
	}[operator]
	return func(q *quick) truth {
		x, known := left(q)
		y, also := right(q)
		if !known || !also {
			return unknown
		}
		return truthOf(holds(x, y))
	}
}

func (c *compiler) quickWord(operator string, fact ast.Expr, word string) quickTruth {
	id, ok := c.quickFact(fact, String)
	switch {
	case !ok:
		return nil
	case operator == operators.Equals:
		return oneOf(id, []string{word}, yes)
	}
	return oneOf(id, []string{word}, no)
}

// quickNumber gives the quick form of an expression that is a whole number: a literal, a fact, a sum, or one of two by a condition.
func (c *compiler) quickNumber(e ast.Expr) quickNumber {
	if e.Kind() == ast.LiteralKind {
		n, isInt := e.AsLiteral().(types.Int)
		if !isInt {
			return nil
		}
		return func(*quick) (int64, bool) { return int64(n), true }
	}
	if id, ok := c.quickFact(e, Int); ok {
		return func(q *quick) (int64, bool) {
			v := q.value(id)
			n, isInt := v.(types.Int)
			q.odd = q.odd || v != nil && !isInt
			return int64(n), isInt
		}
	}
	if e.Kind() != ast.CallKind || e.AsCall().IsMemberFunction() {
		return nil
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.Add:
		return quickSum(c.quickNumber(args[0]), c.quickNumber(args[1]))
	case operators.Conditional:
		return quickChoice(c.quick(args[0]), c.quickNumber(args[1]), c.quickNumber(args[2]))
	}
	return nil
}

func quickSum(a, b quickNumber) quickNumber {
	if a == nil || b == nil {
		return nil
	}
	return func(q *quick) (int64, bool) {
		x, known := a(q)
		y, also := b(q)
		sum := x + y
		q.odd = q.odd || (sum > x) != (y > 0) // more than 64 bits: CEL's error
		return sum, known && also
	}
}

func quickChoice(condition quickTruth, a, b quickNumber) quickNumber {
	if condition == nil || a == nil || b == nil {
		return nil
	}
	return func(q *quick) (int64, bool) {
		switch condition(q) {
		case yes:
			return a(q)
		case no:
			return b(q)
		}
		return 0, false
	}
}
