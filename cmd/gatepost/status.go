package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	where, asJSON := place{}, false
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the daemon is",
		Long: `Ask the running daemon: which policy is in force, since when, whether the file as it is
now was refused, how old its memory is, and what is wrong.

Exit status 0: all is well; 1: something is wrong, as printed; 2: no daemon answers.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var s Status
			if err := where.ask("GET", "/status", nil, nil, &s); err != nil {
				return err
			}
			if asJSON {
				return printJSON(c, s)
			}
			return printStatus(c, s)
		},
	}
	where.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func printStatus(c *cobra.Command, s Status) error {
	w := c.OutOrStdout()
	settled := "settled"
	if !s.Settled {
		settled = "not settled yet: who is new counts as neutral"
	}
	fmt.Fprintf(w, "gatepost %s, running for %s\n", s.Version, ago(s.Since))
	mode := s.Mode
	if s.Enforced != nil {
		mode += " but for " + strings.Join(s.Enforced, ", ")
	}
	fmt.Fprintf(w, "policy   %s, hash %s, mode %s, in force for %s\n", s.Policy, s.Hash, mode, ago(s.Loaded))
	fmt.Fprintf(w, "memory   %s old, %s\n", ago(s.Born), settled)
	if s.Kept+s.Lost > 0 {
		fmt.Fprintf(w, "history  %d records kept since the start, %d lost\n", s.Kept, s.Lost)
	}
	wrong := s.wrong()
	if len(wrong) == 0 {
		fmt.Fprintln(w, "all is well")
		return nil
	}
	for _, one := range wrong {
		fmt.Fprintln(w, "WRONG    "+one)
	}
	return errNo
}

// wrong says what an admin should mend.
func (s Status) wrong() []string {
	var wrong []string
	if s.Paused != nil {
		wrong = append(wrong, "paused: everything is accepted until "+clockText(*s.Paused)+"; gatepost pause 0 ends it")
	}
	if s.Refused != "" {
		wrong = append(wrong, "the policy file as it is now was refused, the old one stays:\n  "+strings.ReplaceAll(s.Refused, "\n", "\n  "))
	}
	if s.Memory != "" {
		wrong = append(wrong, s.Memory)
	}
	if s.History != "" {
		wrong = append(wrong, s.History)
	}
	if s.Log != "" {
		wrong = append(wrong, s.Log)
	}
	if s.DNS != "" {
		wrong = append(wrong, s.DNS)
	}
	if len(s.Lists) > 0 {
		wrong = append(wrong, "blocklists out of use: "+strings.Join(s.Lists, ", "))
	}
	return wrong
}

func newReload() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have the daemon load its policy anew",
		Long: `Have the running daemon read its policy file again. It is checked in full first: a file
with mistakes is refused, the mistakes are printed, and the old policy stays.

Exit status 0: it is in force; 1: it was refused; 2: no daemon answers.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := where.ask("POST", "/reload", nil, nil, nil); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "the policy is in force")
			return nil
		},
	}
	where.flags(c)
	return c
}
