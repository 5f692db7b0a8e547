package main

import (
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/policy/policyfile"
)

func newList() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "list",
		Short: "Show a list of the policy, and change it for a while or for good",
		Long: `Each list of [list] has a file of its own below server.directory, to which add and remove
write; what stands in the policy or in files that it names is yours to edit. A change is
in force when the command ends, on this machine and for new connections: one that is open,
as that of a spammer may be for hours, goes on under the lists that it began with, until it
ends or you end it (ss -K dst 192.0.2.1).`,
	}
	where.flags(c)
	c.AddCommand(newListAdd(&where), newListRemove(&where), newListShow(&where))
	return c
}

func newListAdd(where *place) *cobra.Command {
	span, note := "", ""
	c := &cobra.Command{
		Use:     "add NAME ENTRY",
		Short:   "Add a network, address, domain or user",
		Example: "  gatepost list add allow partner.example --for 30d --note \"ticket 4711\"",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			values := url.Values{"op": {"add"}, "name": {args[0]}, "entry": {args[1]}, "note": {note}}
			until := ""
			if span != "" {
				d, err := policyfile.ParseLong(span)
				if err != nil || d <= 0 {
					return fmt.Errorf("--for: %q is no time; write for example 12h or 30d", span)
				}
				end := time.Now().Add(d).UTC().Truncate(time.Second)
				until = " until " + end.Format(time.RFC3339)
				values.Set("until", end.Format(time.RFC3339))
			}
			if err := where.ask("POST", "/list", values, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is in list %s%s\n", args[1], args[0], until)
			return nil
		},
	}
	c.Flags().StringVar(&span, "for", "", "remove it again after this `TIME`, such as 12h or 30d")
	c.Flags().StringVar(&note, "note", "", "a `TEXT` that says why, for whoever reads the list later")
	return c
}

func newListRemove(where *place) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME ENTRY",
		Short: "Remove an entry that add made",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			found := false
			if err := where.ask("POST", "/list", url.Values{"op": {"remove"}, "name": {args[0]}, "entry": {args[1]}}, nil, &found); err != nil {
				return err
			}
			if !found {
				fmt.Fprintf(c.OutOrStdout(), "%s was not added to list %s by a command; gatepost list show %s says where it stands\n", args[1], args[0], args[0])
				return errNo
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is out of list %s\n", args[1], args[0])
			return nil
		},
	}
}

func newListShow(where *place) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "show NAME",
		Short: "Show the entries of a list and where they stand",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var entries []listShown
			if err := where.ask("GET", "/list", url.Values{"name": {args[0]}}, nil, &entries); err != nil {
				return err
			}
			var rows []string
			for _, e := range entries {
				until := "-"
				if !e.Until.IsZero() {
					until = e.Until.Format(time.RFC3339)
					if !time.Now().Before(e.Until) {
						until += " (over)"
					}
				}
				rows = append(rows, fmt.Sprintf("%s\t%s\t%s\t%s", e.Entry, until, e.From, e.Note))
			}
			return printTable(c, asJSON, entries, "ENTRY\tUNTIL\tIN\tNOTE", rows)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
