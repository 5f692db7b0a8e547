package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// misuses finds what CEL takes but cannot mean anything good: a list used for anything but "in", a network compared as text,
// a word that a fact never has.
func (l *language) misuses(a *ast.AST) []mistake {
	var out []mistake
	report := func(e ast.Expr, format string, args ...any) {
		at := a.SourceInfo().GetStartLocation(e.ID())
		out = append(out, mistake{at.Line(), at.Column() + 1, fmt.Sprintf(format, args...)})
	}
	walkExpr(a.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if list, ok := l.listNamed(a, e); ok {
			report(e, "list.%s stands alone; the only use of a list is \"FACT in list.%s\"", list, list)
			return false
		}
		if e.Kind() != ast.CallKind {
			return true
		}
		call := e.AsCall()
		if call.FunctionName() == operators.In {
			if list, ok := l.listNamed(a, call.Args()[1]); ok {
				l.judgeMembership(call.Args()[0], list, report)
				return false
			}
		}
		l.judgeComparison(call, report)
		return true
	})
	return out
}

// listNamed gives the name of the list that e is.
func (l *language) listNamed(a *ast.AST, e ast.Expr) (string, bool) {
	if !a.GetType(e.ID()).IsExactType(listType) {
		return "", false
	}
	name, _, ok := dottedName(e)
	name, isList := strings.CutPrefix(name, "list.")
	return name, ok && isList
}

// judgeMembership demands a fact of a kind before "in list.NAME": only its kind says which entries to ask.
func (l *language) judgeMembership(left ast.Expr, list string, report func(ast.Expr, string, ...any)) {
	if f, ok := l.factOf(left); ok && f.Kind != NoKind {
		return
	}
	report(left, "what stands before \"in list.%s\" must be a fact that lists know: an ip, address, domain or user, such as client.ip or sender.domain", list)
}

// factOf gives the fact that an expression is.
func (l *language) factOf(e ast.Expr) (Fact, bool) {
	name, _, ok := dottedName(e)
	if !ok {
		return Fact{}, false
	}
	return l.vocabulary.Fact(name)
}

// judgeComparison looks at FACT == "text", FACT != "text" and FACT in ["text", ...].
func (l *language) judgeComparison(call ast.CallExpr, report func(ast.Expr, string, ...any)) {
	switch call.FunctionName() {
	case operators.Equals, operators.NotEquals:
		l.judgeText(call.Args()[0], call.Args()[1], report)
		l.judgeText(call.Args()[1], call.Args()[0], report)
	case operators.In:
		if call.Args()[1].Kind() == ast.ListKind {
			for _, element := range call.Args()[1].AsList().Elements() {
				l.judgeText(call.Args()[0], element, report)
			}
		}
	}
}

func (l *language) judgeText(left, right ast.Expr, report func(ast.Expr, string, ...any)) {
	f, isFact := l.factOf(left)
	text, isText := literalText(right)
	if !isFact || !isText {
		return
	}
	if f.Kind == KindIP && strings.Contains(text, "/") {
		report(right, "%s is one address and never equals the network %q; put the network into a list and write \"%s in list.NAME\"", f.Name, text, f.Name)
		return
	}
	if f.Words != nil && !slices.Contains(f.Words, text) {
		hint := "it is one of " + strings.Join(quoted(f.Words), ", ")
		if near := nearest(text, f.Words); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		report(right, "%s is never %q (%s)", f.Name, text, hint)
	}
}

func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return out
}

// fallible gives the operators in a condition that can fail while it is evaluated, so that it would count as false.
func fallible(a *ast.AST) []string {
	names := map[string]string{
		operators.Divide: "/", operators.Modulo: "%", operators.Index: "[]", "int": "int()", "double": "double()", "uint": "uint()",
		"duration": "duration()", "timestamp": "timestamp()", "bytes": "bytes()",
	}
	var out []string
	walkExpr(a.Expr(), nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() != ast.CallKind {
			return true
		}
		name, found := names[e.AsCall().FunctionName()]
		if found && !isHeaderLook(e.AsCall()) && !slices.Contains(out, name) {
			out = append(out, name)
		}
		return true
	})
	return out
}

// isHeaderLook recognizes what header("X") became: its name is always kept, so that this index cannot fail.
func isHeaderLook(call ast.CallExpr) bool {
	return call.FunctionName() == operators.Index && call.Args()[0].Kind() == ast.IdentKind && call.Args()[0].AsIdent() == headerVariable
}
