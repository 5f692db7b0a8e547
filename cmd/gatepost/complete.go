package main

import (
	"strings"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/doctor"
	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/policy/policyfile"
)

// This file is what the shells complete besides commands and flags: words that are few, and names of the policy.

// completed adds completion to the whole tree of commands.
func completed(root *cobra.Command) *cobra.Command {
	for path, names := range map[string]func(*policyfile.File) []string{
		"limit show": limitNames, "limit reset": limitNames, "list show": listNames, "list add": listNames, "list remove": listNames,
	} {
		if c := commandAt(root, path); c != nil {
			c.ValidArgsFunction = func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return namesIn(c, names)
			}
		}
	}
	for path, flag := range map[string]string{"mode": "rule", "history": "rule"} {
		completeFlag(root, path, flag, func(c *cobra.Command) ([]cobra.Completion, cobra.ShellCompDirective) { return namesIn(c, ruleNames) })
	}
	for path, words := range map[string][]string{"doctor": doctor.Kinds, "setup postfix": {setup.TempFail, setup.Accept}, "setup sendmail": {setup.TempFail, setup.Accept}} {
		flag := "if-down"
		if path == "doctor" {
			flag = "send"
		}
		completeFlag(root, path, flag, func(*cobra.Command) ([]cobra.Completion, cobra.ShellCompDirective) {
			return words, cobra.ShellCompDirectiveNoFileComp
		})
	}
	return root
}

func completeFlag(root *cobra.Command, path, flag string, words func(*cobra.Command) ([]cobra.Completion, cobra.ShellCompDirective)) {
	if c := commandAt(root, path); c != nil {
		// The only error is a flag that is not there, which the test of completion finds.
		_ = c.RegisterFlagCompletionFunc(flag, func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return words(c)
		})
	}
}

// commandAt finds a command by its words, nil where there is none.
func commandAt(root *cobra.Command, path string) *cobra.Command {
	c, rest, err := root.Find(strings.Fields(path))
	if err != nil || len(rest) > 0 {
		return nil
	}
	return c
}

// namesIn gives names of the policy that the command's --policy names; none of one that cannot be read.
func namesIn(c *cobra.Command, names func(*policyfile.File) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	path := defaultPolicy
	if flag := c.Flag("policy"); flag != nil {
		path = flag.Value.String()
	}
	file, err := loadPolicy(path)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return names(file), cobra.ShellCompDirectiveNoFileComp
}

func limitNames(f *policyfile.File) (out []string) {
	for _, l := range f.Limits {
		out = append(out, l.Name)
	}
	return out
}

func listNames(f *policyfile.File) (out []string) {
	for _, l := range f.Source().Lists {
		out = append(out, l.Name)
	}
	return out
}

func ruleNames(f *policyfile.File) (out []string) {
	for _, r := range f.Policy.Report() {
		out = append(out, r.Name)
	}
	return out
}
