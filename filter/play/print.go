package play

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"gatepost.example/filter"
)

// Bounds of what is shown of a header.
const (
	maxFields = 200
	maxField  = 4000 // bytes
)

// Visible makes what a sender wrote safe for a terminal: lines stay, other control characters do not, and it is cut.
func Visible(text string) string {
	if len(text) > maxField {
		text = text[:maxField] + "..."
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case filter.Hidden(r):
			return '?'
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}

// Print writes what happened for people: each event, and under each decision what every check found and every fact that was known.
func (r *Result) Print(w io.Writer) {
	for _, e := range r.Events {
		fmt.Fprintf(w, "  %s\n", Visible(e.String()))
	}
	for _, record := range r.Records {
		fmt.Fprintf(w, "  decision %s: %s", record.ID, record.What())
		if record.Decision.Rule != "" {
			spoken := "not spoken"
			if record.Spoken != "none" {
				spoken = "spoken at " + record.Spoken
			}
			fmt.Fprintf(w, " by rule %s, decided at %s, %s", record.Decision.Rule, record.Decision.Decided, spoken)
		}
		fmt.Fprintln(w)
		for _, would := range record.Woulds {
			fmt.Fprintf(w, "    would: %s\n", would)
		}
		for _, f := range record.Findings {
			fmt.Fprintf(w, "    %-8s %s", f.Check, Visible(strings.TrimSpace(f.Result+" "+f.Domain+" "+f.Code)))
			if f.Detail != "" {
				fmt.Fprintf(w, ": %q", f.Detail)
			}
			fmt.Fprintln(w)
			for _, a := range f.Lookups {
				fmt.Fprintf(w, "             asked %s %q: %s\n", a.Type, a.Name, a)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(record.Facts)) {
			fmt.Fprintf(w, "    %-18s = %q\n", name, record.Facts[name])
		}
	}
	if fields, ok := r.lastHeader(); ok {
		for _, f := range fields[:min(len(fields), maxFields)] {
			fmt.Fprintf(w, "  %s: %s\n", Visible(f.Name), strings.ReplaceAll(strings.TrimSpace(Visible(f.Value)), "\n", "\n  "))
		}
		if more := len(fields) - maxFields; more > 0 {
			fmt.Fprintf(w, "  and %d more fields\n", more)
		}
	}
}
