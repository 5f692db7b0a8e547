package policyfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gatepost.example/policy"
)

// Compare tells how messages end otherwise under the new of two files (policy.Compare), and which settings differ, in words.
func Compare(old, new *File) (*policy.Comparison, []string, error) {
	c, err := policy.Compare(old.Vocabulary, old.withTables(), new.Vocabulary, new.withTables())
	if err != nil {
		return nil, nil, err
	}
	before, _ := toTree(strings.TrimLeft(old.Text, "\ufeff"))
	after, _ := toTree(strings.TrimLeft(new.Text, "\ufeff"))
	d := &difference{}
	for _, name := range both(before, after) {
		d.section(name, before[name], after[name])
	}
	d.entries(old, new)
	d.speaking(c)
	return c, d.out, nil
}

// difference collects what differs in the settings of two files.
type difference struct{ out []string }

func (d *difference) say(format string, args ...any) {
	d.out = append(d.out, fmt.Sprintf(format, args...))
}

// secret are the keys whose values are never shown.
var secret = []string{"store.url", "zone", "admin.token"}

// section compares a section, or all tables of one name.
func (d *difference) section(name string, before, after any) {
	switch name {
	case "list":
		return
	case "rule", "limit", "dnsbl":
		d.tables(name, before, after)
		return
	case "define", "pairs":
		d.named(map[string]string{"define": "definition", "pairs": "pairs"}[name], before, after)
		return
	}
	_, was := before.(map[string]any)
	_, is := after.(map[string]any)
	switch { // a section that is not there has its defaults
	case was && after == nil:
		after = map[string]any{}
	case is && before == nil:
		before = map[string]any{}
	}
	d.value(name, before, after)
}

func both(a, b map[string]any) []string {
	keys := slices.Collect(maps.Keys(a))
	keys = slices.AppendSeq(keys, maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// value compares one setting.
func (d *difference) value(path string, before, after any) {
	b, tableBefore := before.(map[string]any)
	a, tableAfter := after.(map[string]any)
	if tableBefore && tableAfter {
		for _, key := range both(b, a) {
			d.value(path+"."+key, b[key], a[key])
		}
		return
	}
	was, is := settingText(before), settingText(after)
	switch {
	case was == is:
	case slices.Contains(secret, path) || slices.Contains(secret, path[strings.LastIndexByte(path, ' ')+1:]):
		d.say("%s changed", path)
	default:
		d.say("%s is %s, was %s", path, is, was)
	}
}

func settingText(value any) string {
	switch value := value.(type) {
	case nil:
		return "the default"
	case string:
		return fmt.Sprintf("%q", value)
	}
	return fmt.Sprint(value)
}

// named compares tables of a section whose values are long: it says only that they differ.
func (d *difference) named(kind string, before, after any) {
	b, _ := before.(map[string]any)
	a, _ := after.(map[string]any)
	for _, name := range both(b, a) {
		d.presence(fmt.Sprintf("%s %q", kind, name), b[name], a[name])
		if b[name] != nil && a[name] != nil && settingText(b[name]) != settingText(a[name]) {
			d.say("%s %q changed", kind, name)
		}
	}
}

func (d *difference) presence(what string, before, after any) {
	switch {
	case before == nil && after != nil:
		d.say("%s is new", what)
	case before != nil && after == nil:
		d.say("%s is gone", what)
	}
}

// tables compares [[rule]] and its like by the names in it.
func (d *difference) tables(kind string, before, after any) {
	b, was := byName(before)
	a, is := byName(after)
	for _, name := range both(b, a) {
		what := fmt.Sprintf("%s %q", kind, name)
		old, _ := b[name].(map[string]any)
		new, _ := a[name].(map[string]any)
		d.presence(what, b[name], a[name])
		if old == nil || new == nil {
			continue
		}
		for _, key := range both(old, new) {
			if key == "when" && settingText(old[key]) != settingText(new[key]) {
				d.say("%s has another condition", what)
				continue
			}
			d.value(what+": "+key, orFalse(old[key], new[key]), orFalse(new[key], old[key]))
		}
	}
	common := func(names []string, other map[string]any) []string {
		return slices.DeleteFunc(names, func(name string) bool { return other[name] == nil })
	}
	if kind == "rule" && !slices.Equal(common(was, a), common(is, b)) {
		d.say("the rules stand in another order")
	}
}

// orFalse gives a flag of a rule or limit that is not written down as what it then is.
func orFalse(value, other any) any {
	if _, isFlag := other.(bool); isFlag && value == nil {
		return false
	}
	return value
}

// byName gives tables by the names in them, and the names in their order.
func byName(value any) (map[string]any, []string) {
	tables, _ := tablesOf(value)
	out := map[string]any{}
	var names []string
	for _, t := range tables {
		name, _ := t["name"].(string)
		out[name] = t
		names = append(names, name)
	}
	return out, names
}

// maxNamed bounds the entries of a list that are named.
const maxNamed = 3

// entries compares the lists by what they hold, files included.
func (d *difference) entries(old, new *File) {
	was, is := entriesOf(old), entriesOf(new)
	for _, name := range both(anyOf(was), anyOf(is)) {
		what := "list." + name
		switch {
		case was[name] == nil:
			d.say("%s is new", what)
			continue
		case is[name] == nil:
			d.say("%s is gone", what)
			continue
		}
		more := slices.DeleteFunc(slices.Clone(is[name]), func(e string) bool { return slices.Contains(was[name], e) })
		less := slices.DeleteFunc(slices.Clone(was[name]), func(e string) bool { return slices.Contains(is[name], e) })
		if len(more) > 0 {
			d.say("%s has %s more", what, some(more))
		}
		if len(less) > 0 {
			d.say("%s has %s no longer", what, some(less))
		}
	}
}

func anyOf(lists map[string][]string) map[string]any {
	out := map[string]any{}
	for name := range lists {
		out[name] = true
	}
	return out
}

func entriesOf(f *File) map[string][]string {
	out := map[string][]string{}
	for _, l := range f.source.Lists {
		out[l.Name] = append(slices.Clone(l.Entries), l.More...)
		if out[l.Name] == nil {
			out[l.Name] = []string{}
		}
	}
	return out
}

// some names the first of several entries.
func some(entries []string) string {
	shown := make([]string, 0, maxNamed)
	for _, e := range entries[:min(len(entries), maxNamed)] {
		shown = append(shown, fmt.Sprintf("%q", e))
	}
	text := strings.Join(shown, ", ")
	if more := len(entries) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d others", more)
	}
	return text
}

// speaking compares at which stage rules of both files are spoken.
func (d *difference) speaking(c *policy.Comparison) {
	was := map[string]policy.RuleReport{}
	for _, r := range c.Old.Report() {
		was[r.Name] = r
	}
	for _, r := range c.New.Report() {
		old, known := was[r.Name]
		if known && r.Action == policy.Answer && old.Action == policy.Answer && r.Dead == "" && old.Dead == "" && r.Speaks != old.Speaks {
			d.say("rule %q answers from %s on, was %s", r.Name, r.Speaks, old.Speaks)
		}
	}
}
