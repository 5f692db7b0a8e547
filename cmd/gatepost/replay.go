package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

// replayOptions are the flags of gatepost replay.
type replayOptions struct {
	where        pastPlace
	since, until string
	failOn       []string
	recount      bool
	asJSON       bool
	most         int
}

func newReplay() *cobra.Command {
	o := replayOptions{}
	c := &cobra.Command{
		Use:   "replay [NEW.toml]",
		Short: "Say which past decisions would have been different under another policy",
		Long: `Decide the sessions of the history again under the policy NEW.toml, at every step, and
print which decisions come out otherwise, in groups: what was done and what would be, by
which rules, for which author domain, how often, with the ids of examples for gatepost
explain. Without NEW.toml each session is decided again under the policy that was in force
then; that must change nothing, and proves the history.

Nobody is asked: DNS answers, reputations, limits and greylisting are as they were read
then. A session that was ended by a refusal which NEW.toml does not speak would have gone
further, and nobody knows how; where NEW.toml asks for something that was not recorded,
the session is counted as unknown. With --recount limits are counted anew along the
recorded sessions, from empty ones.

--fail-on makes the exit status 1 for a CI. It takes NAME>NUMBER, where NAME is one of
changed, refuse (newly answered 5xx, or dropped), defer (newly answered 4xx), accept (newly
taken), tag (newly marked or held), further, unknown.

Exit status 0: done; 1: --fail-on holds, or NEW.toml is wrong; 2: the history cannot be read.`,
		Example: "  gatepost replay /tmp/new-policy.toml --since 14d\n  gatepost replay /tmp/new-policy.toml --fail-on 'refuse>0' --fail-on 'unknown>100'",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c, args)
		},
	}
	policyFlag(c, &o.where.policy)
	c.Flags().StringVar(&o.where.directory, "directory", "", "the `DIRECTORY` of the history; else as the policy in force says")
	c.Flags().StringVar(&o.since, "since", "14d", "from `TIME` on: 2026-05-05, 2026-05-05T10:00, or how long ago: 14d, 12h")
	c.Flags().StringVar(&o.until, "until", "", "until when, a `TIME` in the same forms")
	c.Flags().StringArrayVar(&o.failOn, "fail-on", nil, "exit status 1 when `NAME>NUMBER` holds")
	c.Flags().BoolVar(&o.recount, "recount", false, "count limits anew")
	c.Flags().IntVar(&o.most, "most", 20, "print at most this `NUMBER` of groups; 0 for all")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print JSON")
	return c
}

// parseMoment reads a time, or how long ago it was.
func parseMoment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	ago, err := policyfile.ParseLong(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("--%s: %q is no time; write for example 14d, 12h, 2026-05-05 or 2026-05-05T10:00", flag, text)
	}
	return now.Add(-ago), nil
}

func (o *replayOptions) run(c *cobra.Command, args []string) error {
	checks, err := parseFailOn(o.failOn)
	if err != nil {
		return err
	}
	p := filter.Replay{Workers: runtime.GOMAXPROCS(0)}
	if o.recount {
		p.Workers = 1
	}
	now := time.Now()
	if p.Since, err = parseMoment("since", o.since, now); err != nil {
		return err
	}
	if p.Until, err = parseMoment("until", o.until, now); err != nil {
		return err
	}
	o.where.flushed() // where the daemon cannot be asked, the newest second is missing
	r, err := o.where.open()
	if err != nil {
		return err
	}
	defer r.Close()
	policies, err := o.where.open() // texts are asked for while blocks are read
	if err != nil {
		return err
	}
	defer policies.Close()
	if p.Under, err = o.under(c.Context(), policies, args); err != nil {
		return err
	}
	debug.SetGCPercent(replayGarbage)
	report, err := p.Run(c.Context(), r)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = printJSON(c, report)
	} else {
		err = printReplay(c.OutOrStdout(), report, o.most)
	}
	if err != nil {
		return err
	}
	return failed(c.OutOrStdout(), report, checks, o.asJSON)
}

// replayGarbage lets the heap grow to several times what is in use, some megabytes, before it is swept.
const replayGarbage = 800

