package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
)

// historyOptions are the flags of gatepost history.
type historyOptions struct {
	where                pastPlace
	since, until, client string
	by                   string
	filter               history.Filter
	follow, asJSON       bool
	begin                int // how many lines of the past --follow begins with; 0 for all
}

func newHistory() *cobra.Command {
	o := historyOptions{}
	c := &cobra.Command{
		Use:   "history",
		Short: "List past decisions, or count them by rule, day or domain",
		Long: `List what was decided, the newest first: every message, and every connection that ended
before MAIL. Filters go together; texts are compared without regard to case. gatepost
explain tells more of one line.

--action takes what was done: a reply code, accept, none (taken, no rule decided), discard,
quarantine, or left (the client left before anything was decided); would-550 finds what
an observed rule would have done. 452 behind none, as in none+452, says that some recipients
were put off, or refused, and that the message itself was taken for the rest. The test
sessions of gatepost doctor have (doctor) in the place of a rule.`,
		Example: "  gatepost history --since 2h --refused\n  gatepost history --sender partner.example --rule spoofed\n  gatepost history --since 7d --by rule\n  gatepost history --follow",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c)
		},
	}
	policyFlag(c, &o.where.policy)
	flags, f := c.Flags(), &o.filter
	flags.StringVar(&o.where.directory, "directory", "", "the `DIRECTORY` of the history; else as the policy says")
	flags.StringVar(&o.since, "since", "24h", "from `TIME` on: 2026-05-05, 2026-05-05T10:00, or how long ago: 24h, 14d")
	flags.StringVar(&o.until, "until", "", "until when, a `TIME` in the same forms")
	flags.StringVar(&f.Rule, "rule", "", "the `RULE` that decided, tagged or would have")
	flags.StringVar(&f.Action, "action", "", "what was done, one `WORD` as above")
	flags.StringVar(&o.client, "client", "", "the client's `ADDRESS` or network")
	flags.StringVar(&f.Sender, "sender", "", "MAIL FROM: an `ADDRESS`, a domain or a part of one")
	flags.StringVar(&f.Recipient, "recipient", "", "RCPT TO: an `ADDRESS` in the same forms")
	flags.StringVar(&f.Author, "author", "", "the author `DOMAIN`, or one above it")
	flags.StringVar(&f.Text, "text", "", "a `TEXT` anywhere in the line")
	flags.BoolVar(&f.Refused, "refused", false, "only what was not simply accepted")
	flags.IntVar(&f.Most, "most", 100, "list at most this `NUMBER`; 0 for all (of --follow: begin with so many, else with 10)")
	flags.StringVar(&o.by, "by", "", "count by `WHAT` instead: rule, action, day, domain (author's or sender's), client")
	flags.BoolVar(&o.follow, "follow", false, "go on with what is decided from now on")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	return c
}

// actionWord is what --action takes.
var actionWord = regexp.MustCompile(`^((would-)?([45][0-9]{2}|accept|none|discard|quarantine|hold|tag)|left)$`)

func (o *historyOptions) run(c *cobra.Command) error {
	var err error
	now := time.Now()
	switch {
	case o.filter.Action != "" && !actionWord.MatchString(o.filter.Action):
		return fmt.Errorf("--action: %q is none; write a reply code as 550, accept, none, discard, quarantine or left, or would-550", o.filter.Action)
	case o.filter.Most < 0:
		return fmt.Errorf("--most: %d is no number of lines; 0 lists all", o.filter.Most)
	case !c.Flags().Changed("most"):
		o.begin = followBegin
	default:
		o.begin = o.filter.Most
	}
	if o.filter.Since, err = parseMoment("since", o.since, now); err != nil {
		return err
	}
	if o.filter.Until, err = parseMoment("until", o.until, now); err != nil {
		return err
	}
	if o.client != "" {
		if o.filter.Client, err = clientNetwork(o.client); err != nil {
			return err
		}
	}
	key := keysOfRows[o.by]
	switch {
	case o.by != "" && key == nil:
		return fmt.Errorf("--by: %q is none; write rule, action, day, domain or client", o.by)
	case o.by != "" && o.follow:
		return fmt.Errorf("--by counts what was, --follow waits for what comes; leave one of them out")
	}
	o.where.flushed() // where the daemon cannot be asked, the newest second is missing
	r, err := o.where.open()
	if err != nil {
		return err
	}
	defer r.Close()
	o.filter.Key = o.where.key()
	switch {
	case o.by != "":
		return o.count(c, r, key)
	case o.follow:
		return o.watch(c.Context(), c, r)
	}
	return o.list(c, r)
}

func clientNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	network, err := netip.ParsePrefix(text)
	if err != nil {
		return network, fmt.Errorf("--client: %q is neither an address nor a network", text)
	}
	return network, nil
}

const rowHead = "TIME\tID\tDONE\tRULE\tCLIENT\tSENDER\tRECIPIENTS"

