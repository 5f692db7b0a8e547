package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/filter/play"
)

// testTime is the moment at which session files are played, so that the same file always gives the same result.
var testTime = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

func newTest() *cobra.Command {
	verbose := false
	c := &cobra.Command{
		Use:   "test CASE.txtar...",
		Short: "Play sessions against a policy, without DNS: a policy's unit tests",
		Long: `Play session files against a policy and compare what comes of them with what they
want. A session file holds why it exists, a DNS zone, a policy (or "include: FILE",
relative to the session file, and changes below it), what the client does, the messages,
and what must come of it. No question leaves the machine; a bug report is such a file.

Exit status 0: all ended as wanted; 1: some did not; 2: a file cannot be played.`,
		Example: "  gatepost test testdata/sessions/*.txtar\n  gatepost test -v spoofed-bank.txtar",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			failed := 0
			for _, path := range args {
				ok, err := testOne(c, path, verbose)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
			fmt.Fprintf(c.OutOrStdout(), "%d of %d sessions ended as wanted\n", len(args)-failed, len(args))
			if failed > 0 {
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "print each stage, each finding and the rule that decided")
	return c
}

func testOne(c *cobra.Command, path string, verbose bool) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	one, err := play.ReadCase(path, text)
	if err != nil {
		return false, err
	}
	result, err := play.Play(one, beside(path), testTime)
	if err != nil {
		return false, err
	}
	out := c.OutOrStdout()
	if verbose {
		fmt.Fprintf(out, "%s: %s\n", path, one.Why)
		result.Print(out)
	}
	wrong := result.Check(one)
	for _, line := range wrong {
		fmt.Fprintln(out, line)
	}
	return len(wrong) == 0, nil
}

// beside reads files that are named relative to the file at path.
func beside(path string) play.Loader {
	return func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return os.ReadFile(name)
	}
}
