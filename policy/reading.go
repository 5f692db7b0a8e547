package policy

import (
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/debug"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// reading makes formulas of the checked conditions of one policy.
type reading struct {
	*space
	compiler *compiler
	whole    *ast.AST
	size     int // formulas made of this condition so far
}

// maxFormulas bounds the formulas of one condition: those beyond are not looked into.
const maxFormulas = 5000

func (r *reading) typeOf(e ast.Expr) *cel.Type { return r.whole.GetType(e.ID()) }

func (r *reading) isBool(e ast.Expr) bool { return r.typeOf(e).IsExactType(cel.BoolType) }

// formula reads a boolean term.
func (r *reading) formula(e ast.Expr) *formula {
	f := r.read(e)
	if f.text == nil {
		f.text = e
	}
	r.size++
	return f
}

func (r *reading) read(e ast.Expr) *formula {
	switch {
	case r.size > maxFormulas:
		return r.dark(e)
	case e.Kind() == ast.LiteralKind:
		return constant(outcomeOf(e.AsLiteral() == types.True))
	case e.Kind() == ast.CallKind:
		return r.call(e)
	}
	if i, ok := r.subject(e); ok {
		return r.test(i, "", nil, e)
	}
	return r.dark(e)
}

func (r *reading) call(e ast.Expr) *formula {
	call := e.AsCall()
	args := call.Args()
	switch name := call.FunctionName(); name {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional:
		f := &formula{op: map[string]formulaOp{
			operators.LogicalAnd: allOp, operators.LogicalOr: anyOp, operators.LogicalNot: negOp, operators.Conditional: chooseOp,
		}[name]}
		for _, arg := range args {
			f.parts = append(f.parts, r.formula(arg))
		}
		return f
	case operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		return r.compared(e, name, args[0], args[1])
	case operators.In:
		return r.among(e, args[0], args[1])
	}
	return r.dark(e)
}

// mirrored gives the operator when its sides change places.
var mirrored = map[string]string{
	operators.Equals: operators.Equals, operators.NotEquals: operators.NotEquals, operators.Less: operators.Greater,
	operators.LessEquals: operators.GreaterEquals, operators.Greater: operators.Less, operators.GreaterEquals: operators.LessEquals,
}

func isConditional(e ast.Expr) bool {
	return e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional
}

// compared reads LEFT OPERATOR RIGHT.
func (r *reading) compared(e ast.Expr, operator string, left, right ast.Expr) *formula {
	equality := operator == operators.Equals || operator == operators.NotEquals
	switch {
	case r.size > maxFormulas:
		return r.dark(e)
	case r.isBool(left) && equality:
		f := &formula{op: sameOp, parts: []*formula{r.formula(left), r.formula(right)}}
		if operator == operators.NotEquals {
			return not(f)
		}
		return f
	case r.isBool(left):
		return r.dark(e)
	}
	a, b, sums := r.sums(left, right)
	if sums {
		return &formula{op: compareOp, left: a, right: b, compare: strings.Trim(operator, "_")}
	}
	if left.Kind() == ast.LiteralKind {
		left, right, operator = right, left, mirrored[operator]
	}
	if isConditional(left) {
		return r.spread(e, operator, left, right)
	}
	if isConditional(right) {
		return r.spread(e, mirrored[operator], right, left)
	}
	return r.plain(e, operator, left, right)
}

// spread reads (C ? A : B) OPERATOR RIGHT as C ? A OPERATOR RIGHT : B OPERATOR RIGHT.
func (r *reading) spread(e ast.Expr, operator string, conditional, right ast.Expr) *formula {
	args := conditional.AsCall().Args()
	r.size++
	return &formula{op: chooseOp, parts: []*formula{
		r.formula(args[0]), r.compared(e, operator, args[1], right), r.compared(e, operator, args[2], right),
	}}
}

// plain reads a comparison of something with a literal, or keeps it dark.
func (r *reading) plain(e ast.Expr, operator string, left, right ast.Expr) *formula {
	if isEmptyList(right) && (operator == operators.Equals || operator == operators.NotEquals) {
		return r.guarded(r.lengthOf(left, operator, 0), left)
	}
	if right.Kind() != ast.LiteralKind {
		return r.darkAs(e, operator, left, right)
	}
	literal := right.AsLiteral()
	if left.Kind() == ast.LiteralKind {
		return constant(outcomeOf(comparison{operator, []ref.Val{literal}}.holds(left.AsLiteral())))
	}
	i, ok := r.subject(left)
	ordered := operator != operators.Equals && operator != operators.NotEquals
	if !ok || !exact(literal) || ordered && r.vars[i].typ == String {
		return r.darkAs(e, operator, left, right)
	}
	return r.guarded(r.test(i, operator, []ref.Val{literal}, nil), left)
}

// darkAs keeps a comparison dark under what it says, which is not e where a conditional was spread.
func (r *reading) darkAs(e ast.Expr, operator string, left, right ast.Expr) *formula {
	if call := e.AsCall(); call.Args()[0] == left && call.Args()[1] == right {
		return r.dark(e)
	}
	term := ast.NewExprFactory().NewCall(e.ID(), operator, left, right)
	return r.dark(term)
}

func isEmptyList(e ast.Expr) bool { return e.Kind() == ast.ListKind && e.AsList().Size() == 0 }

// exact reports whether a literal keeps its value as a float64.
func exact(v ref.Val) bool {
	n, isInt := v.(types.Int)
	return !isInt || n > -1<<52 && n < 1<<52
}

// among reads LEFT in RIGHT.
func (r *reading) among(e, left, right ast.Expr) *formula {
	if right.Kind() != ast.ListKind || left.Kind() == ast.LiteralKind {
		return r.dark(e)
	}
	var with []ref.Val
	for _, element := range right.AsList().Elements() {
		if element.Kind() != ast.LiteralKind || !exact(element.AsLiteral()) {
			return r.dark(e)
		}
		with = append(with, element.AsLiteral())
	}
	i, ok := r.subject(left)
	if !ok {
		return r.dark(e)
	}
	return r.guarded(r.test(i, operators.In, with, nil), left)
}

// subject gives the variable of a fact, or of a term whose value the analysis does not look into: one of plain values only.
func (r *reading) subject(e ast.Expr) (int, bool) {
	typ, ok := typeOfValue(r.typeOf(e))
	if !ok || isConditional(e) {
		return 0, false
	}
	if call := e; call.Kind() == ast.CallKind && call.AsCall().FunctionName() == "size" && call.AsCall().IsMemberFunction() {
		return r.length(call.AsCall().Target()), true // x.size() is size(x)
	}
	return r.variable(debug.ToDebugString(e), func() *variable {
		v := r.term(e, typ)
		if id, isFact := r.vocabulary.factAt(e); isFact && id != headerFact {
			v.fact = &r.vocabulary.facts[id]
			v.usual = usualValue(*v.fact)
		}
		return v
	}), true
}

func typeOfValue(t *cel.Type) (Type, bool) {
	for _, known := range []Type{String, Bool, Int, Double} {
		if t.IsExactType(celType(known)) {
			return known, true
		}
	}
	return 0, false
}

// dark makes a variable of a boolean term that the analysis does not look into.
func (r *reading) dark(e ast.Expr) *formula {
	i := r.variable(debug.ToDebugString(e), func() *variable {
		return r.term(e, Bool)
	})
	return r.guarded(r.test(i, "", nil, e), e)
}

// lengthOf compares the length of a list or text.
func (r *reading) lengthOf(e ast.Expr, operator string, n types.Int) *formula {
	return r.test(r.length(e), operator, []ref.Val{n}, nil)
}

// length gives the variable of the length of a list or text.
func (r *reading) length(e ast.Expr) int {
	size := ast.NewExprFactory().NewCall(0, "size", e)
	return r.variable(debug.ToDebugString(size), func() *variable {
		v := r.term(size, Int)
		v.length = true
		return v
	})
}

// term makes the variable of a term.
func (r *reading) term(e ast.Expr, typ Type) *variable {
	whole, plan := r.whole, r.compiler.program
	return &variable{owner: r.compiler.policy, typ: typ, facts: r.vocabulary.factsIn(e), expr: e, program: func() (cel.Program, error) {
		return plan(ast.NewCheckedAST(ast.NewAST(e, whole.SourceInfo()), whole.TypeMap(), whole.ReferenceMap()))
	}}
}

// sums reads both sides of a comparison as sums, where at least one side depends on conditions and nothing else stands there.
func (r *reading) sums(left, right ast.Expr) (a, b *sum, ok bool) {
	typ, known := typeOfValue(r.typeOf(left))
	if !known || typ != Int && typ != Double || !hasConditional(left) && !hasConditional(right) {
		return nil, nil, false
	}
	if !isSum(left) || !isSum(right) {
		return nil, nil, false
	}
	a, b = r.sum(left), r.sum(right)
	const most = 1 << 50
	fits := a.low > -most && a.high < most && b.low > -most && b.high < most
	return a, b, fits
}

func hasConditional(e ast.Expr) bool {
	found := false
	walkExpr(e, nil, func(e ast.Expr, _ []string) bool {
		found = found || isConditional(e)
		return !found
	})
	return found
}

// isSum reports whether a number is made of literals, conditionals, +, - and * only.
func isSum(e ast.Expr) bool {
	if e.Kind() == ast.LiteralKind {
		return !tooLarge(e)
	}
	if e.Kind() != ast.CallKind {
		return false
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.Conditional:
		return isSum(args[1]) && isSum(args[2])
	case operators.Add, operators.Subtract, operators.Multiply:
		return isSum(args[0]) && isSum(args[1])
	}
	return false
}

func (r *reading) sum(e ast.Expr) *sum {
	r.size++
	if e.Kind() == ast.LiteralKind {
		n := asFloat(e.AsLiteral())
		return &sum{number: n, low: n, high: n}
	}
	args := e.AsCall().Args()
	if isConditional(e) {
		s := &sum{op: eitherOp, condition: r.formula(args[0]), left: r.sum(args[1]), right: r.sum(args[2])}
		s.low, s.high = min(s.left.low, s.right.low), max(s.left.high, s.right.high)
		return s
	}
	s := &sum{left: r.sum(args[0]), right: r.sum(args[1])}
	s.op = map[string]sumOp{operators.Add: plusOp, operators.Subtract: minusOp, operators.Multiply: timesOp}[e.AsCall().FunctionName()]
	most := max(math.Abs(s.left.low), math.Abs(s.left.high)) + max(math.Abs(s.right.low), math.Abs(s.right.high))
	if s.op == timesOp {
		most = max(most, max(math.Abs(s.left.low), math.Abs(s.left.high))*max(math.Abs(s.right.low), math.Abs(s.right.high)))
	}
	s.low, s.high = -most, most
	return s
}
