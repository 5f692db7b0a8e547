package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// waiting says which rules answer later than they could, and because of which rule.
func waiting(file *policyfile.File, report []policy.RuleReport) string {
	var out strings.Builder
	for i, above := range report {
		n, from, until := 0, policy.Data, policy.Connect
		for _, r := range report[i:] {
			if r.Waits == above.Name && r.Action == policy.Answer && r.Dead == "" && r.Speaks > r.Alone {
				n, from, until = n+1, min(from, r.Alone), max(until, r.Speaks)
			}
		}
		switch {
		case n == 1:
			fmt.Fprintf(&out, "1 rule answers at %s instead of %s because of rule %s, line %d.\n", until, from, above.Name, file.Line(above.Name))
		case n > 1:
			fmt.Fprintf(&out, "%d rules answer at %s instead of %s because of rule %s, line %d.\n", n, until, from, above.Name, file.Line(above.Name))
		}
	}
	return out.String()
}

// maxShown bounds the findings that are printed of one policy.
const maxShown = 50

// findings prints what is doubtful, with its witness.
func findings(file *policyfile.File, found []policyfile.Finding) string {
	var out strings.Builder
	for i, f := range found {
		if i == maxShown {
			fmt.Fprintf(&out, "%s: and %d more\n", file.Name, len(found)-maxShown)
			break
		}
		fmt.Fprintln(&out, f)
		if f.Witness != nil {
			fmt.Fprintf(&out, "    %s\n", witnessText(f.Witness, file.Vocabulary))
		}
	}
	return out.String()
}

// witnessText tells a message by how it differs from an ordinary one.
func witnessText(w *policy.Witness, v *policy.Vocabulary) string {
	lines := w.Lines(v)
	if len(lines) == 0 {
		return "for example any ordinary message"
	}
	return "for example " + strings.Join(lines, ", ")
}

type ruleRow struct {
	Name    string   `json:"name"`
	Line    int      `json:"line"`
	Action  string   `json:"action"`
	Code    int      `json:"code,omitempty"`
	Observe bool     `json:"observe,omitempty"`
	Enforce string   `json:"enforce,omitempty"`
	Scope   string   `json:"scope"`
	Decides string   `json:"decides,omitempty"`
	Settled string   `json:"settled"`
	Speaks  string   `json:"speaks,omitempty"`
	Alone   string   `json:"speaks_alone,omitempty"` // where it would speak if no rule stood above it
	Waits   string   `json:"waits,omitempty"`
	Dead    string   `json:"dead,omitempty"`
	Risks   []string `json:"risks,omitempty"`
}

type findingRow struct {
	Line    int         `json:"line"`
	Col     int         `json:"col"`
	Level   string      `json:"level"`
	Kind    string      `json:"kind"`
	Rule    string      `json:"rule,omitempty"`
	Text    string      `json:"text"`
	Witness *witnessRow `json:"witness,omitempty"`
}

// witnessRow is a message: its facts, those fields that conditions read, and the entries that lists would need.
type witnessRow struct {
	Differs []string            `json:"differs"` // from an ordinary message
	Facts   map[string]any      `json:"facts"`
	Header  map[string][]string `json:"header,omitempty"`
	Entries map[string][]string `json:"entries,omitempty"`
}

func rowOfWitness(w *policy.Witness, v *policy.Vocabulary) *witnessRow {
	if w == nil {
		return nil
	}
	row := &witnessRow{Differs: append([]string{}, w.Lines(v)...), Facts: map[string]any{}, Header: w.Header, Entries: w.Entries}
	for name, value := range w.Facts {
		row.Facts[name] = value.Any()
	}
	return row
}

// printCheckJSON prints what printCheck does as JSON.
func printCheckJSON(c *cobra.Command, file *policyfile.File, found []policyfile.Finding, analysis *policy.Analysis) error {
	rules, doubts := []ruleRow{}, []findingRow{}
	for _, r := range file.Policy.Report() {
		one := ruleRow{Name: r.Name, Line: file.Line(r.Name), Action: r.Action.String(), Code: r.Code, Observe: r.Observe, Scope: r.Scope.String(),
			Settled: r.Settled.String(), Waits: r.Waits, Dead: r.Dead, Risks: r.Risks}
		if r.Share > 0 {
			one.Enforce = r.Share.String()
		}
		if r.Dead == "" {
			one.Decides, one.Speaks, one.Alone = r.Decides.String(), r.Speaks.String(), r.Alone.String()
		}
		rules = append(rules, one)
	}
	for _, f := range found {
		doubts = append(doubts, findingRow{f.Place.Line, f.Place.Col, f.Level.String(), f.Kind, f.Rule, f.Place.Text, rowOfWitness(f.Witness, file.Vocabulary)})
	}
	return printJSON(c, struct {
		Rules     []ruleRow    `json:"rules"`
		Findings  []findingRow `json:"findings"`
		Undecided int          `json:"undecided"`
	}{rules, doubts, analysis.Undecided})
}
