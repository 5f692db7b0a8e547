package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types/ref"
)

// Witness is a message that shows what a finding says: the values of its facts, and of the fields that conditions read. A condition that
// asks for a list without fitting entries is shown by an entry that the list would have.
type Witness struct {
	Facts   map[string]Value    // of every fact
	Header  map[string][]string // by lower-case name
	Entries map[string][]string // by list
	changed map[string]bool     // facts that the finding needs to be what they are
	told    map[string]bool     // facts that are told even where they are as usual
}

func newWitness(v *Vocabulary) *Witness {
	w := &Witness{
		Facts: map[string]Value{}, Header: map[string][]string{}, Entries: map[string][]string{}, changed: map[string]bool{}, told: map[string]bool{},
	}
	for _, f := range v.facts {
		w.Facts[f.Name] = Value{usualValue(f)}
	}
	return w
}

func (w *Witness) copy() *Witness {
	c := *w
	c.Facts, c.Header, c.changed, c.told = maps.Clone(w.Facts), maps.Clone(w.Header), maps.Clone(w.changed), maps.Clone(w.told)
	c.Entries = map[string][]string{}
	for name, entries := range w.Entries {
		c.Entries[name] = slices.Clone(entries)
	}
	return &c
}

// Evidence gives the message as evidence under p, all of it known, and p as it would be with the entries.
func (w *Witness) Evidence(p *Policy) (*Policy, *Evidence) {
	if len(w.Entries) > 0 {
		with := *p
		with.views = maps.Clone(p.views)
		for view, list := range p.views {
			l, ok := list.(listView)
			name, _, _ := strings.Cut(strings.TrimPrefix(view, "list."), "#")
			if more := w.Entries[name]; ok && len(more) > 0 {
				with.views[view] = listView{l.list.with(more, l.kind), l.kind}
			}
		}
		p = &with
	}
	e := p.NewEvidence()
	for id, f := range p.vocabulary.facts {
		v, ok := w.Facts[f.Name]
		if !ok {
			v = Value{usualValue(f)}
		}
		e.vals[id], e.at[id] = v.val, Data
	}
	e.PublishHeader(func(name string) []string { return w.Header[name] })
	return p, e
}

// Decide gives what p decides about the message, its recipient being the one of the facts, and whether any rule does.
func (w *Witness) Decide(p *Policy) (Decision, bool) {
	p, e := w.Evidence(p)
	walk := p.NewWalk().ForRecipient()
	walk.Step(e, Data)
	return walk.Decision()
}

// Truth reports whether the condition of a rule of p is true of the message, and whether its evaluation fails.
func (w *Witness) Truth(p *Policy, rule string) (holds, fails bool) {
	p, e := w.Evidence(p)
	for _, r := range p.rules {
		if r.name == rule {
			v, _, err := r.program.Eval(e)
			t, _ := toTruth(v)
			return err == nil && t == yes, err != nil
		}
	}
	return false, false
}

// Lines tells the message by what the finding needs of it: "spf.result = \"temperror\"". None means: any ordinary message.
func (w *Witness) Lines(v *Vocabulary) []string {
	var out []string
	for _, f := range v.facts {
		value := w.Facts[f.Name].val
		if value != nil && (w.told[f.Name] || w.changed[f.Name] && value.Equal(usualValue(f)) != trueValue) {
			out = append(out, fmt.Sprintf("%s = %s", f.Name, literal(value)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.Header)) {
		out = append(out, fmt.Sprintf("header(%q) = %s", name, literal(StringsOf(w.Header[name]).val)))
	}
	for _, name := range slices.Sorted(maps.Keys(w.Entries)) {
		out = append(out, fmt.Sprintf("list.%s has %s", name, strings.Join(quoted(w.Entries[name]), " and ")))
	}
	return out
}

// literal writes a value as conditions do.
func literal(v ref.Val) string {
	if texts, ok := v.Value().([]string); ok {
		return "[" + strings.Join(quoted(texts), ", ") + "]"
	}
	if text, ok := v.Value().(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return textOf(v)
}

// set gives a fact a value, and its relatives the parts of it where they are free: an address has one domain.
func (w *Witness) set(name string, v Value, pinned map[string]bool) {
	w.Facts[name], w.changed[name] = v, true
	group, part, _ := strings.Cut(name, ".")
	text, isText := v.val.Value().(string)
	give := func(part, text string) {
		_, there := w.Facts[group+"."+part]
		if there && !pinned[group+"."+part] {
			w.Facts[group+"."+part], w.changed[group+"."+part] = StringOf(text), true
		}
	}
	address, _ := w.Facts[group+".address"]
	if address.val == nil {
		return
	}
	old := textOf(address.val)
	at := strings.LastIndexByte(old, '@')
	switch {
	case part == "address" && isText:
		at = strings.LastIndexByte(text, '@')
		give("local", text[:max(at, 0)])
		give("domain", text[at+1:])
	case part == "domain" && isText && text != "":
		give("address", orElse(old[:max(at, 0)], "alice")+"@"+text)
	case part == "local" && isText:
		give("address", text+"@"+orElse(old[at+1:], "example.org"))
	case part == "empty" && v == BoolOf(true):
		for _, part := range []string{"address", "local", "domain"} {
			give(part, "")
		}
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}
