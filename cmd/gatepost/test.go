package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/filter"
	"gatepost.example/filter/play"
	"gatepost.example/policy/policyfile"
)

// testTime is the moment at which session files are played, so that the same file always gives the same result.
var testTime = time.Date(2026, time.November, 24, 12, 0, 0, 0, time.UTC)

// tester is one run of gatepost test.
type tester struct {
	out             io.Writer
	verbose, update bool
	policies        play.Policies
}

func newTester() *tester {
	return &tester{policies: play.Policies{Reading: policyfile.Reading{Now: testTime, File: readIfThere, Tested: true}, Settings: testSettings}}
}

func newTest() *cobra.Command {
	t := newTester()
	c := &cobra.Command{
		Use:   "test CASE.txtar...",
		Short: "Play sessions against a policy, without DNS: a policy's unit tests",
		Long: `Play cases against a policy and compare what comes of them with what they want. A case
is a file that holds why it exists, a policy (or "include: FILE", relative to the case,
and changes below it), what happens, and what must come of it. What happens is either a
whole session: a DNS zone, what the client does, the messages; or facts, one NAME = VALUE
a line: then all else is that of an ordinary stranger's message, so that one rule can be
tested in a few lines. No question leaves the machine; a bug report is such a file.

Files that the policy names for its lists, pairs and login maps may stand in the case, each
as a section with its whole path ("-- /etc/postfix/sender_logins --"). Others are read where
they are there, and empty where they are not; what gatepost list add wrote is left out.

In a session "wait 15m" lets time pass, and "repeat 200" plays what stands before "end" so
often, with the number in the place of {n}.

What is wanted is one line a reply or decision, STAGE [REPLY] [rule NAME] [decided STAGE],
and lines header NAME: VALUE, no header NAME[: VALUE], fact NAME = VALUE. --update writes these
lines as they came: read the difference before you keep it.

Exit status 0: all ended as wanted; 1: some did not; 2: a file cannot be played.`,
		Example: "  gatepost test testdata/sessions/*.txtar\n  gatepost test -v spoofed-bank.txtar\n  gatepost test --update spoofed-bank.txtar",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			t.out = c.OutOrStdout()
			failed := 0
			for _, path := range args {
				ok, err := t.one(path)
				if err != nil {
					return err
				}
				if !ok {
					failed++
				}
			}
			fmt.Fprintf(t.out, "%d of %d sessions ended as wanted\n", len(args)-failed, len(args))
			if failed > 0 && !t.update {
				return errNo
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&t.verbose, "verbose", "v", false, "print each stage, each finding and the rule that decided")
	c.Flags().BoolVar(&t.update, "update", false, "write what came into the files, in the place of what was wanted")
	return c
}

// readIfThere gives a file, and nothing where there is none: cases are played on other machines too.
func readIfThere(path string) ([]byte, error) {
	text, err := policyfile.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// testSettings gives what the sessions of cases follow: login maps are asked where their files are there, and none that has a server.
func testSettings(file *policyfile.File, given map[string][]byte) (*filter.Settings, error) {
	if strings.Contains(file.Submission.LoginMaps, "socketmap:") {
		return filter.SettingsOf(file), nil
	}
	set, err := settingsWith(file, given)
	if errors.Is(err, fs.ErrNotExist) {
		return filter.SettingsOf(file), nil
	}
	return set, err
}

// one plays one file. It reports whether all came as wanted.
func (t *tester) one(path string) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	one, err := play.ReadCase(path, text)
	if err != nil {
		return false, err
	}
	result, err := t.policies.Play(one, beside(path), testTime)
	if err != nil {
		return false, err
	}
	if t.verbose {
		fmt.Fprintf(t.out, "%s: %s\n", path, one.Why)
		result.Print(t.out)
	}
	wrong := result.Check(one)
	for _, d := range wrong {
		fmt.Fprint(t.out, shownDifference(path, d))
	}
	if len(wrong) == 0 || !t.update {
		return len(wrong) == 0, nil
	}
	fmt.Fprintf(t.out, "%s: rewritten\n", path)
	return false, setup.Replace(path, result.Update(text))
}

// shownDifference shows what was wanted and what came, one above the other.
func shownDifference(path string, d play.Difference) string {
	if d.Line > 0 {
		path += fmt.Sprintf(":%d", d.Line)
	}
	return fmt.Sprintf("%s\n  wanted  %s\n  got     %s\n", path, play.Visible(d.Wanted), play.Visible(d.Got))
}

// beside reads files that are named relative to the file at path.
func beside(path string) play.Loader {
	return func(name string) ([]byte, error) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		return policyfile.ReadFile(name)
	}
}
