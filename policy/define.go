package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
)

// lists makes the lists of [list].
func (c *compiler) lists() map[string]*List {
	lists := map[string]*List{}
	for _, named := range c.source.Lists {
		path := "list." + named.Name
		if !simpleName.MatchString(named.Name) {
			c.report(path, "%q is no name for a list; use lower-case letters, digits and _", named.Name)
			continue
		}
		if words[named.Name] {
			c.report(path, "%q is a word of the expression language; choose another name for the list", named.Name)
			continue
		}
		if lists[named.Name] != nil {
			c.report(path, "list %q stands twice; give each a name of its own", named.Name)
			continue
		}
		entries := slices.Clone(named.Entries)
		for i, entry := range entries {
			if isFile(entry) {
				entries[i] = ""
			}
		}
		list, wrong := NewList(append(entries, named.More...), c.source.Networks())
		for _, i := range slices.Sorted(maps.Keys(wrong)) {
			if i < len(named.Entries) && isFile(named.Entries[i]) {
				continue
			}
			c.report(fmt.Sprintf("%s[%d]", path, i), "list %q: %v", named.Name, wrong[i])
		}
		lists[named.Name] = list
	}
	return lists
}

// isFile reports whether an entry names a file with more entries.
func isFile(entry string) bool { return strings.HasPrefix(entry, "file:") }

// definitions compiles [define] in the order in which definitions use each other.
func (c *compiler) definitions() {
	open := map[string]Definition{}
	for _, d := range c.source.Define {
		if c.definitionName(d.Name, open) {
			open[d.Name] = d
		}
	}
	var path []string
	var visit func(name string)
	visit = func(name string) {
		d, isOpen := open[name]
		if !isOpen {
			return
		}
		if i := slices.Index(path, name); i >= 0 {
			circle := slices.Concat(path[i:], []string{name})
			c.report("define."+name, "definition %q uses itself (%s); write one of them without the other", name, strings.Join(circle, " -> "))
			for _, broken := range circle {
				delete(open, broken)
				c.language.broken[broken] = true
			}
			return
		}
		path = append(path, name)
		for _, used := range c.language.identifiers(d.Expr) {
			visit(used)
		}
		path = path[:len(path)-1]
		if _, isOpen = open[name]; isOpen {
			delete(open, name)
			c.reportAll("define."+name, fmt.Sprintf("definition %q: ", name), c.language.define(d))
		}
	}
	for _, d := range c.source.Define {
		visit(d.Name)
	}
}

func (c *compiler) definitionName(name string, known map[string]Definition) bool {
	_, twice := known[name]
	switch {
	case !simpleName.MatchString(name):
		c.report("define."+name, "%q is no name for a definition; use lower-case letters, digits and _", name)
	case isWord(name):
		c.report("define."+name, "%q has a meaning already; choose another name", name)
	case twice:
		c.report("define."+name, "definition %q stands twice; give each a name of its own", name)
	default:
		return true
	}
	return false
}

// identifiers gives the plain names that an expression uses; none when it cannot be parsed, which is reported elsewhere.
func (l *language) identifiers(text string) []string {
	parsed, issues := l.env.Parse(text)
	if issues.Err() != nil {
		return nil
	}
	var out []string
	walkExpr(parsed.NativeRep().Expr(), nil, func(e ast.Expr, bound []string) bool {
		if e.Kind() == ast.IdentKind && !slices.Contains(bound, e.AsIdent()) {
			out = append(out, e.AsIdent())
		}
		return true
	})
	return out
}
