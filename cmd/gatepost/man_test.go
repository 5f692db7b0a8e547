package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages writes the manual pages as packages do and gives them without the marks of roff.
func pages(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	var out strings.Builder
	if status := execute([]string{"man", "--date", "2026-11-25", "--policy", filepath.Join(root, "policy.toml"), dir}, &out, &out); status != exitDone {
		t.Fatalf("exit status %d: %s", status, out.String())
	}
	plain := strings.NewReplacer(`\-`, "-", `\fB`, "", `\fR`, "", `\fI`, "", `\(dq`, `"`, `\(aq`, "'", `\(ga`, "`", `\(ti`, "~", `\(ha`, "^", `\e`, `\`, `\&`, "")
	all := map[string]string{}
	for _, name := range []string{"gatepost.1", "gatepost.8", "policy.toml.5"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = plain.Replace(string(text))
	}
	return all
}

// TestManualNamesEverything: each command with its flags, each fact and each setting that policy.toml shows has its place.
func TestManualNamesEverything(t *testing.T) {
	all := pages(t)
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		page := all["gatepost.1"]
		if c.Name() == "serve" {
			page = all["gatepost.8"]
		}
		if !strings.Contains(page, c.CommandPath()) {
			t.Errorf("no page names %s", c.CommandPath())
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(page, "\n--"+f.Name) {
				t.Errorf("no page names the flag --%s of %s", f.Name, c.CommandPath())
			}
			if f.Shorthand != "" && f.Shorthand != "h" && !strings.Contains(page, ", -"+f.Shorthand) {
				t.Errorf("no page names the flag -%s of %s", f.Shorthand, c.CommandPath())
			}
		})
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(newRoot())
	rows, err := factRows()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !strings.Contains(all["policy.toml.5"], ".TP\n"+r.name+"\n") {
			t.Errorf("policy.toml(5) lacks the fact %s", r.name)
		}
	}
	policy, err := os.ReadFile(filepath.Join(root, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^#?([a-z_]+ += .*)$`).FindAllStringSubmatch(string(policy), -1) {
		if !strings.Contains(all["policy.toml.5"], "\n"+m[1]+"\n") {
			t.Errorf("policy.toml(5) lacks the setting %s", m[1])
		}
	}
}

// TestManualShowsNoText: what policy.toml(5) shows as a line to copy is one, no sentence of a comment that happens to begin as a line does.
func TestManualShowsNoText(t *testing.T) {
	policy, err := os.ReadFile(filepath.Join(root, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^# ? ?(\[.*\]|smtpd_milters.*|[a-z_]+ += ("[^"]*"|'[^']*'|\[[^]]*\]|\{.*\}|[a-z0-9_]+)( +# .*)?)$`)
	for text := range strings.SplitSeq(string(policy), "\n") {
		if shownExample.MatchString(text) && !line.MatchString(text) {
			t.Errorf("policy.toml: %s\nis shown as a line of the policy; wrap the comment at another place", text)
		}
	}
}

// TestManualLosesNoWord: what the comments of policy.toml say stands in policy.toml(5), word for word.
func TestManualLosesNoWord(t *testing.T) {
	policy, err := os.ReadFile(filepath.Join(root, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(pages(t)["policy.toml.5"]), " ")
	for line := range strings.SplitSeq(string(policy), "\n") {
		text, isComment := strings.CutPrefix(line, "# ")
		if words := strings.Join(strings.Fields(text), " "); isComment && !strings.HasPrefix(line, "# ---") && !strings.Contains(page, words) {
			t.Errorf("policy.toml(5) lacks %q", words)
		}
	}
}
