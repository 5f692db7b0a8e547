package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// notAName says that a plain or dotted name means nothing, with what was probably meant.
func (l *language) notAName(name string) string {
	if list, isList := strings.CutPrefix(name, "list."); isList || name == "list" {
		return l.notAList(strings.TrimPrefix(list, "list"))
	}
	candidates := slices.Concat(slices.Collect(maps.Keys(l.defines)), slices.Collect(maps.Keys(l.broken)))
	for _, f := range l.vocabulary.facts {
		candidates = append(candidates, f.Name)
	}
	slices.Sort(candidates)
	kind := "fact"
	if !strings.Contains(name, ".") {
		kind = "name"
	}
	switch near := nearest(name, candidates); {
	case kind == "name" && l.isValue(name):
		return fmt.Sprintf("unknown name %q; a text stands in quotes: \"%s\"", name, name)
	case near != "":
		return fmt.Sprintf("unknown %s %q (did you mean %s?)", kind, name, near)
	}
	return fmt.Sprintf("unknown %s %q; `gatepost facts` prints all facts", kind, name)
}

// isValue reports whether a name is a word that some fact can have.
func (l *language) isValue(name string) bool {
	return slices.ContainsFunc(l.vocabulary.facts, func(f Fact) bool { return slices.Contains(f.Words, name) })
}

func (l *language) notAList(name string) string {
	if name == "" {
		return `list stands alone; the only use of a list is "FACT in list.NAME"`
	}
	if near := nearest(name, slices.Sorted(maps.Keys(l.lists))); near != "" {
		return fmt.Sprintf("unknown list %q (did you mean %s?)", name, near)
	}
	return fmt.Sprintf("unknown list %q; name it under [list]", name)
}
