package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatepost.example/testdata/debian"
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if missing := Missing(); missing != "" {
		return without("they need " + missing)
	}
	if !debian.Inside() {
		if err := Prepare(); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			return 1
		}
		status, err := debian.RunInside()
		if err != nil {
			return without("they need a network of their own: " + err.Error())
		}
		return status
	}
	if err := debian.RaiseNetwork(Server); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	return m.Run()
}

// without says why nothing is tested, and gives the exit status for that.
func without(why string) int {
	os.Stderr.WriteString("the tests of the packages are left out: " + why + "\n")
	if os.Getenv("GATEPOST_CI") != "" {
		return 1
	}
	return 0
}

// all gives the packages in dist/ of a format.
func all(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(Project, "dist", pattern))
	if err != nil || len(found) != 2 {
		t.Fatalf("%d packages %s in dist/ (%v), want one for amd64 and one for arm64; run make packages", len(found), pattern, err)
	}
	return found
}

func tree(t *testing.T) *Tree {
	t.Helper()
	tree, err := NewTree()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// run runs a command in a tree that must succeed.
func run(t *testing.T, tree *Tree, command string) string {
	t.Helper()
	out, err := tree.Run(command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestLintian: no error and no warning but for the overrides, and each of those has its reason above it.
func TestLintian(t *testing.T) {
	for _, deb := range all(t, "*.deb") {
		if out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", "--display-level", ">=warning", deb).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(deb), err, out)
		}
	}
	reasons(t, "packaging/deb/lintian-overrides", `^gatepost: `)
}

// TestRpmlint: no error but for what the filters name, and each of those has its reason above it.
func TestRpmlint(t *testing.T) {
	for _, rpm := range all(t, "*.rpm") {
		out, err := exec.Command("rpmlint", "--config", filepath.Join(Project, "packaging/rpm/rpmlint.toml"), rpm).CombinedOutput()
		if err != nil || !strings.Contains(string(out), " 0 errors") {
			t.Errorf("%s: %v\n%s", filepath.Base(rpm), err, out)
		}
	}
	reasons(t, "packaging/rpm/rpmlint.toml", `^    "`)
}

// reasons sees that a comment stands above each line of a file that matches.
func reasons(t *testing.T, path, pattern string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Project, path))
	if err != nil {
		t.Fatal(err)
	}
	before := ""
	for line := range strings.SplitSeq(string(text), "\n") {
		if regexp.MustCompile(pattern).MatchString(line) && !strings.Contains(before, "#") {
			t.Errorf("%s: no reason stands above %s", path, line)
		}
		before = line
	}
}

// TestManualIsClean: the pages in the package please mandoc and groff.
func TestManualIsClean(t *testing.T) {
	for _, page := range []string{"gatepost.1", "gatepost.8", "policy.toml.5"} {
		path := filepath.Join(Project, "dist/build", page)
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "style", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
		groff := exec.Command("groff", "-ww", "-man", "-Tutf8", path)
		var wrong strings.Builder
		groff.Stderr = &wrong
		if err := groff.Run(); err != nil || wrong.Len() > 0 {
			t.Errorf("groff: %v\n%s", err, wrong.String())
		}
	}
}

// TestCompletions: the shells take the completions that the package brings.
func TestCompletions(t *testing.T) {
	path := filepath.Join(Project, "dist/build/completion.bash")
	script := `_init_completion() { words=(gatepost lim); cword=1; cur=lim; prev=gatepost; }; source ` + path + ` && complete -p gatepost`
	if out, err := exec.Command("bash", "-c", script).CombinedOutput(); err != nil || !strings.Contains(string(out), "-F __start_gatepost") {
		t.Errorf("bash: %v\n%s", err, out)
	}
	for shell, head := range map[string]string{"zsh": "#compdef gatepost\n", "fish": "# fish completion for gatepost"} {
		text, err := os.ReadFile(filepath.Join(Project, "dist/build/completion."+shell))
		if err != nil || !strings.HasPrefix(string(text), head) {
			t.Errorf("the completion for %s does not begin with %q (%v)", shell, head, err)
		}
	}
}
