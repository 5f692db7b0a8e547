package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// language is CEL with the facts, lists and definitions of one policy. It compiles conditions and says in an admin's words what is wrong with them.
type language struct {
	vocabulary *Vocabulary
	lists      map[string]*List
	pairs      map[string]pairTable
	defines    map[string]*ast.AST // checked, with the definitions they use inlined
	broken     map[string]bool     // definitions that are wrong, or use one that is
	env        *cel.Env
	headers    []string       // lower-case names that header("...") reads
	steps      int            // of all patterns, those of a definition as often as it is used
	stepsOf    map[string]int // the same of each definition
}

func newLanguage(v *Vocabulary, lists map[string]*List, pairs map[string]pairTable) (*language, error) {
	l := &language{vocabulary: v, lists: lists, pairs: pairs, defines: map[string]*ast.AST{}, broken: map[string]bool{}, stepsOf: map[string]int{}}
	options := []cel.EnvOption{
		ext.Strings(),
		l.pairFunction(),
		cel.Variable(headerVariable, cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		// No has: every fact has a value. No map: with it a condition of one line could build texts without end.
		cel.ClearMacros(),
		cel.Macros(cel.AllMacro, cel.ExistsMacro, cel.ExistsOneMacro, cel.FilterMacro, cel.GlobalMacro("header", 1, l.expandHeader)),
		// No binding: the list's own Contains answers.
		cel.Function(operators.In, cel.Overload("in_gatepost_list", []*cel.Type{cel.StringType, listType}, cel.BoolType)),
	}
	for _, f := range v.facts {
		options = append(options, cel.Variable(f.Name, celType(f.Type)))
	}
	for name := range lists {
		options = append(options, cel.Variable("list."+name, listType))
	}
	env, err := cel.NewEnv(options...)
	l.env = env
	return l, err
}

func celType(t Type) *cel.Type {
	return [...]*cel.Type{cel.StringType, cel.BoolType, cel.IntType, cel.DoubleType, cel.ListType(cel.StringType)}[t]
}

// expandHeader turns header("X") into a look into the kept fields, so that a session keeps no field that no rule names.
func (l *language) expandHeader(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
	name, ok := literalText(args[0])
	if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return nil, f.NewError(args[0].ID(), `header() takes the name of a field in quotes, as in header("Subject")`)
	}
	name = strings.ToLower(name)
	if !slices.Contains(l.headers, name) {
		l.headers = append(l.headers, name)
	}
	return f.NewCall(operators.Index, f.NewIdent(headerVariable), f.NewLiteral(types.String(name))), nil
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// compile checks an expression and gives it with all definitions inlined, and its type; or what is wrong with it. It gives neither
// where the expression uses a definition that is wrong itself: that is reported there, once.
func (l *language) compile(text string) (*ast.AST, *cel.Type, []mistake) {
	parsed, issues := l.env.Parse(text)
	if issues.Err() != nil {
		return nil, nil, syntaxMistakes(text, issues)
	}
	if wrong := l.inspect(text, parsed.NativeRep()); wrong != nil {
		return nil, nil, wrong
	}
	uses := l.uses(parsed.NativeRep())
	if slices.ContainsFunc(uses, func(use ast.Expr) bool { return l.broken[use.AsIdent()] }) {
		return nil, nil, nil
	}
	checked, issues := l.env.Check(parsed)
	if issues.Err() != nil {
		return nil, nil, typeMistakes(text, issues)
	}
	whole, err := l.inline(checked)
	if err != nil {
		return nil, nil, []mistake{{1, 1, err.Error()}}
	}
	return whole, checked.OutputType(), nil
}

// maxNodes bounds a condition with its definitions inlined, so that definitions that use definitions cannot grow without end.
const maxNodes = 20_000

// inline puts the definitions in the place of their names. Each use gets a copy of its own, not a shared variable, so that the
// boolean terms of a condition stay visible to the search for stages and classes.
func (l *language) inline(checked *cel.Ast) (*ast.AST, error) {
	uses, n := l.uses(checked.NativeRep()), ast.NodeCount(checked.NativeRep())
	for _, use := range uses {
		n += ast.NodeCount(l.defines[use.AsIdent()]) // counted before anything is copied
		l.steps += l.stepsOf[use.AsIdent()]
	}
	if l.steps > maxPatterns {
		return nil, errors.New(largePatterns)
	}
	if n > maxNodes {
		return nil, fmt.Errorf("it has %d terms with its definitions; at most %d are taken", n, maxNodes)
	}
	if len(uses) == 0 {
		return checked.NativeRep(), nil
	}
	optimizer, err := cel.NewStaticOptimizer(inliner{l})
	if err != nil {
		return nil, err
	}
	whole, issues := optimizer.Optimize(l.env, checked)
	if issues.Err() != nil {
		return nil, fmt.Errorf("a definition does not fit here: %w", issues.Err())
	}
	return whole.NativeRep(), nil
}

// uses gives the places at which an expression names definitions.
func (l *language) uses(a *ast.AST) []ast.Expr {
	var out []ast.Expr
	walkExpr(a.Expr(), nil, func(e ast.Expr, bound []string) bool {
		if e.Kind() == ast.IdentKind && l.defined(e.AsIdent()) && !slices.Contains(bound, e.AsIdent()) {
			out = append(out, e)
		}
		return true
	})
	return out
}

func (l *language) defined(name string) bool { return l.defines[name] != nil || l.broken[name] }

type inliner struct{ l *language }

// Optimize implements cel.ASTOptimizer.
func (in inliner) Optimize(ctx *cel.OptimizerContext, a *ast.AST) *ast.AST {
	for _, use := range in.l.uses(a) {
		ctx.UpdateExpr(use, ctx.CopyASTAndMetadata(in.l.defines[use.AsIdent()]))
	}
	return a
}

// define compiles a definition and makes its name known to what comes later. A wrong one stays known too, so that one mistake is
// reported once and not at every use.
func (l *language) define(d Definition) []mistake {
	before := l.steps
	whole, typ, wrong := l.compile(d.Expr)
	l.stepsOf[d.Name] = l.steps - before
	if whole == nil {
		l.broken[d.Name] = true
		return wrong
	}
	env, err := l.env.Extend(cel.Variable(d.Name, typ))
	if err != nil {
		l.broken[d.Name] = true
		return []mistake{{1, 1, err.Error()}}
	}
	l.env, l.defines[d.Name] = env, whole
	return nil
}