func rowLine(row *history.Row) string {
	cells := []string{row.Time.Format("01-02 15:04:05"), row.ID, strings.Join(append([]string{row.Action}, row.Apart...), "+"), dash(ruleOf(row)), row.Client, "<" + row.Sender + ">", dash(row.Recipients)}
	if row.Would != "" {
		cells = append(cells, "would: "+row.Would)
	}
	for i := range cells {
		cells[i] = filter.Visible(cells[i])
	}
	return strings.Join(cells, "\t")
}

// ofDoctor stands in the place of a rule; no rule can be called so.
const ofDoctor = "(doctor)"

// ruleOf gives the rule that decided; of a test session of gatepost doctor, which leaves before anything is decided, that it is one.
func ruleOf(row *history.Row) string {
	if row.Action == history.Left && strings.HasPrefix(row.Helo, filter.ProbePrefix) {
		return ofDoctor
	}
	return row.Rule
}

// list prints the rows, the newest first, and says so where there are older ones.
func (o *historyOptions) list(c *cobra.Command, r *history.Reader) error {
	rows, texts := []history.Row{}, []string{}
	f, more := o.filter, false
	f.Most = 0
	err := r.Rows(c.Context(), f, func(row *history.Row) bool {
		if more = o.filter.Most > 0 && len(rows) == o.filter.Most; more {
			return false
		}
		rows, texts = append(rows, *row), append(texts, rowLine(row))
		return true
	})
	if err != nil {
		return err
	}
	if err := printTable(c, o.asJSON, rows, rowHead, texts); err != nil || !more || o.asJSON {
		return err
	}
	_, err = fmt.Fprintf(c.ErrOrStderr(), "These are the newest %d; --most NUMBER lists more, --most 0 all.\n", len(rows))
	return err
}

// count prints totals.
func (o *historyOptions) count(c *cobra.Command, r *history.Reader, key func(*history.Row) string) error {
	totals := map[string]*total{}
	f := o.filter
	f.Most = 0
	err := r.Rows(c.Context(), f, func(row *history.Row) bool {
		k := key(row)
		if totals[k] == nil {
			totals[k] = &total{Key: k}
		}
		totals[k].add(row)
		return true
	})
	if err != nil {
		return err
	}
	all := slices.SortedFunc(maps.Values(totals), func(a, b *total) int {
		if o.by == "day" {
			return strings.Compare(a.Key, b.Key)
		}
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Key, b.Key))
	})
	if o.filter.Most > 0 && len(all) > o.filter.Most {
		all = all[:o.filter.Most]
	}
	var texts []string
	for _, t := range all {
		texts = append(texts, fmt.Sprintf("%s\t%d\t%d\t%d\t%d\t%d", filter.Visible(dash(t.Key)), t.Count, t.Taken, t.Deferred, t.Refused, t.Other))
	}
	return printTable(c, o.asJSON, all, strings.ToUpper(o.by)+"\tALL\tTAKEN\tDEFERRED\tREFUSED\tOTHER", texts)
}

// total is how many records have something in common.
type total struct {
	Key      string `json:"key"`
	Count    int    `json:"all"`
	Taken    int    `json:"taken"`
	Deferred int    `json:"deferred"`
	Refused  int    `json:"refused"`
	Other    int    `json:"other"` // dropped, held, or left by the client
}

func (t *total) add(row *history.Row) {
	t.Count++
	switch {
	case row.Action == "none" || row.Action == "accept":
		t.Taken++
	case strings.HasPrefix(row.Action, "4"):
		t.Deferred++
	case strings.HasPrefix(row.Action, "5"):
		t.Refused++
	default:
		t.Other++
	}
}

// keysOfRows says by what rows are counted.
var keysOfRows = map[string]func(*history.Row) string{
	"rule":   ruleOf,
	"action": func(row *history.Row) string { return row.Action },
	"day":    func(row *history.Row) string { return row.Time.Format("2006-01-02") },
	"client": func(row *history.Row) string { return row.Client },
	"domain": func(row *history.Row) string {
		if row.Author != "" {
			return row.Author
		}
		return strings.ToLower(row.Sender[strings.LastIndexByte(row.Sender, '@')+1:])
	},
}

// followPast is how often what is new is looked for, followBegin how many lines of the past come first.
const (
	followPast  = time.Second
	followBegin = 10
)

// watch prints rows as they come, until ctx ends.
func (o *historyOptions) watch(ctx context.Context, c *cobra.Command, r *history.Reader) error {
	f := o.filter
	f.Oldest, f.Most = true, 0
	print := func(row *history.Row) bool {
		f.After = row.Last()
		if o.asJSON {
			return printJSON(c, row) == nil
		}
		return printLine(c.OutOrStdout(), row) == nil
	}
	// The beginning is what a list without --follow ends with.
	var last []history.Row
	begin := o.filter
	begin.Most = o.begin
	if err := r.Rows(ctx, begin, func(row *history.Row) bool { last = append(last, *row); return true }); err != nil {
		return err
	}
	slices.Reverse(last)
	for i := range last {
		print(&last[i])
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followPast):
		}
		if err := r.Rows(ctx, f, print); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func printLine(w io.Writer, row *history.Row) error {
	t := tabwriter.NewWriter(w, 14, 0, 2, ' ', 0)
	fmt.Fprintln(t, rowLine(row))
	return t.Flush()
}
