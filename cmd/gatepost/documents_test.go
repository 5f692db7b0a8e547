package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatepost.example/filter"
)

// documents gives what users read, by path below the project's folder.
func documents(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, pattern := range []string{"README.md", "packaging/*.md", "packaging/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no %s (%v)", pattern, err)
		}
		for _, path := range found {
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			out[name] = read(t, path)
		}
	}
	return out
}

// TestDocumentedPolicies: each policy that a document shows is a good one; those of the recipes are played.
func TestDocumentedPolicies(t *testing.T) {
	for name, text := range documents(t) {
		if name == "packaging/recipes.md" {
			continue
		}
		for _, policy := range blocks(text, "toml") {
			if status, out := run(t, policy, "check", "POLICY"); status != exitDone {
				t.Errorf("%s: exit status %d for\n%s\n%s", name, status, policy, out)
			}
		}
	}
}

// shownCommands finds command lines: at the beginning of a line, behind &&, or between backquotes.
var shownCommands = regexp.MustCompile("(?m)(?:^ *(?:\\$ )?|&& |`)(?:\\./|go run \\./cmd/)?gatepost( [^#<|`\n&]*)")

// TestDocumentedCommands: each command line that a document shows is one: command, flags and number of arguments. What stands within a text
// may name a command without its arguments.
func TestDocumentedCommands(t *testing.T) {
	for name, text := range documents(t) {
		for _, m := range shownCommands.FindAllStringSubmatch(text, -1) {
			args := strings.Fields(regexp.MustCompile(`"[^"]*"|'[^']*'`).ReplaceAllStringFunc(m[1], func(q string) string { return strings.ReplaceAll(q[1:len(q)-1], " ", "_") }))
			if len(args) == 0 {
				continue
			}
			if err := understood(args, strings.HasPrefix(m[0], "`")); err != nil {
				t.Errorf("%s: gatepost%s: %v", name, m[1], err)
			}
		}
	}
}

// understood reports what is wrong with a command line.
func understood(args []string, inText bool) error {
	c, rest, err := newRoot().Find(args)
	if err != nil {
		return err
	}
	group := c.HasSubCommands()
	if group && !inText {
		return fmt.Errorf("%s needs a command below it", c.Name())
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if inText && !group {
		return nil
	}
	return c.ValidateArgs(c.Flags().Args())
}

// TestDocumentedPaths: each file that a document links to or names by a path of the project is there, and each heading that it points to.
func TestDocumentedPaths(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	named := regexp.MustCompile("`((?:filter|policy|cmd|testdata|packaging)/[a-zA-Z0-9_./-]*)`")
	for name, text := range documents(t) {
		for _, m := range links.FindAllStringSubmatch(fences.ReplaceAllString(regexp.MustCompile("`[^`\n]+`").ReplaceAllString(text, ""), ""), -1) {
			if m[1] == "" && !slices.Contains(headings(text), m[2]) {
				t.Errorf("%s: there is no heading for %s", name, m[2])
			}
			if strings.HasPrefix(m[1], "https://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// headings gives the anchors of a document's headings, as forges make them.
func headings(text string) []string {
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		out = append(out, "#"+strings.ReplaceAll(strings.ToLower(regexp.MustCompile(`[^\w -]`).ReplaceAllString(m[1], "")), " ", "-"))
	}
	return out
}

// TestDocumentedTargets: each target of make that a document names stands in the Makefile.
func TestDocumentedTargets(t *testing.T) {
	makefile := "\n" + read(t, filepath.Join(root, "Makefile"))
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:^ +|`)make ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s: the Makefile has no target %s", name, m[1])
			}
		}
	}
}

// TestDocumentedFacts: what the tables of README and of the other documents name as facts are facts.
func TestDocumentedFacts(t *testing.T) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	families := map[string]bool{}
	for _, f := range vocabulary.Facts() {
		family, _, _ := strings.Cut(f.Name, ".")
		families[family] = true
	}
	seen := 0
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("[`(!]([a-z]+)\\.([a-z_]+)\\b").FindAllStringSubmatch(text, -1) {
			fact := m[1] + "." + m[2]
			if _, known := vocabulary.Fact(fact); !families[m[1]] || known || m[1] == "greylist" {
				seen++
				continue
			}
			t.Errorf("%s: there is no fact %s", name, fact)
		}
	}
	if seen < 60 {
		t.Errorf("%d facts are named", seen)
	}
}
