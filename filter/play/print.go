package play

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Print writes what happened for people: each event, and under each decision what every check found and every fact that was known.
func (r *Result) Print(w io.Writer) {
	for _, e := range r.Events {
		fmt.Fprintf(w, "  %s\n", e)
	}
	for _, record := range r.Records {
		fmt.Fprintf(w, "  decision %s: %s", record.ID, record.What())
		if record.Decision.Rule != "" {
			fmt.Fprintf(w, " by rule %s, decided at %s, spoken at %s", record.Decision.Rule, record.Decision.Decided, record.Spoken)
		}
		fmt.Fprintln(w)
		for _, would := range record.Woulds {
			fmt.Fprintf(w, "    would: %s\n", would)
		}
		for _, f := range record.Findings {
			fmt.Fprintf(w, "    %-8s %s", f.Check, strings.TrimSpace(f.Result+" "+f.Domain+" "+f.Code))
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
		for _, f := range fields {
			fmt.Fprintf(w, "  %s: %s\n", f.Name, strings.TrimSpace(strings.ReplaceAll(f.Value, "\n", "\n  ")))
		}
	}
}