// under gives the policy that records are decided under: the new one, or that of each record.
func (o *replayOptions) under(ctx context.Context, r *history.Reader, args []string) (func(string) (*filter.Replayer, bool, error), error) {
	if len(args) == 1 {
		file, err := loadPolicy(args[0])
		if err != nil {
			return nil, err
		}
		hidden, err := withHidden(file.Name, []byte(file.Text), o.where.key(), policyfile.Reading{Now: time.Now(), File: policyfile.ReadFile})
		if err != nil {
			return nil, err
		}
		replayer := filter.NewReplayer(filter.SettingsOf(hidden), nil, o.recount)
		return func(identity string) (*filter.Replayer, bool, error) {
			return replayer, identity == file.Identity() && !o.recount, nil
		}, nil
	}
	known := map[string]*filter.Replayer{}
	return func(identity string) (*filter.Replayer, bool, error) {
		if known[identity] == nil {
			file, err := recordedPolicy(ctx, r, identity, o.where.key())
			if err != nil {
				return nil, false, err
			}
			known[identity] = filter.NewReplayer(filter.SettingsOf(file), nil, o.recount)
		}
		return known[identity], !o.recount, nil
	}, nil
}

// failOn is one condition of --fail-on.
type failOn struct {
	name string
	most int
}

func parseFailOn(texts []string) ([]failOn, error) {
	var out []failOn
	for _, text := range texts {
		name, number, found := strings.Cut(text, ">")
		n, err := strconv.Atoi(strings.TrimSpace(number))
		one := failOn{strings.TrimSpace(name), n}
		if _, known := countOf(&filter.Report{}, one.name); !found || err != nil || n < 0 || !known {
			return nil, fmt.Errorf("--fail-on: %q is no condition; write for example 'refuse>0'; there are changed, refuse, defer, accept, tag, further and unknown", text)
		}
		out = append(out, one)
	}
	return out, nil
}

// countOf gives how many decisions of a report are of a kind.
func countOf(r *filter.Report, name string) (n int, known bool) {
	switch name {
	case "changed":
		return r.Changed, true
	case "further":
		return r.Further, true
	case "unknown":
		return r.Unknown, true
	case "refuse", "defer", "accept", "tag":
	default:
		return 0, false
	}
	for _, g := range r.Changes {
		if to := kindOf(g.To); to == name && kindOf(g.From) != name {
			n += g.Count
		}
	}
	return n, true
}

// kindOf gives the kind of what was done, as --fail-on names them.
func kindOf(done string) string {
	action, rest, _ := strings.Cut(done, " ")
	switch {
	case strings.HasPrefix(action, "5"), action == "discard":
		return "refuse"
	case strings.HasPrefix(action, "4"):
		return "defer"
	case strings.HasPrefix(rest, "tagged"), action == "quarantine", action == "tag", action == "hold":
		return "tag"
	case action == "accept":
		return "accept"
	}
	return action
}

// failed reports the conditions of --fail-on that hold.
func failed(w io.Writer, report *filter.Report, checks []failOn, quiet bool) error {
	var result error
	for _, one := range checks {
		if n, _ := countOf(report, one.name); n > one.most {
			result = errNo
			if !quiet {
				fmt.Fprintf(w, "failed: %s is %d, more than %d\n", one.name, n, one.most)
			}
		}
	}
	return result
}

func printReplay(w io.Writer, r *filter.Report, most int) error {
	var out strings.Builder
	rate := ""
	if r.Took > 0 && r.Records > 0 {
		rate = fmt.Sprintf(", %.0f a second", float64(r.Records)/r.Took.Seconds())
	}
	fmt.Fprintf(&out, "%d sessions decided again in %s%s\n", r.Records, r.Took.Round(time.Millisecond), rate)
	fmt.Fprintf(&out, "%d the same, %d changed, %d would go further, %d unknown\n", r.Same, r.Changed, r.Further, r.Unknown)
	printGroups(&out, "changed", r.Changes, most)
	printGroups(&out, "would go further: the refusal that ended them is not spoken any more", r.Goes, most)
	printGroups(&out, "unknown: a fact was not recorded", r.Lacks, most)
	_, err := fmt.Fprint(w, out.String())
	return err
}

func printGroups(out *strings.Builder, title string, groups []filter.Group, most int) {
	if len(groups) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s\n", title)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, g := range groups {
		if most > 0 && i == most {
			fmt.Fprintf(t, "  and %d more groups\n", len(groups)-i)
			break
		}
		fmt.Fprintf(t, "  %d\t%s -> %s\t%s\t%s\t%s\n", g.Count, dash(g.From), strings.Replace(g.To, headerFact, headerWords, 1), rulesText(g), filter.Visible(dash(g.Author)), strings.Join(g.IDs, " "))
	}
	t.Flush()
}

func rulesText(g filter.Group) string {
	switch {
	case g.FromRule == "" && g.ToRule == "":
		return "-"
	case g.FromRule == g.ToRule:
		return g.ToRule
	}
	return dash(g.FromRule) + " -> " + dash(g.ToRule)
}
