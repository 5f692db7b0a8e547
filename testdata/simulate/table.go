package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gatepost.example/filter/reputation"
	"gatepost.example/filter/state"
)

// row is one kind of sender under one policy.
type row struct {
	sent, accepted, junk, deferred, refused, gaveUp int
	delay                                           time.Duration // of all that were deferred and then taken
	late                                            int           // how many those are
}

func (r *run) rows(all []*mail) [kinds]row {
	var rows [kinds]row
	for _, m := range all {
		f, row := r.fates[m.number], &rows[m.kind]
		row.sent++
		for flag, count := range map[*int]bool{&row.accepted: f.accepted, &row.junk: f.junk, &row.deferred: f.deferred, &row.refused: f.refused, &row.gaveUp: f.gaveUp} {
			if count {
				*flag++
			}
		}
		if f.deferred && f.accepted {
			row.late++
			row.delay += f.last - f.first
		}
	}
	return rows
}

// table gives what became of each kind of sender. What is neither accepted nor refused was to an unknown recipient or did not come again.
func (r *run) table(rows [kinds]row) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n", r.name)
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "messages\taccepted\tof them Junk\tdeferred\tmean delay\trefused\tgave up\tfirst 4xx\tfirst 5xx\t  from\n")
	for k, row := range rows {
		delay, soft, hard := "", "", ""
		if row.late > 0 {
			delay = (row.delay / time.Duration(row.late)).Round(time.Minute).String()
			delay = strings.TrimSuffix(delay, "0s")
		}
		if kind(k).attacks() {
			soft, hard = since(r.firsts[k].seen, r.firsts[k].deferred), since(r.firsts[k].seen, r.firsts[k].refused)
		}
		fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%s\t%d\t%d\t%s\t%s\t  %s %s\n", row.sent, row.accepted, row.junk, row.deferred, delay, row.refused, row.gaveUp, soft, hard, kindNames[k], r.why(kind(k)))
	}
	w.Flush()
	fmt.Fprintf(&out, "%s\n%s\n", shares("wanted", rows[:forwardedSpam]), shares("unwanted", rows[forwardedSpam:]))
	return out.String()
}

// shares gives in one line what became of several kinds together. A message that was deferred and then accepted counts for both.
func shares(what string, rows []row) string {
	var all row
	for _, r := range rows {
		all.sent, all.accepted, all.deferred, all.refused = all.sent+r.sent, all.accepted+r.accepted, all.deferred+r.deferred, all.refused+r.refused+r.gaveUp
	}
	part := func(n int) float64 { return 100 * float64(n) / float64(all.sent) }
	return fmt.Sprintf("%s mail: %.1f %% accepted, %.2f %% deferred, %.2f %% refused or given up", what, part(all.accepted), part(all.deferred), part(all.refused))
}

// why names the rules that refused or deferred, with how often they spoke.
func (r *run) why(k kind) string {
	var words []string
	for _, rule := range slices.Sorted(maps.Keys(r.rules[k])) {
		words = append(words, fmt.Sprintf("%s %d", rule, r.rules[k][rule]))
	}
	if len(words) == 0 {
		return ""
	}
	return "(" + strings.Join(words, ", ") + ")"
}

func since(seen, happened time.Duration) string {
	switch {
	case happened < 0:
		return "never"
	case happened-seen < 2*time.Hour:
		return fmt.Sprintf("%.0fm", (happened - seen).Minutes())
	}
	return fmt.Sprintf("%.1fd", (happened-seen).Hours()/24)
}

// cell gives what a run's memory has of a key when the month ends.
func (r *run) cell(table, key string) state.Cell {
	end := began.Add(month)
	c := r.store.Do(context.Background(), end, []state.Step{reputation.Look(table, key)}, nil)[0].Cell
	return c.Decayed(14*day, end)
}
