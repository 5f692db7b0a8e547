package policy

import (
	"math"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/debug"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// guarded gives f, which fails where the evaluation of e does.
func (r *reading) guarded(f *formula, e ast.Expr) *formula {
	failures := r.failures(e)
	if len(failures) == 0 {
		return f
	}
	return &formula{op: chooseOp, parts: []*formula{join(anyOp, failures...), constant(canFail), f}}
}

// failures says when the evaluation of a term fails: exactly where that is a division or a look into a list or text, else "perhaps".
func (r *reading) failures(e ast.Expr) []*formula {
	if !r.anyRisk(e) {
		return nil
	}
	if e.Kind() == ast.ListKind {
		return r.failuresOf(e.AsList().Elements())
	}
	if e.Kind() != ast.CallKind || isConditional(e) {
		return []*formula{r.perhaps(e)}
	}
	call := e.AsCall()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		return []*formula{r.perhaps(e)}
	}
	parts := call.Args()
	if call.IsMemberFunction() {
		parts = append([]ast.Expr{call.Target()}, parts...)
	}
	out := r.failuresOf(parts)
	if riskOf(e) != "" || r.overflows(e) {
		out = append(out, r.failure(e, call))
	}
	return out
}

func (r *reading) failuresOf(parts []ast.Expr) (out []*formula) {
	for _, part := range parts {
		out = append(out, r.failures(part)...)
	}
	return out
}

func (r *reading) anyRisk(e ast.Expr) bool {
	found := false
	walkExpr(e, nil, func(e ast.Expr, _ []string) bool {
		found = found || riskOf(e) != "" || r.overflows(e)
		return !found
	})
	return found
}

// tooLarge recognizes a literal with which arithmetic can leave the range of whole numbers.
func tooLarge(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && math.Abs(asFloat(e.AsLiteral())) > 1<<31
}

// overflows recognizes arithmetic with whole numbers that are not written down: it can leave their range.
func (r *reading) overflows(e ast.Expr) bool {
	if e.Kind() != ast.CallKind || !r.typeOf(e).IsExactType(cel.IntType) {
		return false
	}
	switch e.AsCall().FunctionName() {
	case operators.Add, operators.Subtract, operators.Multiply, operators.Negate:
		return !isSum(e)
	}
	return false
}

// failure says when one call fails, its parts having values.
func (r *reading) failure(e ast.Expr, call ast.CallExpr) *formula {
	args := call.Args()
	switch call.FunctionName() {
	case operators.Divide, operators.Modulo:
		if i, ok := r.subject(args[1]); ok && r.vars[i].typ == Int {
			return r.test(i, operators.Equals, []ref.Val{types.Int(0)}, nil)
		}
	case operators.Index:
		if n, ok := literalIndex(args[1]); ok {
			return r.lengthOf(args[0], operators.LessEquals, n)
		}
	case "substring", "charAt":
		if n, ok := literalIndex(args[len(args)-1]); ok && len(args) == 1 && call.IsMemberFunction() {
			return r.lengthOf(call.Target(), operators.Less, n)
		}
	}
	return r.perhaps(e)
}

func literalIndex(e ast.Expr) (types.Int, bool) {
	if e.Kind() != ast.LiteralKind {
		return 0, false
	}
	n, ok := e.AsLiteral().(types.Int)
	return n, ok && n >= 0
}

// perhaps is a failure of which the analysis knows nothing.
func (r *reading) perhaps(e ast.Expr) *formula {
	i := r.variable("@fails "+debug.ToDebugString(e), func() *variable {
		return &variable{typ: Bool, usual: types.False, facts: r.vocabulary.factsIn(e)}
	})
	return r.test(i, "", nil, nil)
}
