package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost.example/filter/authres"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run writes files into a folder, runs one command line there and gives what it printed.
func run(t *testing.T, policy string, args ...string) (status int, out string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.toml")
	if err := os.WriteFile(path, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "POLICY", path)
	}
	var both bytes.Buffer
	status = execute(args, &both, &both)
	return status, both.String()
}

// TestReadmeCase: the case that README shows ends as it says under the policy as it comes, and without the refusing rule as README shows.
func TestReadmeCase(t *testing.T) {
	shown := regexp.MustCompile("(?s)```txtar\n(.*?)```").FindStringSubmatch(readme(t))
	if shown == nil {
		t.Fatal("README shows no case")
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.toml"), read(t, filepath.Join(root, "policy.toml")))
	write(t, filepath.Join(dir, "bank.txtar"), shown[1])
	var out bytes.Buffer
	if status := execute([]string{"test", filepath.Join(dir, "bank.txtar")}, &out, &out); status != exitDone {
		t.Errorf("exit status %d\n%s", status, &out)
	}
	write(t, filepath.Join(dir, "bank.txtar"), strings.Replace(shown[1], "dmarc.result = fail", "dmarc.result = pass", 1))
	out.Reset()
	execute([]string{"test", filepath.Join(dir, "bank.txtar")}, &out, &out)
	printed := "    cases" + strings.ReplaceAll(strings.TrimPrefix(out.String(), dir), "\n", "\n    ")
	printed, _, _ = strings.Cut(printed, "    0 of 1")
	if !strings.Contains(readme(t), printed) {
		t.Errorf("README does not show\n%s", printed)
	}
}

// TestReadmeError: the mistake that README shows is reported as it says.
func TestReadmeError(t *testing.T) {
	shown := regexp.MustCompile(`policy\.toml:41:9: rule "flood": .*`).FindString(readme(t))
	if shown == "" {
		t.Fatal("README shows no mistake")
	}
	text := strings.Repeat("\n", 38) + "[[rule]]\nname = \"flood\"\nwhen = 'client.ipp == \"\"'\nreply = \"421 4.7.0 no\"\n"
	if status, out := run(t, text, "check", "POLICY"); status != exitNo || !strings.Contains(out, shown) {
		t.Errorf("exit status %d, printed %q, README says %q", status, out, shown)
	}
}

// TestReadmeField: the field that README shows is what the writer writes, letter by letter.
func TestReadmeField(t *testing.T) {
	shown := regexp.MustCompile("(?s)```\nAuthentication-Results: (.*?)\nGatepost-Id").FindStringSubmatch(readme(t))
	if shown == nil {
		t.Fatal("README shows no field")
	}
	field, err := authres.Parse(shown[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := authres.Format(field); got != shown[1] {
		t.Errorf("got\n%s\nwant\n%s", got, shown[1])
	}
}
