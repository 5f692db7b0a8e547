// Command gatepost is a milter that judges mail for Postfix and Sendmail by the rules in policy.toml, and the tools around it.
//
// Each subcommand has a file of its own; run.go is the only place that wires the daemon together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitDone = 0
	exitNo   = 1 // the answer is no: a test failed, a policy is wrong
	exitUse  = 2 // usage or I/O error
)

// errNo ends a command whose answer is no and has been printed already.
var errNo = errors.New("no")

// answerNo is an error that is the answer: exit status 1.
type answerNo struct{ error }

func main() {
	os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and gives its exit status.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	var no answerNo
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errNo):
		return exitNo
	case errors.As(err, &no):
		fmt.Fprintln(stderr, err)
		return exitNo
	}
	fmt.Fprintln(stderr, "gatepost:", err)
	return exitUse
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "gatepost",
		Short: "A milter that judges mail for Postfix and Sendmail",
		Long: `Gatepost is a milter: Postfix or Sendmail asks it at each step of an SMTP session
whether to go on. It checks SPF, DKIM, ARC, DMARC, blocklists and the reverse name, counts
and remembers, walks the rules of policy.toml, and tells the mail server to accept, defer
or reject, and why.

A first hour with it:
  gatepost try message.eml          what would become of this message?
  gatepost check                    is the policy right, and in which order do its rules act?
  gatepost setup postfix            which lines wire the mail server? (or: setup sendmail)
  gatepost doctor                   does mail come here, and is all well on its way?
  gatepost explain --last           why was the last mail refused, or would have been?
  gatepost mode enforce             let it refuse; until then it only watches`,
		SilenceUsage: true, SilenceErrors: true,
		Version:           fullVersion(),
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(wrongFlag)
	root.SetVersionTemplate("gatepost {{.Version}}\n")
	root.AddCommand(newServe(), newCheck(), newDiff(), newFacts(), newTest(), newTry(), newStatus(), newReload(), newMode(), newPause(),
		newLimit(), newExplain(), newHistory(), newReplay(), newPage(), newReputation(), newList(), newSetup(), newDoctor(), newVersion(), newMan())
	// A group of commands does nothing by itself.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	return completed(explained(root))
}

// defaultPolicy is where a package installs the policy.
const defaultPolicy = "/etc/gatepost/policy.toml"

// policyFlag adds --policy to a command.
func policyFlag(c *cobra.Command, path *string) {
	c.Flags().StringVar(path, "policy", defaultPolicy, "the policy `FILE`")
}
