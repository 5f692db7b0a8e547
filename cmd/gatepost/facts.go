package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/policy"
)

func newFacts() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "facts",
		Short: "List every fact that rules can read",
		Long: `List every fact: its name as rules write it, its type, the first stage of the SMTP
session at which it is known, and what it means. A rule that reads a late fact
decides late: gatepost check says from when on each rule of a policy can decide.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if asJSON {
				return printFactsJSON(c)
			}
			return printFacts(c)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// factRow is a fact as people read it.
type factRow struct{ name, kind, stage, text string }

// factRows gives every fact, and the forms that ask for fields and lists.
func factRows() ([]factRow, error) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	var rows []factRow
	for _, f := range vocabulary.Facts() {
		text := f.Text
		if f.Words != nil {
			text += " (" + wordsText(f.Words) + ")"
		}
		rows = append(rows, factRow{f.Name, f.Type.String(), f.Stage.String(), text})
	}
	return append(rows,
		factRow{`header("NAME")`, policy.Strings.String(), policy.Data.String(), `the values of the fields of that name, for example header("Subject").exists(s, s.contains("invoice"))`},
		factRow{"list.NAME", "list", policy.Connect.String(), "a list of policy.toml; its only use is FACT in list.NAME"}), nil
}

func printFacts(c *cobra.Command) error {
	rows, err := factRows()
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&out, "%-18s %-12s %-8s %s\n", r.name, r.kind, r.stage, r.text)
	}
	_, err = fmt.Fprint(c.OutOrStdout(), out.String())
	return err
}

func wordsText(words []string) string {
	shown := make([]string, len(words))
	for i, w := range words {
		shown[i] = w
		if w == "" {
			shown[i] = `""`
		}
	}
	return strings.Join(shown, ", ")
}

func printFactsJSON(c *cobra.Command) error {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return err
	}
	type row struct {
		Name  string   `json:"name"`
		Type  string   `json:"type"`
		Stage string   `json:"stage"`
		Scope string   `json:"scope"`
		Kind  string   `json:"kind,omitempty"`
		Words []string `json:"words,omitempty"`
		Text  string   `json:"text"`
	}
	rows := []row{}
	for _, f := range vocabulary.Facts() {
		rows = append(rows, row{f.Name, f.Type.String(), f.Stage.String(), f.Scope.String(), f.Kind.String(), f.Words, f.Text})
	}
	return printJSON(c, rows)
}

// printJSON prints a value as indented JSON.
func printJSON(c *cobra.Command, value any) error {
	e := json.NewEncoder(c.OutOrStdout())
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
