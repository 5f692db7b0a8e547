package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// fences finds a document's blocks: the word behind the fence, and the text.
var fences = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")

// blocks gives the blocks of one kind.
func blocks(text, kind string) []string {
	var out []string
	for _, m := range fences.FindAllStringSubmatch(text, -1) {
		if m[1] == kind {
			out = append(out, m[2])
		}
	}
	return out
}

// TestRecipes: each recipe does what its cases say, in a folder where the files lie that it shows. One of them at least ends in a decision
// of the recipe, so that no recipe is there that does nothing.
func TestRecipes(t *testing.T) {
	sections := strings.Split(read(t, filepath.Join(root, "packaging/recipes.md")), "\n## ")[1:]
	if len(sections) < 20 {
		t.Fatalf("%d recipes", len(sections))
	}
	for _, section := range sections {
		title, _, _ := strings.Cut(section, "\n")
		t.Run(title, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range blocks(section, "text") {
				name, _, _ := strings.Cut(file, "\n")
				write(t, filepath.Join(dir, filepath.Base(name)), file)
			}
			policies, cases := blocks(section, "toml"), blocks(section, "txtar")
			if len(policies) != 1 || len(cases) == 0 {
				t.Fatalf("%d policies and %d cases", len(policies), len(cases))
			}
			policy := strings.ReplaceAll(policies[0], "/etc/gatepost", dir)
			acts := false
			for i, text := range cases {
				path := filepath.Join(dir, fmt.Sprintf("case-%d.txtar", i+1))
				write(t, path, "why: "+title+"\n-- policy --\nmode = \"enforce\"\n"+policy+text)
				var out bytes.Buffer
				if status := execute([]string{"test", path}, &out, &out); status != exitDone {
					t.Errorf("exit status %d\n%s", status, &out)
				}
				acts = acts || strings.Contains(text, "rule ") || strings.Contains(text, "\nheader X-") || regexp.MustCompile(`(?m)^(rcpt|data) [45]`).MatchString(text)
			}
			if !acts {
				t.Error("no case shows what the recipe does")
			}
		})
	}
}

// TestCasesReadFilesThatAreThere: a list that stands in a file is empty on a machine without it, and what gatepost list add wrote does not count.
func TestCasesReadFilesThatAreThere(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "case.txtar")
	write(t, path, "why: x\n-- policy --\nmode = \"enforce\"\n[server]\ndirectory = \""+dir+"\"\n[list]\nblock = [\"file:"+dir+`/block"]
[admin]
token = "file:/nowhere/token"
[submission]
login_maps = "texthash:/nowhere/logins"
[[rule]]
name = "blocked"
when = 'client.ip in list.block || !author.owned'
reply = "550 5.7.1 no"
-- facts --
auth.user = alice
-- want --
data none
`)
	played := func() (int, string) {
		var out bytes.Buffer
		return execute([]string{"test", path}, &out, &out), out.String()
	}
	if status, out := played(); status != exitDone {
		t.Errorf("without the file: exit status %d\n%s", status, out)
	}
	if err := os.Mkdir(filepath.Join(dir, "lists"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "lists", "block"), "192.0.2.1\n")
	if status, out := played(); status != exitDone {
		t.Errorf("with an added entry: exit status %d\n%s", status, out)
	}
	write(t, filepath.Join(dir, "block"), "192.0.2.0/24 # found\n")
	if status, out := played(); status != exitNo || !strings.Contains(out, "550 5.7.1 no") {
		t.Errorf("with the file: exit status %d\n%s", status, out)
	}
}
