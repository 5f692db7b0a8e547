package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const project = "../.."

// TestLicencesAreCurrent: licences.md names what is linked now.
func TestLicencesAreCurrent(t *testing.T) {
	t.Chdir(project)
	modules, err := linkedModules()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(licenceTable)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != tableOf(modules) {
		t.Errorf("%s is not current; run go -C packaging/tools run . licences, and look at what is new", licenceTable)
	}
	for _, m := range modules {
		for _, l := range m.licences {
			if !slices.Contains([]string{"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "blessing"}, l) {
				t.Errorf("%s is under %s: may it be linked into a program under MIT?", m.path, l)
			}
		}
	}
}

// TestCopyrightHoldsEveryModule: Debian's file has a paragraph for each module, in the fields of the machine-readable format.
func TestCopyrightHoldsEveryModule(t *testing.T) {
	t.Chdir(project)
	modules, err := linkedModules()
	if err != nil {
		t.Fatal(err)
	}
	text := debianCopyright("MIT License\n\nPermission", modules)
	for _, m := range modules {
		paragraph := "\nFiles: module/" + strings.ReplaceAll(m.path, " ", "-") + "/*\nCopyright: "
		if _, rest, found := strings.Cut(text, paragraph); !found || !strings.Contains(rest[:min(len(rest), 2000)], "\nLicense: "+m.licences[0]) {
			t.Errorf("no paragraph with copyright and licence for %s", m.path)
		}
	}
	if !strings.Contains(text, "\nLicense: MIT\n MIT License\n .\n Permission\n\n") {
		t.Errorf("the own licence does not stand in the format:\n%s", text[:500])
	}
}

// TestChangelog: what CHANGELOG.md says, as debian/changelog (Debian Policy 4.4) has it.
func TestChangelog(t *testing.T) {
	changes, err := readChanges("# Changelog\n\n## Unreleased\n\n- [FEATURE] `new` things, which need a line so long that it does not fit into eighty columns.\n\n## 0.1.0 (2026-12-24)\n\n- [FEATURE] First.\n")
	if err != nil {
		t.Fatal(err)
	}
	r := release{version: "0.2.0", prerelease: "20270101.120000", at: time.Date(2027, 1, 1, 12, 0, 0, 0, time.UTC), changes: changes}
	want := `gatepost (0.2.0~20270101.120000-1) unstable; urgency=medium

  * [FEATURE] new things, which need a line so long that it does not fit into
    eighty columns.

 -- The Gatepost authors <maintainers@gatepost.example>  Fri, 01 Jan 2027 12:00:00 +0000

gatepost (0.1.0-1) unstable; urgency=medium

  * [FEATURE] First.

 -- The Gatepost authors <maintainers@gatepost.example>  Thu, 24 Dec 2026 00:00:00 +0000

`
	if got := r.debianChangelog(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for text, want := range map[string]string{
		"## 0.1.0\n- x\n":              `CHANGELOG.md:1: write "## Unreleased" or "## 1.2.3 (2026-12-24)"`,
		"## 0.1.0 (2026-13-01)\n- x\n": `CHANGELOG.md:1: parsing time "2026-13-01": month out of range`,
		"# Changelog\n":                "CHANGELOG.md has no changes",
	} {
		if _, err := readChanges(text); err == nil || err.Error() != want {
			t.Errorf("%q\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// TestSameBytes: the packages in dist/ come out the same from a copy of the project in another folder, at another time, under another umask.
func TestSameBytes(t *testing.T) {
	made, err := filepath.Glob(filepath.Join(project, "dist", "gatepost*"))
	if err != nil || len(made) != 4 {
		if os.Getenv("GATEPOST_CI") == "" {
			t.Skip("there are no packages in dist/; make packages builds them, make packages-test compares them")
		}
		t.Fatalf("%d packages in dist/, want four; run make packages", len(made))
	}
	copied := filepath.Join(t.TempDir(), "elsewhere")
	script := `umask 077 && mkdir "$1" && tar -C ` + project + ` --exclude=./dist --exclude=./.cache --exclude=./gatepost -cf - . | tar -C "$1" -xf - && find "$1" -type f -exec touch {} +`
	if out, err := exec.Command("/bin/sh", "-c", script, "copy", copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command("/bin/sh", "-c", `umask 077 && go run . packages -project "$1"`, "build", copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range made {
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(copied, "dist", filepath.Base(path)))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s differs between two builds", filepath.Base(path))
		}
	}
}
