package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

func newDiff() *cobra.Command {
	asJSON := false
	var at place
	c := &cobra.Command{
		Use:   "diff [OLD] NEW",
		Short: "Tell what a new policy refuses that the old one takes, and the reverse",
		Long: `Compare two policies by what they do: every way in which a message would end
otherwise, each with a message that shows it, told by how it differs from an ordinary one.
Then the settings that differ. Without OLD it is the policy that the daemon runs, or, while
none runs, the policy file that it would load.

The mode does not count: rules are compared as if both policies were enforced. Entries of
lists do not either: a rule that reads a list is asked about those in it and those not.

Exit status 0: compared; 1: one of them has a mistake; 2: one cannot be read.`,
		Example: "  gatepost diff /tmp/new-policy.toml\n  gatepost diff old.toml new.toml",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			old, err := at.oldPolicy(args)
			if err != nil {
				return err
			}
			new, err := loadPolicy(args[len(args)-1])
			if err != nil {
				return err
			}
			comparison, settings, err := policyfile.Compare(old, new)
			if err != nil {
				return answerNo{err}
			}
			if asJSON {
				return printDiffJSON(c, comparison, settings)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), diffText(old, new, comparison, settings))
			return err
		},
	}
	at.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// Running is the policy that the daemon runs.
type Running struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

func (d *daemon) running() Running {
	d.mu.Lock()
	defer d.mu.Unlock()
	return Running{d.path, d.file.Text}
}

// oldPolicy gives the first of two policies: the one that is named, else the daemon's, else the one that it would load.
func (p *place) oldPolicy(args []string) (*policyfile.File, error) {
	if len(args) == 2 {
		return loadPolicy(args[0])
	}
	var now Running
	err := p.ask(http.MethodGet, "/policy", nil, nil, &now)
	if err == nil {
		return checkPolicy(now.Path+" (running)", []byte(now.Text))
	}
	if _, missing := os.Stat(p.policy); errors.Is(missing, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; name the old policy: gatepost diff OLD NEW", err)
	}
	return loadPolicy(p.policy)
}

// diffText tells the changes, those of one kind together.
func diffText(old, new *policyfile.File, c *policy.Comparison, settings []string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "from %s to %s\n", old.Name, new.Name)
	head := ""
	for _, change := range c.Changes {
		if next := headOf(change); next != head {
			head = next
			fmt.Fprintf(&out, "\n%s:\n", head)
		}
		fmt.Fprintf(&out, "  %s\n      %s\n", changeText(change), witnessText(change.Witness, c.Vocabulary))
	}
	switch {
	case c.Undecided > 0:
		fmt.Fprintf(&out, "\nNot decided: %d questions about these rules; replay recorded mail to see.\n", c.Undecided)
	case len(c.Changes) == 0:
		out.WriteString("\nNo message ends otherwise.\n")
	}
	if len(settings) > 0 {
		fmt.Fprintf(&out, "\nSettings that differ:\n  %s\n", strings.Join(settings, "\n  "))
	}
	return out.String()
}

func headOf(change policy.Difference) string {
	if change.Field != "" {
		return "Taken as before, with other fields"
	}
	return fmt.Sprintf("Now %s, before %s", change.Is.Effect, change.Was.Effect)
}

func changeText(change policy.Difference) string {
	if change.Field != "" {
		if change.Gone {
			return fmt.Sprintf("no longer %s", change.Field)
		}
		return fmt.Sprintf("now %s", change.Field)
	}
	return fmt.Sprintf("%s; before %s", endText(change.Is), endText(change.Was))
}

func endText(e policy.End) string {
	switch {
	case e.Rule == "":
		return "no rule decides"
	case e.Code != 0:
		return fmt.Sprintf("%d by rule %q", e.Code, e.Rule)
	}
	return fmt.Sprintf("by rule %q", e.Rule)
}

type endRow struct {
	Effect string `json:"effect"`
	Rule   string `json:"rule,omitempty"`
	Code   int    `json:"code,omitempty"`
}

func printDiffJSON(c *cobra.Command, comparison *policy.Comparison, settings []string) error {
	type row struct {
		Was     endRow      `json:"was"`
		Is      endRow      `json:"is"`
		Field   string      `json:"field,omitempty"`
		Gone    bool        `json:"gone,omitempty"`
		Witness *witnessRow `json:"witness"`
	}
	rowOf := func(e policy.End) endRow { return endRow{e.Effect.String(), e.Rule, e.Code} }
	changes := []row{}
	for _, one := range comparison.Changes {
		changes = append(changes, row{rowOf(one.Was), rowOf(one.Is), one.Field, one.Gone, rowOfWitness(one.Witness, comparison.Vocabulary)})
	}
	return printJSON(c, struct {
		Changes   []row    `json:"changes"`
		Settings  []string `json:"settings"`
		Undecided int      `json:"undecided"`
	}{changes, append([]string{}, settings...), comparison.Undecided})
}
