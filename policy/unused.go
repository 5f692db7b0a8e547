package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// unused finds lists, tables of pairs and definitions that no rule and no other condition reads.
func (a *analysis) unused(s *examined) {
	lists, pairs := map[string]bool{}, map[string]bool{}
	for view := range s.policy.views {
		name, _, _ := strings.Cut(strings.TrimPrefix(view, "list."), "#")
		lists[name] = true
	}
	for _, whole := range s.checked {
		walkExpr(whole.Expr(), nil, func(e ast.Expr, _ []string) bool {
			if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "pair" {
				name, _ := literalText(e.AsCall().Args()[2])
				pairs[name] = true
			}
			return true
		})
	}
	for _, l := range s.source.Lists {
		a.unread("list."+l.Name, fmt.Sprintf("list %q: no rule reads it", l.Name), lists[l.Name])
	}
	for _, p := range s.source.Pairs {
		a.unread("pairs."+p.Name, fmt.Sprintf("pairs %q: no rule reads them", p.Name), pairs[p.Name])
	}
	used := s.usedDefinitions()
	for _, d := range s.source.Define {
		a.unread("define."+d.Name, fmt.Sprintf("definition %q: no rule uses it", d.Name), slices.Contains(used, d.Name))
	}
}

func (a *analysis) unread(path, text string, read bool) {
	if !read {
		a.out.Findings = append(a.out.Findings, Finding{Level: Warning, Kind: "unused", Problem: Problem{Path: path, Text: text}})
	}
}

// usedDefinitions gives the definitions that rules and other conditions use, also through definitions.
func (s *examined) usedDefinitions() []string {
	var used []string
	for _, r := range s.source.Rules {
		used = append(used, s.language.identifiers(r.When)...)
	}
	for _, c := range s.source.Conditions {
		used = append(used, s.language.identifiers(c.Expr)...)
	}
	for i := 0; i < len(used); i++ {
		for _, d := range s.source.Define {
			if d.Name != used[i] {
				continue
			}
			for _, name := range s.language.identifiers(d.Expr) {
				if !slices.Contains(used, name) {
					used = append(used, name)
				}
			}
		}
	}
	return used
}
