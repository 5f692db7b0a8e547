package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

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
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return err
	}
	_, err := c.OutOrStdout().Write(escapeHidden(text.Bytes()))
	return err
}

// escapeHidden escapes what JSON leaves as it is and a terminal obeys, as U+009B, or turns a line by. It stands in texts only, and they stay the same.
func escapeHidden(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r >= 0x7f && filter.Hidden(r) {
			for _, unit := range utf16.AppendRune(nil, r) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}
