package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// A table of pairs says which two texts belong together: pair(rcpt.domain, sender.domain, "tenants"). The first stands for itself or, as
// "*", for all; so does the second. Text is compared without regard to case.

// NamedPairs is a table that conditions name in pair().
type NamedPairs struct {
	Name  string
	Files []string // where Pairs come from
	Pairs [][2]string
}

// pairName is the function that asks a table.
const pairName = "pair"

type pairTable map[[2]string]bool

func newPairTable(pairs [][2]string) pairTable {
	t := pairTable{}
	for _, p := range pairs {
		t[[2]string{strings.ToLower(p[0]), strings.ToLower(p[1])}] = true
	}
	return t
}

func (t pairTable) has(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	return t[[2]string{a, b}] || t[[2]string{a, "*"}] || t[[2]string{"*", b}]
}

// pairsOf makes the tables of a source.
func (c *compiler) pairsOf() map[string]pairTable {
	out := map[string]pairTable{}
	for _, p := range c.source.Pairs {
		switch {
		case !simpleName.MatchString(p.Name):
			c.report("pairs."+p.Name, "%q is no name for a table of pairs; use lower-case letters, digits and _", p.Name)
		default:
			out[p.Name] = newPairTable(p.Pairs)
		}
	}
	return out
}

// pairFunction declares pair(A, B, "TABLE").
func (l *language) pairFunction() cel.EnvOption {
	return cel.Function(pairName, cel.Overload("gatepost_pair", []*cel.Type{cel.StringType, cel.StringType, cel.StringType}, cel.BoolType,
		cel.FunctionBinding(func(args ...ref.Val) ref.Val {
			a, okA := args[0].(types.String)
			b, okB := args[1].(types.String)
			table, okTable := args[2].(types.String)
			if !okA || !okB || !okTable {
				return types.MaybeNoSuchOverloadErr(args[0])
			}
			return types.Bool(l.pairs[string(table)].has(string(a), string(b)))
		})))
}

// judgePair demands a table that there is, named in quotes.
func (in *inspector) judgePair(e ast.Expr, call ast.CallExpr) {
	if len(call.Args()) != 3 {
		return // CEL says it
	}
	name, ok := literalText(call.Args()[2])
	switch {
	case !ok:
		in.reportCall(e, `pair() names its table in quotes, as in pair(rcpt.domain, sender.domain, "tenants")`)
	case in.pairs[name] == nil:
		hint := "name it under [pairs]"
		if near := nearest(name, slices.Sorted(maps.Keys(in.pairs))); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		in.report(call.Args()[2], "unknown table of pairs %q; %s", name, hint)
	}
}
