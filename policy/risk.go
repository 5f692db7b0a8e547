package policy

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// risks are the operators and functions that can fail while they are evaluated, with what `gatepost check` calls them.
var risks = map[string]string{
	operators.Divide: "/", operators.Modulo: "%", operators.Index: "[]", "int": "int()", "double": "double()",
	"substring": "substring()", "charAt": "charAt()", "indexOf": "indexOf()", "lastIndexOf": "lastIndexOf()",
}

// fallible gives the operators in a condition that can fail while it is evaluated, so that it would count as false.
func fallible(a *ast.AST) []string {
	var out []string
	walkExpr(a.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if name := riskOf(e); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
		return true
	})
	return out
}

// riskOf gives the operator of e when it can fail: not where a division has a divisor that is written down, nor where a text is
// searched from its beginning.
func riskOf(e ast.Expr) string {
	if e.Kind() != ast.CallKind {
		return ""
	}
	call := e.AsCall()
	name := risks[call.FunctionName()]
	switch {
	case name == "" || isHeaderLook(call):
		return ""
	case (name == "/" || name == "%") && isNumber(call.Args()[1]):
		return ""
	case (name == "indexOf()" || name == "lastIndexOf()") && len(call.Args()) == 1:
		return ""
	}
	return name
}

// isNumber recognizes a number that is written down and not zero.
func isNumber(e ast.Expr) bool {
	return e.Kind() == ast.LiteralKind && e.AsLiteral().Equal(types.Int(0)) != types.True
}

// isHeaderLook recognizes what header("X") became: its name is always kept, so that this index cannot fail.
func isHeaderLook(call ast.CallExpr) bool {
	return call.FunctionName() == operators.Index && call.Args()[0].Kind() == ast.IdentKind && call.Args()[0].AsIdent() == headerVariable
}

// early tells when a term can be known although some of its facts are not: beyond a condition that needs no further look, or an empty
// list, or by failing. The search for stages must not miss that.
type early struct {
	*Vocabulary
	known func(FactID) bool
}

// of reports whether e can have a value, and whether it can fail, while only the known facts are there.
func (k early) of(e ast.Expr) (value, failure bool) {
	if id, ok := k.factAt(e); ok {
		return k.known(id), false
	}
	switch e.Kind() {
	case ast.CallKind:
		return k.ofCall(e)
	case ast.ListKind:
		return k.all(e.AsList().Elements())
	case ast.SelectKind:
		return k.of(e.AsSelect().Operand())
	case ast.ComprehensionKind: // over an empty list its body is never asked; a body that needs nothing is known with the list
		c := e.AsComprehension()
		value, failure = k.of(c.IterRange())
		_, inside := k.of(c.LoopStep())
		return value, failure || value && inside
	}
	return true, false
}

func (k early) ofCall(e ast.Expr) (value, failure bool) {
	call := e.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		for _, arg := range args {
			v, f := k.of(arg)
			value, failure = value || v, failure || f
		}
		return value, failure
	case operators.Conditional:
		condition, failure := k.of(args[0])
		then, failsThen := k.of(args[1])
		otherwise, failsElse := k.of(args[2])
		return condition && (then || otherwise), failure || condition && (failsThen || failsElse)
	}
	value, failure = k.all(args)
	return value, failure || value && riskOf(e) != ""
}

// all is for what needs the values of all its parts.
func (k early) all(parts []ast.Expr) (value, failure bool) {
	value = true
	for _, part := range parts {
		v, f := k.of(part)
		value, failure = value && v, failure || f
	}
	return value, failure
}
