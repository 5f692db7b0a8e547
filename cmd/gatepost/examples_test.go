package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPackagedExamples: each policy that packages bring as an example is a good one, and the list of mail providers can be named.
func TestPackagedExamples(t *testing.T) {
	found, err := filepath.Glob(filepath.Join(root, "packaging/examples/policies/*.toml"))
	if err != nil || len(found) == 0 {
		t.Fatalf("no examples (%v)", err)
	}
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if status, out := run(t, string(text), "check", "POLICY"); status != exitDone {
			t.Errorf("%s: exit status %d\n%s", filepath.Base(path), status, out)
		}
	}
	junk := regexp.MustCompile(`(?s)\nname +(= "junk"\n.*?\n)header`)
	tags, err := os.ReadFile(filepath.Join(root, "packaging/examples/policies/tag-only.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if shipped := junk.FindStringSubmatch(read(t, filepath.Join(root, "policy.toml"))); shipped == nil || !strings.Contains(string(tags), shipped[1]) {
		t.Error("tag-only.toml marks something else than rule junk of policy.toml")
	}
	freemail, err := filepath.Abs(filepath.Join(root, "packaging/freemail"))
	if err != nil {
		t.Fatal(err)
	}
	if status, out := run(t, "[reputation]\nfreemail = [\"file:"+freemail+"\"]\n", "check", "POLICY"); status != exitDone {
		t.Errorf("freemail: exit status %d\n%s", status, out)
	}
	defaults, err := os.ReadFile(filepath.Join(root, "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(freemail)
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(defaults), "#freemail = [")
	shown, _, _ = strings.Cut(shown, "]")
	for domain := range strings.SplitSeq(shown, ", ") {
		if !strings.Contains(string(text), "\n"+strings.Trim(domain, `"`)+"\n") {
			t.Errorf("the list lacks %s, which the default has", domain)
		}
	}
}
