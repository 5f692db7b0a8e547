package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const oldRules = `
[list]
block = ["203.0.113.0/24", "bad.example"]
[define]
weak = 'spf.result in ["none", "neutral"]'
[[limit]]
name  = "flood"
count = "messages"
per   = ["client.network"]
rate  = "600/1h"
[[rule]]
name  = "flood"
when  = 'over.flood'
reply = "421 4.7.0 Too much"
[[rule]]
name  = "blocked"
when  = 'client.ip in list.block'
reply = "554 5.7.1 no"
[[rule]]
name  = "spf"
when  = 'spf.result == "fail" && dkim.author == "none"'
reply = "550 5.7.23 no"
observe = true
[[rule]]
name   = "weak"
when   = 'weak && client.reputation == "new"'
action = "tag"
header = { "X-Weak" = "YES" }
`

// TestDiff: an admin enforces a rule, widens a definition and a list, changes a rate and lets a partner in; all of it is told, and
// nothing else.
func TestDiff(t *testing.T) {
	dir, readme := t.TempDir(), readme(t)
	new := strings.NewReplacer(
		"\nobserve = true", "", `["none", "neutral"]`, `["none", "neutral", "softfail"]`, `"bad.example"]`, `"bad.example", "worse.example"]`, "600/1h", "300/1h",
		"[[rule]]\nname  = \"blocked\"", "[[rule]]\nname = \"partner\"\nwhen = 'client.name == \"mx.partner.example\"'\naction = \"accept\"\n[[rule]]\nname  = \"blocked\"",
	).Replace(oldRules)
	write(t, filepath.Join(dir, "old.toml"), oldRules)
	write(t, filepath.Join(dir, "new.toml"), new)
	t.Chdir(dir)
	status, out := run(t, "", "diff", "old.toml", "new.toml")
	want := `from old.toml to new.toml

Now refused, before taken:
  550 by rule "spf"; before no rule decides
      for example spf.result = "fail", dkim.author = "none"

Now taken, before refused:
  by rule "partner"; before 554 by rule "blocked"
      for example client.ip = "203.0.113.0", client.name = "mx.partner.example"

Taken as before, with other fields:
  now X-Weak: YES
      for example client.reputation = "new", spf.result = "softfail"
  no longer X-Weak: YES
      for example client.name = "mx.partner.example", client.reputation = "new", spf.result = "neutral"

Settings that differ:
  definition "weak" changed
  limit "flood": rate is "300/1h", was "600/1h"
  rule "partner" is new
  rule "spf": observe is false, was true
  list.block has "worse.example" more
`
	if status != exitDone || out != want {
		t.Errorf("exit status %d, got\n%s\nwant\n%s", status, out, want)
	}
	excerpt := want[strings.Index(want, "Now refused"):strings.Index(want, "\n\nNow taken")]
	if !strings.Contains(readme, "    "+strings.ReplaceAll(excerpt, "\n", "\n    ")+"\n") {
		t.Errorf("README does not show\n%s", excerpt)
	}
	if status, out := run(t, "", "diff", "old.toml", "old.toml"); status != exitDone || out != "from old.toml to old.toml\n\nNo message ends otherwise.\n" {
		t.Errorf("exit status %d\n%s", status, out)
	}
	write(t, filepath.Join(dir, "bad.toml"), "mode = 3\n")
	if status, out := run(t, "", "diff", "old.toml", "bad.toml"); status != exitNo || !strings.Contains(out, "bad.toml:1:8: ") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

func TestDiffJSON(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "old.toml")
	write(t, path, oldRules)
	status, out := run(t, strings.Replace(oldRules, "554 5.7.1 no", "454 4.7.1 no", 1), "diff", "--json", path, "POLICY")
	var got struct {
		Changes []struct {
			Was, Is endRow
			Witness witnessRow
		}
		Settings  []string
		Undecided int
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != exitDone || len(got.Changes) != 1 {
		t.Fatalf("exit status %d, %v\n%s", status, err, out)
	}
	one := got.Changes[0]
	if (one.Was != endRow{"refused", "blocked", 554}) || (one.Is != endRow{"put off", "blocked", 454}) || one.Witness.Facts["client.ip"] != "203.0.113.0" {
		t.Errorf("%+v", one)
	}
}

// TestDiffOfTheRunning: without an old policy it is what the daemon runs, not what the file says by now; without a daemon it is the file.
func TestDiffOfTheRunning(t *testing.T) {
	dir := startDaemon(t)
	path := filepath.Join(dir, "policy.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, string(text)+"[[rule]]\nname = \"null-mx\"\nwhen = 'sender.mx == \"null\"'\nreply = \"550 5.7.27 no\"\n")
	if status, out := talk(t, dir, "diff", path); status != exitDone || !strings.Contains(out, "(running)") || !strings.Contains(out, `550 by rule "null-mx"; before no rule decides`) {
		t.Errorf("exit status %d\n%s", status, out)
	}
	if status, out := talk(t, dir, "diff", "--socket", filepath.Join(dir, "none.sock"), path); status != exitDone || !strings.Contains(out, "No message ends otherwise") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}
