package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// This file is what a command says of arguments that it does not take.

// explained makes a command and those below it say how they are called, and a group of commands which there are.
func explained(c *cobra.Command) *cobra.Command {
	for _, sub := range c.Commands() {
		explained(sub)
	}
	if c.HasSubCommands() {
		c.Args = knownCommand
		if c.RunE == nil {
			c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
		}
		return c
	}
	takes := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if takes == nil || takes(c, args) == nil {
			return nil
		}
		return fmt.Errorf("write it so: %s; `%s --help` tells more", strings.TrimSuffix(c.UseLine(), " [flags]"), c.CommandPath())
	}
	return c
}

// wrongFlag says what is wrong with a flag.
func wrongFlag(c *cobra.Command, err error) error {
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		what := map[string]string{"int": "is no whole number", "bool": "is neither true nor false"}[value.GetFlag().Value.Type()]
		if what != "" {
			err = fmt.Errorf("--%s: %q %s", value.GetFlag().Name, value.GetValue(), what)
		}
	}
	return fmt.Errorf("%w; `%s --help` shows what it takes", err, c.CommandPath())
}

// knownCommand refuses what is no command of a group.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	c.SuggestionsMinimumDistance = 2 // letters
	what := strings.TrimPrefix(c.CommandPath()+" "+args[0], c.Root().Name()+" ")
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return fmt.Errorf("there is no command %q (did you mean %s?)", what, strings.Join(near, " or "))
	}
	return fmt.Errorf("there is no command %q; `%s --help` lists those that there are", what, c.CommandPath())
}
