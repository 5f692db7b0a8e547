package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/submission"
	"gatepost.example/policy"
	"gatepost.example/policy/policyfile"
)

func newCheck() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Say what is wrong with a policy, or in which order its rules act",
		Long: `Read a policy file and print every mistake in it as file:line:col: what, and what
to do. A policy without mistakes is printed rule by rule: from which stage of the SMTP
session on it can decide, where that is spoken, which rule above it makes it wait, and
which rules can never decide.

Exit status 0: the policy is good; 1: it is not; 2: it cannot be read.`,
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
			if asJSON {
				return printReportJSON(c, file.Policy.Report())
			}
			return printReport(c.OutOrStdout(), path, file)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
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
	return file, err
}

func printReport(w io.Writer, path string, file *policyfile.File) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s: good, mode %s, %d rules\n", path, file.Mode, len(file.Policy.Report()))
	switch {
	case file.Enforced != nil:
		fmt.Fprintf(&out, "In this mode only %s may refuse; what others would do is said in the log and in X-Gatepost-Would; tags are added.\n", strings.Join(file.Enforced, ", "))
	case file.Mode == policyfile.Observe:
		out.WriteString("In this mode nothing is refused: what would be is said in the log and in X-Gatepost-Would; tags are added.\n")
	}
	for i, r := range file.Policy.Report() {
		fmt.Fprintf(&out, "%3d %-20s %-12s %s\n", i+1, r.Name, actionText(r), strings.Join(sentences(r), "; "))
	}
	_, err := fmt.Fprint(w, out.String())
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

func printReportJSON(c *cobra.Command, report []policy.RuleReport) error {
	type row struct {
		Name    string   `json:"name"`
		Action  string   `json:"action"`
		Code    int      `json:"code,omitempty"`
		Observe bool     `json:"observe,omitempty"`
		Enforce string   `json:"enforce,omitempty"`
		Scope   string   `json:"scope"`
		Decides string   `json:"decides,omitempty"`
		Settled string   `json:"settled"`
		Speaks  string   `json:"speaks,omitempty"`
		Waits   string   `json:"waits,omitempty"`
		Dead    string   `json:"dead,omitempty"`
		Risks   []string `json:"risks,omitempty"`
	}
	rows := []row{}
	for _, r := range report {
		one := row{Name: r.Name, Action: r.Action.String(), Code: r.Code, Observe: r.Observe, Scope: r.Scope.String(),
			Settled: r.Settled.String(), Waits: r.Waits, Dead: r.Dead, Risks: r.Risks}
		if r.Share > 0 {
			one.Enforce = r.Share.String()
		}
		if r.Dead == "" {
			one.Decides, one.Speaks = r.Decides.String(), r.Speaks.String()
		}
		rows = append(rows, one)
	}
	return printJSON(c, rows)
}
