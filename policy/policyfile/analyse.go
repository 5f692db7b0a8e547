package policyfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gatepost.example/policy"
)

// Finding is what the analysis of a policy file without mistakes finds doubtful, with its place.
type Finding struct {
	Place   Error // its text is the finding's
	Level   policy.Level
	Kind    string
	Rule    string
	Witness *policy.Witness
}

// String gives "file:line:col: warning: text".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", f.Place.File, f.Place.Line, f.Place.Col, f.Level, f.Place.Text)
}

// Analyse looks for what no single key shows: what the rules do together (policy.Analyse), and limits and lists of DNS that no rule reads.
// The findings stand in the order of the file.
func (f *File) Analyse() ([]Finding, *policy.Analysis) {
	analysis := policy.Analyse(f.Vocabulary, f.withTables())
	if analysis == nil {
		return nil, nil
	}
	all := append(slices.Clone(analysis.Findings), f.unread()...)
	where := newPlaces(strings.TrimLeft(f.Text, "\ufeff"))
	d := &decoder{file: f.Name, where: where}
	out := make([]Finding, len(all))
	for i, found := range all {
		path := d.located(found.Path)
		offset := where.find(path).value
		if found.Line > 0 {
			offset = where.inside(path, found.Line, found.Col)
		}
		line, col := where.position(offset)
		out[i] = Finding{Error{f.Name, line, col, found.Text}, found.Level, found.Kind, found.Rule, found.Witness}
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Place.Col, b.Place.Col))
	})
	return out, analysis
}

// Line gives the line in which a rule of the file begins, 0 for none.
func (f *File) Line(rule string) int {
	for i, r := range f.source.Rules {
		if r.Name == rule {
			where := newPlaces(strings.TrimLeft(f.Text, "\ufeff"))
			line, _ := where.position(where.find(item("rule", i)).value)
			return line
		}
	}
	return 0
}

// unread finds limits and lists of DNS whose facts no rule reads.
func (f *File) unread() []policy.Finding {
	var out []policy.Finding
	report := func(path, format string, args ...any) {
		out = append(out, policy.Finding{Level: policy.Warning, Kind: "unused", Problem: policy.Problem{Path: path, Text: fmt.Sprintf(format, args...)}})
	}
	reads := func(names ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			_, known := f.Vocabulary.Fact(name)
			return known && f.Policy.Wants([]policy.Fact{{Name: name}})
		})
	}
	for i, l := range f.Limits {
		if !reads("over."+l.Name, "over."+l.Name+".retry") {
			report(item("limit", i), "limit %q: no rule reads over.%s, so it counts nothing", l.Name, l.Name)
		}
	}
	for i, l := range f.DNSBL {
		subject, _, _ := strings.Cut(string(l.Query), ".")
		if !reads(subject+".dnsbl_score", subject+".dnsbls", subject+".dnsbl_url") {
			report(item("dnsbl", i), "dnsbl %q: no rule reads %s.dnsbl_score, so it is never asked", l.Name, subject)
		}
	}
	return out
}
