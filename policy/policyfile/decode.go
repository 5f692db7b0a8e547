package policyfile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost.example/policy"
)

// decoder walks the tree of one file and collects what is wrong with it.
type decoder struct {
	file   string
	where  *places
	named  map[string][]string // the names in arrays of tables, such as those of [[rule]], to speak of them
	bad    map[string]bool     // paths that something was reported about
	errors Errors
	unread error // a file that the policy names could not be opened, and not for what it is

	enforced []bool // for each [[rule]]: it says enforce, and not 0%
}

// maxErrors bounds the work on a file of nothing but mistakes.
const maxErrors = 1000

// full reports whether so much is wrong that looking on helps nobody.
func (d *decoder) full() bool { return len(d.errors) >= maxErrors }

// wrongAt reports a mistake at an offset.
func (d *decoder) wrongAt(offset int, format string, args ...any) {
	if d.full() {
		return
	}
	line, col := d.where.position(offset)
	d.errors = append(d.errors, Error{File: d.file, Line: line, Col: col, Text: fmt.Sprintf(format, args...)})
}

// wrong reports a mistake in the value at a path; the text begins with the name of what is wrong.
func (d *decoder) wrong(path, format string, args ...any) {
	if d.full() {
		return
	}
	d.bad[path] = true
	d.wrongAt(d.where.find(path).value, "%s%s", d.subject(path), fmt.Sprintf(format, args...))
}

// subject gives the beginning of a message about a path, in the words that package policy uses too.
func (d *decoder) subject(path string) string {
	section, rest, _ := strings.Cut(path, ".")
	key, _, _ := strings.Cut(rest, "[")
	key, _, _ = strings.Cut(key, ".")
	switch {
	case section == "define":
		return fmt.Sprintf("definition %q: ", key)
	case section == "pairs":
		return fmt.Sprintf("pairs %q: ", key)
	case section == "list":
		return fmt.Sprintf("list %q: ", key)
	case strings.HasSuffix(section, "]"):
		group, number, _ := strings.Cut(strings.TrimSuffix(section, "]"), "[")
		i, err := strconv.Atoi(number)
		name := fmt.Sprintf("%s %d: ", group, i+1)
		if names := d.named[group]; err == nil && i < len(names) && names[i] != "" {
			name = fmt.Sprintf("%s %q: ", group, names[i])
		}
		if key != "" {
			name += key + ": "
		}
		return name
	case key != "":
		return section + "." + key + ": "
	}
	return section + ": "
}

// decode fills f from the tree.
func (d *decoder) decode(f *File, tree map[string]any) {
	tables := f.tables()
	for _, name := range d.ordered("", tree) {
		value := tree[name]
		if d.names(f, name, value) {
			continue
		}
		if top := tables[0].find(name); top != nil {
			top.read(d, name, value)
			continue
		}
		i := slices.IndexFunc(tables, func(t table) bool { return t.name == name })
		if d.full() {
			return
		}
		if i <= 0 {
			d.unknownTop(tables, name, value)
			continue
		}
		if section, ok := d.tableOf(name, value); ok {
			d.keys(tables, tables[i], name, section)
		}
	}
	d.relations(f)
}

