package main

import (
	"fmt"
	"net/url"

	"github.com/spf13/cobra"

	"gatepost.example/filter"
	"gatepost.example/filter/limit"
)

func newLimit() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "limit",
		Short: "Show how full limits are, and empty one",
		Long:  "Show the levels of a limit of the policy, the fullest first, or empty the one of a key.",
	}
	where.flags(c)
	c.AddCommand(newLimitShow(&where), newLimitReset(&where))
	return c
}

func newLimitShow(where *place) *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:     "show NAME [KEY]",
		Short:   "Show the keys of a limit, or those that begin with KEY or are of an address",
		Example: "  gatepost limit show user_strangers\n  gatepost limit show client_messages 192.0.2.",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			values := url.Values{"name": {args[0]}}
			if len(args) == 2 {
				values.Set("key", args[1])
			}
			var levels []filter.Level
			if err := where.ask("GET", "/limit", values, nil, &levels); err != nil {
				return err
			}
			var rows []string
			for _, l := range levels {
				state := ""
				switch {
				case l.Latched:
					state = "over until it is reset"
				case l.Over:
					state = "over for " + dash(limit.Text(l.Retry))
				}
				rows = append(rows, fmt.Sprintf("%s\t%.1f\t%.0f\t%s", l.Key, l.Level, l.Burst, state))
			}
			return printTable(c, asJSON, levels, "KEY\tLEVEL\tROOM FOR\tSTATE", rows)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func newLimitReset(where *place) *cobra.Command {
	return &cobra.Command{
		Use:     "reset NAME KEY",
		Short:   "Empty the level of one key; a latched limit opens again",
		Example: "  gatepost limit reset user_strangers alice",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			found := false
			if err := where.ask("POST", "/limit/reset", url.Values{"name": {args[0]}, "key": {args[1]}}, nil, &found); err != nil {
				return err
			}
			if !found {
				fmt.Fprintf(c.OutOrStdout(), "%s has no level for %s; gatepost limit show %s shows the keys\n", args[0], args[1], args[0])
				return errNo
			}
			fmt.Fprintf(c.OutOrStdout(), "%s is empty for %s\n", args[0], args[1])
			return nil
		},
	}
}
