package main

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/submission"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

func newCheck() *cobra.Command {
	asJSON, strict := false, false
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a policy, or in which order its rules act",
		Long: `Read a policy file and print every mistake in it as file:line:col: what, and what
to do. A policy without mistakes is printed rule by rule: from which stage of the SMTP
session on it can decide, where that is spoken, which rule above it makes it wait, and
which rules can never decide.

Then the rules are looked at together. A warning says what does not do what it seems to
say: a rule that can never match, a refusal for good of what may pass, an exemption that
anybody can claim; a remark says what may well be meant so. Each has its place and a
witness: a message that shows it, told by how it differs from an ordinary one.

Exit status 0: the policy is good; 1: it is not, or with --strict there is a warning;
2: it cannot be read.`,
		Example: "  gatepost check\n  gatepost check /tmp/new-policy.toml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := defaultPolicy
			if len(args) == 1 {
				path = args[0]
			}
			file, err := loadPolicy(path)
			if err != nil {
				return err
			}
			found, analysis := file.Analyse()
			print := printCheck
			if asJSON {
				print = printCheckJSON
			}
			if err := print(c, file, found, analysis); err != nil {
				return err
			}
			if strict && slices.ContainsFunc(found, func(f policyfile.Finding) bool { return f.Level == policy.Warning }) {
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&strict, "strict", false, "exit status 1 when there is a warning")
	return c
}

// loadPolicy reads a policy file. Mistakes in it are the answer, not a failure to find one.
func loadPolicy(path string) (*policyfile.File, error) {
	return readPolicy(path, func(v *policy.Vocabulary) (*policyfile.File, error) { return policyfile.Load(path, v) })
}

// checkPolicy does the same with a text that is to stand in a policy file.
func checkPolicy(path string, text []byte) (*policyfile.File, error) {
	return readPolicy(path, func(v *policy.Vocabulary) (*policyfile.File, error) { return policyfile.LoadText(path, text, v) })
}

func readPolicy(path string, read func(*policy.Vocabulary) (*policyfile.File, error)) (*policyfile.File, error) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	file, err := read(vocabulary)
	var wrong policyfile.Errors
	if errors.As(err, &wrong) {
		return nil, answerNo{wrong}
	}
	if err == nil && file.Submission.LoginMaps != "" {
		if err := submission.Check(file.Submission.LoginMaps); err != nil {
			return nil, answerNo{fmt.Errorf("%s: submission.login_maps: %w", path, err)}
		}
	}
	return file, withRights(err)
}

// withRights adds what helps to an error of reading a policy, where it is a want of rights.
func withRights(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; be root or in the group of that file", err)
	}
	return err
}

// printCheck prints the order of events and what is doubtful.
func printCheck(c *cobra.Command, file *policyfile.File, found []policyfile.Finding, analysis *policy.Analysis) error {
	var out strings.Builder
	report := file.Policy.Report()
	names, actions := 20, 12 // widths of columns
	fmt.Fprintf(&out, "%s: good, mode %s, %d rules\n", file.Name, file.Mode, len(report))
	switch {
	case file.Enforced != nil:
		fmt.Fprintf(&out, "In this mode only %s may refuse; what others would do is said in the log and in X-Gatepost-Would; tags are added.\n", strings.Join(file.Enforced, ", "))
	case file.Mode == policyfile.Observe:
		out.WriteString("In this mode nothing is refused: what would be is said in the log and in X-Gatepost-Would; tags are added.\n")
	}
	for _, r := range report {
		names, actions = max(names, len(r.Name)), max(actions, len(actionText(r)))
	}
	for i, r := range report {
		if r.Dead == "" && slices.ContainsFunc(found, func(f policyfile.Finding) bool { return f.Rule == r.Name && f.Kind == "dead" }) {
			r.Dead = "see below"
		}
		fmt.Fprintf(&out, "%3d %-*s %-*s %s\n", i+1, names, r.Name, actions, actionText(r), strings.Join(sentences(r), "; "))
	}
	out.WriteString(waiting(file, report))
	out.WriteString(worstCase(file))
	out.WriteString(findings(file, found))
	if n := analysis.Undecided; n > 0 {
		fmt.Fprintf(&out, "Not decided: %d questions about these rules would take too long.\n", n)
	}
	_, err := fmt.Fprint(c.OutOrStdout(), out.String())
	return err
}

func actionText(r policy.RuleReport) string {
	text := r.Action.String()
	if r.Code != 0 {
		text = fmt.Sprint(r.Code)
	}
	if r.Observe {
		text += " (obs.)"
	}
	if r.Share > 0 {
		text += " (" + r.Share.String() + ")"
	}
	return text
}

// sentences says in words when a rule takes part.
func sentences(r policy.RuleReport) []string {
	if r.Dead != "" {
		return []string{"never decides: " + r.Dead}
	}
	out := []string{"can decide from " + r.Decides.String()}
	if r.Settled > r.Decides {
		out = append(out, "known for sure at "+r.Settled.String())
	}
	if r.Waits != "" {
		out = append(out, fmt.Sprintf("waits for rule %q above it", r.Waits))
	}
	if r.Action == policy.Answer && r.Speaks != r.Decides {
		out = append(out, "spoken at "+r.Speaks.String())
	}
	if r.Scope == policy.OfRecipient {
		out = append(out, "for each recipient")
	}
	if len(r.Risks) > 0 {
		out = append(out, "false when "+strings.Join(r.Risks, " ")+" fails")
	}
	return out
}
