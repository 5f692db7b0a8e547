package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

// modeOptions are the flags of gatepost mode.
type modeOptions struct {
	where       place
	rule, share string
}

func newMode() *cobra.Command {
	o := modeOptions{}
	c := &cobra.Command{
		Use:   "mode observe|enforce [--rule R [--share 10%]]",
		Short: "Let the policy, or one rule, refuse or only watch",
		Long: `Change the one line of the policy file that says whether refusals are spoken, and have
the daemon load it. All else in the file stays as it is: comments, order, owner, rights.
The new text is checked before it is written; if the daemon refuses it, the old text is
put back.

Without --rule the line is mode = "...". With --rule it is the rule's own: enforce =
"100%" refuses, also while the mode is observe (then all rules that do not say so are
watched); observe = true only records what it would do. --share enforces a rule for a
share of senders and watches the rest: by a hash of the client's network and the author
domain, so that the same sender always meets the same side, and a larger share keeps
those that a smaller one had. A rule that can be true before DATA goes by the client's
network alone.

Exit status 0: done; 1: there is no such rule, or the policy would be wrong; 2: the file
cannot be written.`,
		Example: `  gatepost mode enforce --rule spoofed --share 10%
  gatepost mode enforce --rule spoofed
  gatepost mode enforce
  gatepost mode observe`,
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{string(policyfile.Observe), string(policyfile.Enforce)},
		RunE: func(c *cobra.Command, args []string) error {
			return changeMode(c, o, policyfile.Mode(args[0]))
		},
	}
	o.where.flags(c)
	c.Flags().StringVar(&o.rule, "rule", "", "change this `RULE` only")
	c.Flags().StringVar(&o.share, "share", "100%", "with enforce --rule: for this `SHARE` of senders")
	return c
}

func changeMode(c *cobra.Command, o modeOptions, mode policyfile.Mode) error {
	path, err := filepath.EvalSymlinks(o.where.policy)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := o.edited(c, string(old), mode)
	if err != nil {
		return err
	}
	file, err := checkPolicy(o.where.policy, []byte(text))
	switch {
	case text == string(old):
		fmt.Fprintf(c.OutOrStdout(), "%s says so already\n", o.where.policy)
		if err == nil {
			o.sayEnforced(c, file)
		}
		return nil
	case err != nil:
		return err
	}
	if err := setup.Replace(path, []byte(text)); err != nil {
		return fmt.Errorf("%s stays as it is: %w", path, err)
	}
	fmt.Fprint(c.OutOrStdout(), changedLine(o.where.policy, string(old), text))
	if err := o.takeIn(c, path, old, file.Hash); err != nil {
		return err
	}
	o.sayEnforced(c, file)
	return nil
}

// edited gives the text with the one line changed that the command line asks for.
func (o modeOptions) edited(c *cobra.Command, text string, mode policyfile.Mode) (string, error) {
	if mode != policyfile.Observe && mode != policyfile.Enforce {
		return "", fmt.Errorf("%q is no mode; write observe or enforce", mode)
	}
	share, err := policy.ParseShare(o.share)
	switch {
	case err != nil:
		return "", fmt.Errorf("--share: %w", err)
	case c.Flags().Changed("share") && (o.rule == "" || mode == policyfile.Observe):
		return "", errors.New("--share goes with enforce --rule RULE only")
	case o.rule == "":
		return policyfile.SetMode(text, mode)
	case mode == policyfile.Observe:
		share = 0
	}
	if text, err = policyfile.SetRule(text, o.rule, share); err != nil {
		return "", answerNo{err}
	}
	return text, nil
}

// takeIn has the daemon load the new text, and puts the old one back where it refuses it.
func (o modeOptions) takeIn(c *cobra.Command, path string, old []byte, hash string) error {
	err := o.where.ask("POST", "/reload", nil, nil, nil)
	var refused answerNo
	switch {
	case errors.As(err, &refused):
		back := setup.Replace(path, old)
		_ = o.where.ask("POST", "/reload", nil, nil, nil) // so that status does not complain of a text that is gone
		return errors.Join(answerNo{fmt.Errorf("the daemon does not take it, and the old text is back: %w", err)}, back)
	case err != nil:
		fmt.Fprintf(c.OutOrStdout(), "it takes effect when the daemon starts: %v\n", err)
		return nil
	}
	var s Status
	if err := o.where.ask("GET", "/status", nil, nil, &s); err != nil {
		return err
	}
	if s.Hash != hash {
		return answerNo{fmt.Errorf("the daemon follows another file, %s; give that one as --policy", s.Policy)}
	}
	fmt.Fprintln(c.OutOrStdout(), "it is in force for new sessions")
	return nil
}

// sayEnforced names, after a change of the whole policy, the rules that refuse in mode observe too: whoever wants nothing refused has to know.
func (o modeOptions) sayEnforced(c *cobra.Command, file *policyfile.File) {
	if o.rule != "" || file.Mode != policyfile.Observe || len(file.Enforced) == 0 {
		return
	}
	fmt.Fprintf(c.OutOrStdout(), "these refuse all the same, by a line of their own: %s\n", strings.Join(file.Enforced, ", "))
	for _, rule := range file.Enforced {
		fmt.Fprintf(c.OutOrStdout(), "  gatepost mode observe --rule %s\n", rule)
	}
}

// changedLine shows the first line in which two texts differ.
func changedLine(path, old, text string) string {
	before, after := strings.Split(old, "\n"), strings.Split(text, "\n")
	i := 0
	for i < min(len(before), len(after))-1 && strings.TrimRight(before[i], "\r") == strings.TrimRight(after[i], "\r") {
		i++
	}
	shown := fmt.Sprintf("%s:%d: %s\n", path, i+1, strings.TrimSpace(after[i]))
	if len(before) == len(after) {
		shown += fmt.Sprintf("  before: %s\n", strings.TrimSpace(before[i]))
	}
	return shown
}