// ordered gives the keys of a table in the order of the file.
func (d *decoder) ordered(path string, t map[string]any) []string {
	return slices.SortedFunc(maps.Keys(t), func(a, b string) int {
		if n := d.where.find(join(path, a)).key - d.where.find(join(path, b)).key; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
}

// keys reads the keys of one section or rule.
func (d *decoder) keys(tables []table, t table, path string, values map[string]any) {
	for _, name := range d.ordered(path, values) {
		at := join(path, name)
		if k := t.find(name); k != nil {
			k.read(d, at, values[name])
			continue
		}
		if d.full() {
			return
		}
		d.bad[at] = true
		d.wrongAt(d.where.find(at).key, "unknown key %q in %s%s", name, t.title(), hintFor(tables, t, name))
	}
}

// unknownTop reports a section or key that is none.
func (d *decoder) unknownTop(tables []table, name string, value any) {
	d.bad[name] = true
	at := d.where.find(join("", name)).key
	if describe(value) == "a table" || describe(value) == "an array of tables" {
		var candidates []string
		for _, t := range tables[1:] {
			candidates = append(candidates, t.name)
		}
		candidates = append(candidates, "list", "pairs", "define", "dnsbl", "limit", "rule")
		hint := "; this version knows " + listed(candidates)
		if near := nearest(name, candidates); near != "" {
			hint = fmt.Sprintf(" (did you mean %s?)", titleOf(near))
		}
		d.wrongAt(at, "unknown section %q%s", name, hint)
		return
	}
	d.wrongAt(at, "unknown key %q above the first section%s", name, hintFor(tables, tables[0], name))
}

// hintFor says which key of a table was meant, or where a key of this name belongs.
func hintFor(tables []table, t table, name string) string {
	var here []string
	for _, k := range t.keys {
		here = append(here, k.name)
	}
	near := nearest(name, here)
	if near != "" && strings.EqualFold(near, name) {
		return "; keys are written in lower case: " + near
	}
	for _, other := range tables {
		if other.find(name) != nil && other.name != "" {
			return fmt.Sprintf("; it belongs into %s", other.title())
		}
		if other.find(name) != nil {
			return "; it belongs above the first section"
		}
	}
	if near != "" {
		return fmt.Sprintf(" (did you mean %s?)", near)
	}
	return "; this version knows " + listed(here)
}

// listed joins words: "a, b and c".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// tableOf demands a table.
func (d *decoder) tableOf(path string, value any) (map[string]any, bool) {
	if t, ok := value.(map[string]any); ok {
		return t, true
	}
	if describe(value) == "an array of tables" {
		d.wrong(path, "it stands once; write [%s] with single brackets", path)
	} else {
		d.wrong(path, "it is a section, not %s; write [%s] and its keys below", describe(value), path)
	}
	return nil, false
}

// describe names the type of a value of the tree.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return "a text"
	case bool:
		return strconv.FormatBool(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case time.Time:
		return "a date"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	case []any:
		return "an array"
	}
	return "nothing"
}

// compile makes the policy and reports what package policy finds wrong with it.
func (d *decoder) compile(f *File) {
	f.source.Observe = f.Mode == Observe
	f.source.DelayReject = f.Server.DelayReject
	d.observeOthers(f)
	f.source.Mildest = f.Recipients.Mixed == MixedMildest
	compiled, problems := policy.Compile(f.Vocabulary, f.withTables())
	f.Policy = compiled
	for i, next := 0, 0; compiled != nil && i < len(f.Limits); i++ {
		if f.Limits[i].when != "" {
			f.Limits[i].When = compiled.Condition(next)
			next++
		}
	}
	for _, p := range problems {
		path := d.located(p.Path)
		if d.consequence(path) {
			continue
		}
		offset := d.where.find(path).value
		if p.Line > 0 {
			offset = d.where.inside(path, p.Line, p.Col)
		}
		d.wrongAt(offset, "%s", p.Text)
	}
}

// located gives a path of package policy as places knows it: names that are no bare words stand in quotes there.
func (d *decoder) located(path string) string {
	if _, ok := d.where.at[path]; ok {
		return path
	}
	for i := range len(path) {
		if path[i] != '.' {
			continue
		}
		quoted := join(path[:i], path[i+1:])
		if _, ok := d.where.at[quoted]; ok {
			return quoted
		}
	}
	return path
}

// consequence reports whether a problem at a path is only the echo of one that is reported already: the key itself is bad, or the
// rule or its action lacks what could not be read.
func (d *decoder) consequence(path string) bool {
	if d.bad[path] {
		return true
	}
	if action, ok := strings.CutSuffix(path, ".action"); ok {
		return d.bad[action+".header"] || d.bad[action+".reply"]
	}
	if !strings.HasPrefix(path, "rule[") || strings.Contains(path, ".") {
		return false
	}
	return d.badBelow(path)
}

// badBelow reports whether something was reported about a path or what is in it.
func (d *decoder) badBelow(path string) bool {
	for bad := range d.bad {
		if bad == path || strings.HasPrefix(bad, path+".") {
			return true
		}
	}
	return false
}
