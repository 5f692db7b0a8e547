package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/check"
	"gatepost.example/filter/history"
	"gatepost.example/policy"
)

func newExplain() *cobra.Command {
	where, last, asJSON, recipient := pastPlace{}, false, false, ""
	c := &cobra.Command{
		Use:   "explain ID | --last",
		Short: "Say why a message was refused, or taken, and what would have changed that",
		Long: `Explain a decision of the last weeks. ID is the one that ends every refusal (id 7K3Q-9MXA)
and stands in Gatepost-Id, as it is or as one hears it on the phone (7k3q9mxa), or the MTA's
queue id, or the Message-ID: of several messages with the same the newest is explained, and
the ids of the others are named.

The first five lines are the answer for the phone: what was done, because of what, what
would have made it different, the DNS answers as they were then, and the command that
mends it. Then the session step by step, each rule in order with the values it read, and
what every check found.

Exit status 0: it was explained; 1: nothing is known of it; 2: the history cannot be read.`,
		Example: "  gatepost explain 7K3Q-9MXA\n  gatepost explain '<20260505.1@mail.example.org>'\n  gatepost explain --last",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if last == (len(args) == 1) || len(args) == 1 && strings.TrimSpace(args[0]) == "" {
				return errors.New("name what to explain: an id, a queue id or a message id; or --last for the last that was not accepted, or that mode observe let through")
			}
			id := ""
			if !last {
				id = args[0]
			}
			x, others, err := explain(c.Context(), &where, id, recipient)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(c, explanationJSON(x, others))
			}
			if c.Flags().Changed("policy") && strings.Contains(x.Mend, "gatepost ") {
				x.Mend += "\n         (with --policy " + where.policy + " as here)"
			}
			return printExplanation(c.OutOrStdout(), x, others)
		},
	}
	policyFlag(c, &where.policy)
	c.Flags().StringVar(&where.directory, "directory", "", "the `DIRECTORY` of the history; else as the policy says")
	c.Flags().StringVar(&recipient, "rcpt", "", "explain what this `ADDRESS` among the recipients got")
	c.Flags().BoolVar(&last, "last", false, "explain the last that was not accepted, or that mode observe let through")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// explain finds a record by an id, "" for the last that was not accepted, and explains it. Others are the ids of more records with that queue id or
// message id.
func explain(ctx context.Context, where *pastPlace, id, recipient string) (x *filter.Explanation, others []string, err error) {
	r, err := where.open()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var row *history.Row
	if id != "" {
		row, err = where.find(ctx, r, id)
	} else if row, err = where.findLast(ctx, r); errors.Is(err, history.ErrNone) {
		err = answerNo{errors.New("everything in the history was accepted, and would have been in mode enforce")}
	}
	if err != nil {
		return nil, nil, err
	}
	if others, err = r.Namesakes(ctx, row, id); err != nil {
		return nil, nil, err
	}
	rec, err := r.Record(ctx, row)
	if err != nil {
		return nil, nil, err
	}
	index, err := recipientIndex(rec, recipient, id == "")
	if err != nil {
		return nil, nil, err
	}
	file, err := recordedPolicy(ctx, r, rec.Policy, where.key())
	x = filter.Explain(file, rec, index)
	if file == nil {
		x.Trouble = err.Error()
	}
	return x, others, nil
}

// recipientIndex gives the recipient that is asked about; for the last that was not accepted, one that was refused, if the message itself was not.
func recipientIndex(rec *history.Record, address string, refused bool) (int, error) {
	for i, one := range rec.Recipients {
		if address != "" && strings.EqualFold(one.Address, strings.Trim(address, "<>")) {
			return i, nil
		}
	}
	if address != "" {
		return -1, answerNo{fmt.Errorf("%s is no recipient of %s", address, rec.ID)}
	}
	index := -1
	for i := range rec.Lines {
		switch l := &rec.Lines[i]; {
		case refused && l.Recipient < 0 && l.What != "none" && l.What != "accept":
			return -1, nil
		case refused && l.Refuses():
			index = l.Recipient
		}
	}
	return index, nil
}

