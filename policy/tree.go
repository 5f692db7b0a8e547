package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/debug"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// walkExpr calls visit for e and everything below it, with the names that comprehensions bind there; visit says whether to go below.
func walkExpr(e ast.Expr, bound []string, visit func(e ast.Expr, bound []string) bool) {
	if !visit(e, bound) {
		return
	}
	switch e.Kind() {
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			walkExpr(call.Target(), bound, visit)
		}
		for _, arg := range call.Args() {
			walkExpr(arg, bound, visit)
		}
	case ast.SelectKind:
		walkExpr(e.AsSelect().Operand(), bound, visit)
	case ast.ListKind:
		for _, element := range e.AsList().Elements() {
			walkExpr(element, bound, visit)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			walkExpr(entry.AsMapEntry().Key(), bound, visit)
			walkExpr(entry.AsMapEntry().Value(), bound, visit)
		}
	case ast.StructKind:
		for _, field := range e.AsStruct().Fields() {
			walkExpr(field.AsStructField().Value(), bound, visit)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		walkExpr(c.IterRange(), bound, visit)
		walkExpr(c.AccuInit(), bound, visit)
		inner := append(slices.Clip(bound), c.IterVar(), c.AccuVar())
		if c.HasIterVar2() {
			inner = append(inner, c.IterVar2())
		}
		walkExpr(c.LoopCondition(), inner, visit)
		walkExpr(c.LoopStep(), inner, visit)
		walkExpr(c.Result(), inner, visit)
	}
}

// dottedName gives the name that an identifier or a chain of selections spells, and the identifier it begins with.
func dottedName(e ast.Expr) (name string, root ast.Expr, ok bool) {
	var parts []string
	for e.Kind() == ast.SelectKind && !e.AsSelect().IsTestOnly() {
		parts = append(parts, e.AsSelect().FieldName())
		e = e.AsSelect().Operand()
	}
	if e.Kind() != ast.IdentKind {
		return "", nil, false
	}
	parts = append(parts, e.AsIdent())
	slices.Reverse(parts)
	return strings.Join(parts, "."), e, true
}

// node is a condition as a tree of and, or, not and if-then-else over atoms: its smallest boolean terms.
type node struct {
	op   nodeOp
	kids []*node
	atom int // for atomOp: the index in atoms
}

type nodeOp uint8

const (
	atomOp nodeOp = iota
	andOp
	orOp
	notOp
	ifOp
	trueOp
	falseOp
)

// atom is a boolean term with no boolean operator at its top.
type atom struct {
	expr  ast.Expr
	facts []FactID
}

// booleanTree splits a checked condition into its boolean operators and atoms. A term that stands twice is one atom.
func (v *Vocabulary) booleanTree(a *ast.AST) (*node, []atom) {
	var atoms []atom
	seen := map[string]int{}
	var build func(e ast.Expr) *node
	build = func(e ast.Expr) *node {
		if e.Kind() == ast.LiteralKind {
			if e.AsLiteral() == types.True {
				return &node{op: trueOp}
			}
			return &node{op: falseOp}
		}
		if e.Kind() == ast.CallKind {
			ops := map[string]nodeOp{operators.LogicalAnd: andOp, operators.LogicalOr: orOp, operators.LogicalNot: notOp, operators.Conditional: ifOp}
			if op, ok := ops[e.AsCall().FunctionName()]; ok {
				n := &node{op: op}
				for _, arg := range e.AsCall().Args() {
					n.kids = append(n.kids, build(arg))
				}
				return n
			}
		}
		text := debug.ToDebugString(e)
		i, again := seen[text]
		if !again {
			i = len(atoms)
			seen[text], atoms = i, append(atoms, atom{e, v.factsIn(e)})
		}
		return &node{op: atomOp, atom: i}
	}
	return build(a.Expr()), atoms
}

// headerFact stands for header("..."): no fact of the vocabulary, known at data.
const headerFact = FactID(1<<30 - 1)

// factsIn gives the facts that an expression names, each once, in order of appearance.
func (v *Vocabulary) factsIn(e ast.Expr) []FactID {
	var out []FactID
	walkExpr(e, nil, func(e ast.Expr, bound []string) bool {
		_, root, isName := dottedName(e)
		if isName && slices.Contains(bound, root.AsIdent()) {
			return false
		}
		id, isFact := v.factAt(e)
		if isFact && !slices.Contains(out, id) {
			out = append(out, id)
		}
		return !isFact
	})
	return out
}

// factAt gives the fact that an expression is, also header("...").
func (v *Vocabulary) factAt(e ast.Expr) (FactID, bool) {
	name, _, ok := dottedName(e)
	if !ok {
		return 0, false
	}
	if name == headerVariable {
		return headerFact, true
	}
	id, isFact := v.byName[name]
	return id, isFact
}

// size counts the nodes.
func (n *node) size() int {
	count := 1
	for _, k := range n.kids {
		count += k.size()
	}
	return count
}

// eval gives the truth of a condition by Kleene's logic when the atoms have the given truths.
func (n *node) eval(truths []truth) truth {
	switch n.op {
	case trueOp:
		return yes
	case falseOp:
		return no
	case notOp:
		return -n.kids[0].eval(truths)
	case andOp:
		out := yes
		for _, k := range n.kids {
			out = min(out, k.eval(truths))
		}
		return out
	case orOp:
		out := no
		for _, k := range n.kids {
			out = max(out, k.eval(truths))
		}
		return out
	case ifOp:
		switch n.kids[0].eval(truths) {
		case yes:
			return n.kids[1].eval(truths)
		case no:
			return n.kids[2].eval(truths)
		}
		return unknown
	}
	return truths[n.atom]
}

// truth is one of Kleene's three values, in their order: and is the smaller, or the larger, not the opposite.
type truth int8

const (
	no      truth = -1
	unknown truth = 0
	yes     truth = 1
)

// truths is a set of truths, one bit for each.
type truths uint8

func setOf(all ...truth) (out truths) {
	for _, t := range all {
		out |= 1 << (t + 1)
	}
	return out
}

func (s truths) has(t truth) bool { return s>>(t+1)&1 == 1 }

// evalSets gives a set that holds every truth the condition can have when its atoms have the given ones, each independent of the others.
func (n *node) evalSets(atoms []truths) truths {
	switch n.op {
	case trueOp:
		return setOf(yes)
	case falseOp:
		return setOf(no)
	case atomOp:
		return atoms[n.atom]
	}
	kids := make([]truths, len(n.kids))
	for i, k := range n.kids {
		kids[i] = k.evalSets(atoms)
	}
	if n.op == ifOp {
		out := kids[0] & setOf(unknown)
		if kids[0].has(yes) {
			out |= kids[1]
		}
		if kids[0].has(no) {
			out |= kids[2]
		}
		return out
	}
	var out truths
	for _, a := range []truth{no, unknown, yes} {
		for _, b := range []truth{no, unknown, yes} {
			switch {
			case !kids[0].has(a):
			case n.op == notOp:
				out |= setOf(-a)
			case !kids[1].has(b):
			case n.op == andOp:
				out |= setOf(min(a, b))
			default:
				out |= setOf(max(a, b))
			}
		}
	}
	return out
}
