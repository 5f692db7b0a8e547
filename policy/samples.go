package policy

import (
	"iter"
	"maps"
	"net/netip"
	"regexp/syntax"
	"slices"
	"strings"
)

// What a message can be made of so that it is in a list, or matches a pattern.

// maxExamples bounds what is tried of one list.
const maxExamples = 30

// examples gives texts of a kind that are in the list.
func (l *List) examples(kind Kind) []string {
	var out []string
	add := func(all map[string]bool, before string) {
		for text := range all {
			out = append(out, before+text)
		}
	}
	switch kind {
	case KindIP:
		for p := range l.networks.All() {
			out = append(out, p.Addr().String())
		}
	case KindUser:
		add(l.users, "")
	case KindDomain, KindAddress:
		before := ""
		if kind == KindAddress {
			add(l.addresses, "")
			before = "alice@"
		}
		add(l.domains, before)
		add(l.below, before+"mail.")
	}
	slices.Sort(out)
	return out[:min(len(out), maxExamples)]
}

// with gives the list with more entries: texts of a kind.
func (l *List) with(more []string, kind Kind) *List {
	out := &List{&besides{Networks: l.networks}, maps.Clone(l.addresses), maps.Clone(l.domains), maps.Clone(l.below), maps.Clone(l.users)}
	for _, text := range more {
		if kind == KindUser {
			text = userPrefix + text
		}
		_ = out.add(text) // what cannot be an entry is in no list
	}
	return out
}

// besides is a table with a few addresses more; the table itself stays as it is.
type besides struct {
	Networks
	more []netip.Prefix
}

// Insert implements Networks.
func (b *besides) Insert(network netip.Prefix) { b.more = append(b.more, network) }

// Contains implements Networks.
func (b *besides) Contains(addr netip.Addr) bool {
	return slices.ContainsFunc(b.more, func(p netip.Prefix) bool { return p.Contains(addr) }) || b.Networks.Contains(addr)
}

// LookupPrefixLPM implements Networks.
func (b *besides) LookupPrefixLPM(network netip.Prefix) (netip.Prefix, bool) {
	if slices.Contains(b.more, network) {
		return network, true
	}
	return b.Networks.LookupPrefixLPM(network)
}

// All implements Networks.
func (b *besides) All() iter.Seq[netip.Prefix] {
	return func(yield func(netip.Prefix) bool) {
		for _, p := range slices.AppendSeq(slices.Clone(b.more), b.Networks.All()) {
			if !yield(p) {
				return
			}
		}
	}
}

// sampleOf gives one short text that a pattern matches, "" where it finds none.
func sampleOf(pattern string) string {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	var b strings.Builder
	sample(parsed.Simplify(), &b, 0)
	return b.String()
}

func sample(r *syntax.Regexp, b *strings.Builder, depth int) {
	if depth > 50 || b.Len() > 500 {
		return
	}
	switch r.Op {
	case syntax.OpLiteral:
		b.WriteString(string(r.Rune))
	case syntax.OpCharClass:
		if len(r.Rune) > 0 {
			b.WriteRune(max(r.Rune[0], min(r.Rune[1], 'a')))
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('a')
	case syntax.OpAlternate, syntax.OpCapture, syntax.OpPlus:
		sample(r.Sub[0], b, depth+1)
	case syntax.OpConcat:
		for _, sub := range r.Sub {
			sample(sub, b, depth+1)
		}
	}
}