// printExplanation prints the answer in five lines, and below it what it rests on.
func printExplanation(w io.Writer, x *filter.Explanation, others []string) error {
	var out strings.Builder
	for _, line := range [][2]string{{"what", x.What}, {"because", x.Because}, {"unless", x.Unless}, {"dns", x.DNS}, {"to mend", x.Mend}} {
		fmt.Fprintf(&out, "%-8s %s\n", line[0], line[1])
	}
	if len(others) > 0 {
		fmt.Fprintf(&out, "\nthe newest of several with this name; the others: gatepost explain %s\n", strings.Join(others, ", "))
	}
	printSteps(&out, x)
	printRules(&out, x)
	printFindings(&out, x.Findings)
	_, err := fmt.Fprint(w, out.String())
	return err
}

// step is one step of a session.
type step struct {
	Stage string `json:"stage"`
	Text  string `json:"text"`
}

// steps tells the session from connect to its end.
func steps(rec *history.Record) []step {
	said := func(at policy.Stage, recipient int) string {
		for i := range rec.Lines {
			if l := &rec.Lines[i]; l.Spoken == at.String() && l.Recipient == recipient {
				text := " -> " + l.What
				if l.Rule != "" {
					text += fmt.Sprintf(" by rule %s, decided at %s", l.Rule, l.Decided)
				}
				return text
			}
		}
		return ""
	}
	c := rec.Client
	out := []step{{"connect", fmt.Sprintf("%s from %s (%s), service %s %s", rec.ConnTime.Format("15:04:05"), dash(addrText(c)), dash(c.Name), dash(c.DaemonName), c.DaemonPort) + said(policy.Connect, -1)}}
	if rec.Greeted {
		out = append(out, step{"helo", dash(rec.Helo) + said(policy.Helo, -1)})
	}
	if rec.Number > 0 {
		text := fmt.Sprintf("<%s>, message %d of the connection", rec.Sender.Address, rec.Number)
		if rec.Sender.User != "" {
			text += ", user " + rec.Sender.User
		}
		if rec.Sender.TLS.Version != "" {
			text += ", " + rec.Sender.TLS.Version
		}
		out = append(out, step{"mail", text + said(policy.Mail, -1)})
	}
	for i, one := range rec.Recipients {
		text := "<" + one.Address + ">"
		if one.Refused {
			text += " refused by the MTA, " + one.Host
		}
		out = append(out, step{"rcpt", text + said(policy.Rcpt, i)})
	}
	if m := rec.Message; m != nil {
		out = append(out, step{"data", fmt.Sprintf("%d bytes, author domain %s, message id %s, queue id %s", m.Size, dash(m.AuthorDomain), dash(m.MessageID), dash(rec.QueueID)) + said(policy.Data, -1)})
	} else {
		out = append(out, step{"end", "the session went no further"})
	}
	return out
}

func addrText(c history.Client) string {
	if c.Addr.IsValid() {
		return c.Addr.String()
	}
	return ""
}

func printSteps(out *strings.Builder, x *filter.Explanation) {
	fmt.Fprintf(out, "\nthe session (id %s, policy %s)\n", x.Record.ID, x.Record.Policy)
	for _, s := range steps(x.Record) {
		fmt.Fprintf(out, "  %-8s %s\n", s.Stage, filter.Visible(s.Text))
	}
	for _, l := range x.Record.Readings {
		if l.Over {
			fmt.Fprintf(out, "  %-8s limit %s is exceeded\n", l.At, l.Limit)
		}
	}
}

func printRules(out *strings.Builder, x *filter.Explanation) {
	if x.Trouble != "" {
		fmt.Fprintf(out, "\nthe rules cannot be walked again: %s\n", x.Trouble)
		return
	}
	out.WriteString("\nthe rules, as they stood when it was decided\n")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, r := range x.Rules {
		name := r.Name
		if r.Observe {
			name += " (observed)"
		}
		fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\n", i+1, name, r.What, stateText(r), filter.Visible(strings.Join(readTexts(r), ", ")))
	}
	w.Flush()
}

func stateText(r policy.RuleTrace) string {
	switch r.State {
	case policy.Matched:
		return "true at " + r.At.String()
	case policy.Waited:
		if len(r.Waits) == 0 {
			return "asked for each recipient"
		}
		return "waited for " + strings.ReplaceAll(strings.Join(r.Waits, ", "), headerFact, headerWords)
	}
	return string(r.State)
}

// headerFact is what a rule waits for that reads header("X"), and headerWords what people call it.
const (
	headerFact  = "@header"
	headerWords = "header fields"
)

