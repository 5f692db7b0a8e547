package policy

import (
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
	defines    map[string]*ast.AST // checked, with the definitions they use inlined
	env        *cel.Env
	headers    []string        // lower-case names that header("...") reads
	viewsUsed  map[string]bool // "list.block#ip"
}

func newLanguage(v *Vocabulary, lists map[string]*List) (*language, error) {
	l := &language{vocabulary: v, lists: lists, defines: map[string]*ast.AST{}, viewsUsed: map[string]bool{}}
	options := []cel.EnvOption{
		ext.Strings(),
		cel.Variable(headerVariable, cel.MapType(cel.StringType, cel.ListType(cel.StringType))),
		cel.Macros(cel.GlobalMacro("header", 1, l.expandHeader)),
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

// mistake is a problem inside one expression.
type mistake struct {
	line, col int
	text      string
}

// compile checks an expression and gives it with all definitions inlined, and its type; or what is wrong with it.
func (l *language) compile(text string) (*ast.AST, *cel.Type, []mistake) {
	parsed, issues := l.env.Parse(text)
	if issues.Err() != nil {
		return nil, nil, l.mistakes(issues)
	}
	if wrong := l.unknownNames(parsed.NativeRep()); wrong != nil {
		return nil, nil, wrong
	}
	checked, issues := l.env.Check(parsed)
	if issues.Err() != nil {
		return nil, nil, l.mistakes(issues)
	}
	if wrong := l.misuses(checked.NativeRep()); wrong != nil {
		return nil, nil, wrong
	}
	whole, err := l.inline(checked)
	if err != nil {
		return nil, nil, []mistake{{text: err.Error()}}
	}
	return whole, checked.OutputType(), nil
}

// mistakes gives CEL's own findings, without the words that speak of its insides.
func (l *language) mistakes(issues *cel.Issues) []mistake {
	var out []mistake
	for _, e := range issues.Errors() {
		text := strings.ReplaceAll(e.Message, " (in container '')", "")
		text = strings.TrimPrefix(text, "Syntax error: ")
		if strings.HasPrefix(text, "found no matching overload for '") {
			text = plainOverload(text)
		}
		line, col := 0, 0
		if e.Location != nil && e.Location.Line() > 0 {
			line, col = e.Location.Line(), e.Location.Column()+1
		}
		out = append(out, mistake{line, col, text})
	}
	return out
}

// plainOverload puts "found no matching overload for '_==_' applied to '(string, int)'" into an admin's words.
func plainOverload(text string) string {
	rest := strings.TrimPrefix(text, "found no matching overload for '")
	name, types, found := strings.Cut(rest, "' applied to '")
	if !found {
		return text
	}
	if i := strings.LastIndex(types, "'"); i >= 0 {
		types = types[:i]
	}
	types = strings.ReplaceAll(types, listType.String(), "list")
	return fmt.Sprintf("%s does not work on %s; compare values of one type", strings.Trim(name, "_@"), types)
}

// unknownNames finds the names that no fact, list or definition has, with the one that was probably meant.
func (l *language) unknownNames(a *ast.AST) []mistake {
	var out []mistake
	names := func(e ast.Expr, bound []string) bool {
		name, root, ok := dottedName(e)
		if !ok || slices.Contains(bound, root.AsIdent()) || strings.HasPrefix(name, "@") || l.isName(name) {
			return !ok
		}
		at := a.SourceInfo().GetStartLocation(root.ID())
		out = append(out, mistake{at.Line(), at.Column() + 1, l.notAName(name)})
		return false
	}
	walkExpr(a.Expr(), nil, names)
	return out
}

// isName reports whether a dotted name, or a beginning of it, is something that conditions can read.
func (l *language) isName(name string) bool {
	for part := name; ; {
		if _, isFact := l.vocabulary.byName[part]; isFact || l.defines[part] != nil || isTypeName(part) {
			return true
		}
		if list, found := strings.CutPrefix(part, "list."); found && l.lists[list] != nil {
			return true
		}
		i := strings.LastIndexByte(part, '.')
		if i < 0 {
			return false
		}
		part = part[:i]
	}
}

func isTypeName(name string) bool {
	return slices.Contains([]string{"bool", "int", "uint", "double", "string", "bytes", "type"}, name)
}

func (l *language) notAName(name string) string {
	kind, candidates := "fact", []string(nil)
	switch list, isList := strings.CutPrefix(name, "list."); {
	case isList || name == "list":
		kind, name = "list", list
		for known := range l.lists {
			candidates = append(candidates, known)
		}
	default:
		for _, f := range l.vocabulary.facts {
			candidates = append(candidates, f.Name)
		}
		for known := range l.defines {
			candidates = append(candidates, known)
		}
		if !strings.Contains(name, ".") {
			kind = "name"
		}
	}
	slices.Sort(candidates)
	hint := "; `gatepost facts` prints all facts"
	if kind == "list" {
		hint = "; name it under [list]"
	}
	if near := nearest(name, candidates); near != "" {
		hint = fmt.Sprintf(" (did you mean %s?)", near)
	}
	return fmt.Sprintf("unknown %s %q%s", kind, name, hint)
}

// maxNodes bounds a condition with its definitions inlined, so that definitions that use definitions cannot grow without end.
const maxNodes = 20_000

// inline puts the definitions in the place of their names. Each use gets a copy of its own, not a shared variable, so that the
// boolean terms of a condition stay visible to the search for stages and classes.
func (l *language) inline(checked *cel.Ast) (*ast.AST, error) {
	optimizer, err := cel.NewStaticOptimizer(inliner{l})
	if err != nil {
		return nil, err
	}
	whole, issues := optimizer.Optimize(l.env, checked)
	if issues.Err() != nil {
		return nil, fmt.Errorf("a definition does not fit here: %w", issues.Err())
	}
	if n := ast.NodeCount(whole.NativeRep()); n > maxNodes {
		return nil, fmt.Errorf("the condition has %d terms with its definitions; at most %d are taken", n, maxNodes)
	}
	return whole.NativeRep(), nil
}

type inliner struct{ l *language }

// Optimize implements cel.ASTOptimizer.
func (in inliner) Optimize(ctx *cel.OptimizerContext, a *ast.AST) *ast.AST {
	var uses []ast.Expr
	walkExpr(a.Expr(), nil, func(e ast.Expr, bound []string) bool {
		if e.Kind() == ast.IdentKind && in.l.defines[e.AsIdent()] != nil && !slices.Contains(bound, e.AsIdent()) {
			uses = append(uses, e)
		}
		return true
	})
	for _, use := range uses {
		ctx.UpdateExpr(use, ctx.CopyASTAndMetadata(in.l.defines[use.AsIdent()]))
	}
	return a
}

// define compiles a definition and makes its name known to what comes later.
func (l *language) define(d Definition) []mistake {
	whole, typ, wrong := l.compile(d.Expr)
	if wrong == nil && typ.IsExactType(listType) {
		wrong = []mistake{{text: "a definition cannot be a list; write \"... in list.NAME\""}}
	}
	if wrong != nil {
		// The name stays usable, so that one mistake is reported once and not at every use.
		whole, typ = ast.NewAST(ast.NewExprFactory().NewLiteral(1, types.True), ast.NewSourceInfo(nil)), cel.DynType
	}
	env, err := l.env.Extend(cel.Variable(d.Name, typ))
	if err != nil {
		return append(wrong, mistake{text: err.Error()})
	}
	l.env, l.defines[d.Name] = env, whole
	return wrong
}
