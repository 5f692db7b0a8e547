package policy

import (
	"fmt"
	"maps"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// functions are those that conditions may call. The rest of CEL is left out: what has no use on facts (dates, bytes, dynamic types),
// and what could make a condition of one line build texts without end (replace, join, format).
var functions = map[string]bool{
	"contains": true, "startsWith": true, "endsWith": true, "matches": true, "size": true, "string": true, "int": true, "double": true,
	"lowerAscii": true, "upperAscii": true, "trim": true, "indexOf": true, "lastIndexOf": true, "substring": true, "charAt": true, "split": true, "pair": true,
}

var symbols = map[string]bool{
	operators.LogicalAnd: true, operators.LogicalOr: true, operators.LogicalNot: true, operators.Conditional: true, operators.In: true,
	operators.Equals: true, operators.NotEquals: true, operators.Less: true, operators.LessEquals: true, operators.Greater: true,
	operators.GreaterEquals: true, operators.Add: true, operators.Subtract: true, operators.Multiply: true, operators.Divide: true,
	operators.Modulo: true, operators.Negate: true, operators.Index: true, operators.NotStrictlyFalse: true,
}

// words are CEL's own; reserved are those that cannot be the name of a definition only.
var (
	words    = map[string]bool{"in": true, "true": true, "false": true, "null": true}
	notNames = []string{"as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace",
		"return", "var", "void", "while", "bool", "int", "uint", "double", "string", "bytes", "type", "map", "null_type", "dyn", "list", "header"}
)

// isWord reports whether the expression language or Gatepost means something by a plain name already.
func isWord(name string) bool { return words[name] || slices.Contains(notNames, name) }

// maxNesting bounds how often exists, all and filter stand inside each other, and so the work of a condition: lists are short, but
// their lengths multiply.
const maxNesting = 2

// inspector looks for what CEL takes but cannot mean anything good, and for what CEL refuses in words that no admin knows.
type inspector struct {
	*language
	text string
	ast  *ast.AST
	out  []mistake
}

// inspect finds unknown names and functions, lists that stand for anything but "in", words that a fact never has, bad patterns.
func (l *language) inspect(text string, a *ast.AST) []mistake {
	in := &inspector{language: l, text: text, ast: a}
	walkExpr(a.Expr(), nil, in.visit)
	return in.out
}

// report notes what is wrong with e, at the place where it begins.
func (in *inspector) report(e ast.Expr, format string, args ...any) {
	at := in.ast.SourceInfo().GetStartLocation(leftmost(e).ID())
	line, col := place(in.text, at.Line(), at.Column())
	in.out = append(in.out, mistake{line, col, fmt.Sprintf(format, args...)})
}

// reportCall notes what is wrong with a function, at its name.
func (in *inspector) reportCall(e ast.Expr, format string, args ...any) {
	at := in.ast.SourceInfo().GetStartLocation(e.ID())
	line, col := place(in.text, at.Line(), at.Column())
	in.out = append(in.out, mistake{line, col, fmt.Sprintf(format, args...)})
}

// leftmost gives the part of e that stands first in the text.
func leftmost(e ast.Expr) ast.Expr {
	for {
		switch e.Kind() {
		case ast.CallKind:
			call := e.AsCall()
			name := call.FunctionName()
			switch {
			case call.IsMemberFunction():
				e = call.Target()
			case symbols[name] && name != operators.LogicalNot && name != operators.Negate:
				e = call.Args()[0]
			default:
				return e
			}
		case ast.ComprehensionKind:
			e = e.AsComprehension().IterRange()
		case ast.SelectKind:
			if _, _, isName := dottedName(e); isName {
				return e
			}
			e = e.AsSelect().Operand()
		default:
			return e
		}
	}
}

// maxMistakes bounds what is told of one condition.
const maxMistakes = 20

// visit implements the visitor of walkExpr.
func (in *inspector) visit(e ast.Expr, bound []string) bool {
	if len(in.out) >= maxMistakes {
		return false
	}
	switch e.Kind() {
	case ast.CallKind:
		return in.call(e, bound)
	case ast.IdentKind, ast.SelectKind:
		return in.name(e, bound)
	case ast.LiteralKind:
		if e.AsLiteral() == types.NullValue {
			in.report(e, "there is no null; a text that is not there is \"\", a number 0, a list []")
		}
	case ast.MapKind, ast.StructKind:
		in.report(e, "{ } means nothing here; a list of texts is [\"one\", \"two\"]")
		return false
	case ast.ListKind:
		in.judgeElements(e)
	case ast.ComprehensionKind:
		if len(bound) >= 2*maxNesting { // each binds two names
			in.report(e, "exists, all and filter stand inside each other at most %d deep", maxNesting)
			return false
		}
	}
	return true
}

// name looks at a plain or dotted name; it gives whether to look below.
func (in *inspector) name(e ast.Expr, bound []string) bool {
	name, root, ok := dottedName(e)
	if !ok {
		return true
	}
	if slices.Contains(bound, root.AsIdent()) || strings.HasPrefix(name, "@") {
		return false
	}
	list, isList := in.listNamed(e)
	_, isFact := in.vocabulary.byName[name]
	switch {
	case isList:
		in.report(e, "list.%s stands alone; the only use of a list is \"FACT in list.%s\"", list, list)
	case !isFact && !in.defined(root.AsIdent()):
		in.report(e, "%s", in.notAName(name))
	}
	return false
}

// call looks at an operator or function; it gives whether to look below.
func (in *inspector) call(e ast.Expr, bound []string) bool {
	call := e.AsCall()
	name := call.FunctionName()
	if !symbols[name] && !functions[name] {
		in.reportCall(e, "%s", notAFunction(name))
		return false
	}
	switch name {
	case operators.In:
		if list, ok := in.listNamed(call.Args()[1]); ok {
			before := len(in.out)
			walkExpr(call.Args()[0], bound, in.visit)
			if len(in.out) == before {
				in.judgeMembership(call.Args()[0], list, bound)
			}
			return false
		}
	case "matches":
		in.judgePattern(e, call)
	case "pair":
		in.judgePair(e, call)
	}
	in.judgeComparison(call)
	return true
}

func notAFunction(name string) string {
	switch name {
	case "not", "NOT":
		return notNot(name)
	case "has":
		return "has() is of no use: every fact has a value when its rule is asked; compare it, as in sender.domain != \"\""
	case "map":
		return "map() is not there; exists, all, exists_one and filter look into a list"
	case "exists", "all", "exists_one", "filter":
		return fmt.Sprintf("%s() stands behind a list and takes a name for the element and a condition, as in dkim.domains.%s(d, d == \"example.org\")", name, name)
	case "header":
		return "header() takes the name of a field in quotes, as in header(\"Subject\")"
	}
	if near := nearest(name, slices.Sorted(maps.Keys(functions))); near != "" {
		return fmt.Sprintf("unknown function %q (did you mean %s?)", name, near)
	}
	return fmt.Sprintf("unknown function %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(functions)), ", "))
}

// listNamed gives the name of the list that e is.
func (l *language) listNamed(e ast.Expr) (string, bool) {
	name, _, ok := dottedName(e)
	name, isList := strings.CutPrefix(name, "list.")
	return name, ok && isList && l.lists[name] != nil
}

// judgeMembership demands a fact of a kind before "in list.NAME": only its kind says which entries to ask.
func (in *inspector) judgeMembership(left ast.Expr, list string, bound []string) {
	_, root, isName := dottedName(left)
	if f, ok := in.factOf(left); ok && f.Kind != NoKind && isName && !slices.Contains(bound, root.AsIdent()) {
		return
	}
	if left.Kind() == ast.CallKind && left.AsCall().FunctionName() == operators.LogicalNot {
		in.report(left, "! belongs to what stands right behind it, not to \"in\"; write !( ... in list.%s)", list)
		return
	}
	in.report(left, "what stands before \"in list.%s\" must be a fact that lists know: an ip, address, domain or user, such as client.ip or sender.domain", list)
}

// judgePattern demands that a pattern is a literal: one that a sender wrote could cost more than it is worth.
func (in *inspector) judgePattern(e ast.Expr, call ast.CallExpr) {
	if len(call.Args()) == 0 {
		return
	}
	last := call.Args()[len(call.Args())-1]
	pattern, ok := literalText(last)
	if !ok {
		in.report(last, "the pattern of matches() stands in quotes; compare facts with ==, contains(), startsWith() or endsWith()")
		return
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		in.reportCall(e, "the pattern of matches() is wrong: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	if in.steps += stepsOf(parsed); in.steps > maxPatterns {
		in.reportCall(e, largePatterns)
	}
}

// maxPatterns bounds the patterns of a policy, in what they take of memory: "(a|b){900}" has few signs and some thousand steps.
const (
	maxPatterns   = 100_000
	largePatterns = "the patterns of matches() up to here are too large together; repeat less in them, and put what is many into a list"
)

// classShare is how many characters of a class, such as the 1,300 that bound the letters of \p{L}, take as much as one step: a class is one, with
// two characters in a table for each of its ranges.
const classShare = 10

// stepsOf gives about how many steps the machine of a pattern has, at most one more than there may be.
func stepsOf(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)
	if re.Op == syntax.OpCharClass {
		n = 1 + len(re.Rune)/classShare
	}
	for _, part := range re.Sub {
		n += stepsOf(part)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(1, re.Min, re.Max)
	}
	return min(n, maxPatterns+1)
}

// judgeElements refuses a list with values of different types: those of the wrong type never match.
func (in *inspector) judgeElements(e ast.Expr) {
	var first ast.Expr
	for _, element := range e.AsList().Elements() {
		if element.Kind() != ast.LiteralKind {
			continue
		}
		if first == nil {
			first = element
		} else if was, is := first.AsLiteral().Type().TypeName(), element.AsLiteral().Type().TypeName(); was != is {
			in.report(element, "this is %s in a list that begins with %s; a list has values of one type", article(is), article(was))
			return
		}
	}
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
func (in *inspector) judgeComparison(call ast.CallExpr) {
	switch call.FunctionName() {
	case operators.Equals, operators.NotEquals:
		in.judgeText(call.Args()[0], call.Args()[1])
		in.judgeText(call.Args()[1], call.Args()[0])
	case operators.In:
		if call.Args()[1].Kind() == ast.ListKind {
			for _, element := range call.Args()[1].AsList().Elements() {
				in.judgeText(call.Args()[0], element)
			}
		}
	}
}

func (in *inspector) judgeText(left, right ast.Expr) {
	f, isFact := in.factOf(left)
	text, isText := literalText(right)
	if !isFact || !isText {
		return
	}
	if f.Kind == KindIP && strings.Contains(text, "/") {
		in.report(right, "%s is one address and never equals the network %q; put the network into a list and write \"%s in list.NAME\"", f.Name, text, f.Name)
		return
	}
	if f.Kind == KindDomain && (strings.ContainsAny(text, "@* /") || strings.HasPrefix(text, ".")) {
		in.report(right, "%s is the name of a domain and never %q; subdomains are asked for by endsWith(\".example.org\"), or by an entry \".example.org\" of a list", f.Name, text)
		return
	}
	if f.Name == "client.network" && text != "" && !strings.Contains(text, "/") {
		in.report(right, "client.network is a network such as 192.0.2.0/24 and never %q; ask for client.ip", text)
		return
	}
	if f.Words != nil && !slices.Contains(f.Words, text) {
		hint := "it is one of " + strings.Join(quoted(f.Words), ", ")
		if near := nearest(text, f.Words); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		in.report(right, "%s is never %q (%s)", f.Name, text, hint)
	}
}

func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return out
}