func readTexts(r policy.RuleTrace) []string {
	if r.State == policy.NotReached {
		return nil
	}
	var out []string
	for _, f := range r.Reads {
		switch {
		case !f.Known:
			out = append(out, f.Name+" unknown")
		case f.Name == "header":
			out = append(out, headerWords)
		default:
			out = append(out, fmt.Sprintf("%s = %q at %s", f.Name, f.Value, f.At))
		}
	}
	return out
}

func printFindings(out *strings.Builder, findings []check.Finding) {
	out.WriteString("\nwhat the checks found\n")
	for _, f := range findings {
		fmt.Fprintf(out, "  %-10s %s", f.Check, filter.Visible(strings.TrimSpace(f.Result+" "+f.Domain+" "+f.Code)))
		if f.Detail != "" {
			fmt.Fprintf(out, ": %q", f.Detail)
		}
		fmt.Fprintf(out, " (%s)\n", f.Took.Round(time.Millisecond))
		for _, a := range f.Lookups {
			fmt.Fprintf(out, "             asked %s %q: %s\n", a.Type, a.Name, a)
		}
	}
}

// explanationJSON gives an explanation with the names that JSON has.
func explanationJSON(x *filter.Explanation, others []string) any {
	type lookup struct {
		Name   string `json:"name"`
		Type   string `json:"type"`
		Answer string `json:"answer"`
		TTL    int    `json:"ttl_s"`
		Age    int    `json:"age_s"`
	}
	type finding struct {
		Check   string   `json:"check"`
		Result  string   `json:"result"`
		Code    string   `json:"code,omitempty"`
		Domain  string   `json:"domain,omitempty"`
		Detail  string   `json:"detail,omitempty"`
		Lookups []lookup `json:"lookups,omitempty"`
	}
	type rule struct {
		Name    string            `json:"name"`
		What    string            `json:"what"`
		Observe bool              `json:"observe,omitempty"`
		State   string            `json:"state"`
		At      string            `json:"at,omitempty"`
		Waits   []string          `json:"waits,omitempty"`
		Reads   map[string]string `json:"reads,omitempty"`
		Unless  []string          `json:"unless,omitempty"`
	}
	out := struct {
		ID       string            `json:"id"`
		Others   []string          `json:"others,omitempty"` // with the same queue id or message id
		Time     time.Time         `json:"time"`
		Policy   string            `json:"policy"`
		What     string            `json:"what"`
		Because  string            `json:"because"`
		Unless   string            `json:"unless"`
		DNS      string            `json:"dns"`
		Mend     string            `json:"mend"`
		Steps    []step            `json:"steps"`
		Rules    []rule            `json:"rules,omitempty"`
		Trouble  string            `json:"trouble,omitempty"`
		Facts    map[string]string `json:"facts,omitempty"`
		Findings []finding         `json:"findings,omitempty"`
	}{
		ID: x.Record.ID, Others: others, Time: x.Record.Time, Policy: x.Record.Policy, What: x.What, Because: x.Because, Unless: x.Unless, DNS: x.DNS, Mend: x.Mend,
		Steps: steps(x.Record), Trouble: x.Trouble, Facts: map[string]string{},
	}
	for _, f := range x.Facts {
		out.Facts[f.Name] = f.Value
	}
	for _, r := range x.Rules {
		one := rule{Name: r.Name, What: r.What, Observe: r.Observe, State: string(r.State), Waits: r.Waits, Reads: map[string]string{}}
		if r.State == policy.Matched {
			one.At = r.At.String()
		}
		for _, f := range r.Reads {
			if f.Known {
				one.Reads[f.Name] = f.Value
			}
		}
		for _, c := range r.Unless {
			one.Unless = append(one.Unless, c.Term)
		}
		out.Rules = append(out.Rules, one)
	}
	for _, f := range x.Findings {
		one := finding{Check: f.Check, Result: f.Result, Code: f.Code, Domain: f.Domain, Detail: f.Detail}
		for _, a := range f.Lookups {
			one.Lookups = append(one.Lookups, lookup{a.Name, a.Type.String(), a.String(), int(a.TTL.Seconds()), int(a.Age.Seconds())})
		}
		out.Findings = append(out.Findings, one)
	}
	return out
}
