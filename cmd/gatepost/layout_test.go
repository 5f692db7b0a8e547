package main

import (
	"encoding/json"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "gatepost.example/"

// root is the project's folder.
const root = "../.."

// imports gives what each package of the project imports outside of its tests.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string][]string{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
	return all
}

// TestImportsGoOneWay proves the order of the rooms: cmd -> filter -> one folder a check -> check, message, resolve -> policy.
func TestImportsGoOneWay(t *testing.T) {
	contract := []string{"filter/check", "filter/message", "filter/resolve", "policy"}
	allowed := map[string][]string{
		"policy":                     nil,
		"policy/policyfile":          {"policy"},
		"filter/message":             nil,
		"filter/resolve":             nil,
		"filter/resolve/resolvetest": {"filter/resolve"},
		"filter/check":               {"filter/message", "filter/resolve", "filter/state", "policy"},
		"filter/check/checktest":     nil,
		"filter/state/statetest":     nil,
		"filter/authres":             {"filter/check"},
		"filter/metric":              nil,
		"filter/milter":              nil,
		"filter/history":             append([]string{"filter/state"}, contract...),
		"filter/iprev":               contract,
		"filter/spf":                 contract,
		"filter/mx":                  contract,
		"filter/helo":                contract,
		"filter/dnsbl":               contract,
		"filter/state":               nil,
		"filter/limit":               {"filter/state"},
		"filter/greylist":            {"filter/state"},
		"filter/submission":          contract,
		"filter/reputation":          append([]string{"filter/state"}, contract...),
		"filter/correspondent":       append([]string{"filter/state"}, contract...),
		"filter/dkim":                contract,
		"filter/dmarc":               contract,
		"filter/arc":                 append([]string{"filter/dkim", "filter/authres"}, contract...),
		"filter":                     append([]string{"filter/authres", "filter/milter", "filter/iprev", "filter/spf", "filter/mx", "filter/helo", "filter/dnsbl", "filter/metric", "filter/state", "filter/limit", "filter/greylist", "filter/submission", "filter/reputation", "filter/correspondent", "filter/dkim", "filter/dmarc", "filter/arc", "filter/history", "policy/policyfile"}, contract...),
		"filter/mailbox":             nil,
		"filter/play":                append([]string{"filter", "filter/state", "filter/dnsbl", "filter/iprev", "filter/resolve/resolvetest", "policy/policyfile"}, contract...),
		"cmd/gatepost/mta":           nil,
		"cmd/gatepost/setup":         {"cmd/gatepost/mta", "policy", "policy/policyfile"},
		"cmd/gatepost/page":          {"filter", "filter/history", "policy"},
		"cmd/gatepost/logging":       {"policy/policyfile"},
		"cmd/gatepost/doctor":        append([]string{"cmd/gatepost/mta", "cmd/gatepost/setup", "filter", "filter/dnsbl", "policy/policyfile"}, contract...),
		"cmd/gatepost":               append([]string{"cmd/gatepost/page", "cmd/gatepost/doctor", "cmd/gatepost/logging", "cmd/gatepost/mta", "cmd/gatepost/setup", "filter", "filter/authres", "filter/limit", "filter/metric", "filter/state", "filter/submission", "filter/dmarc", "filter/correspondent", "filter/dnsbl", "filter/mailbox", "filter/play", "filter/reputation", "filter/milter", "filter/history", "policy/policyfile"}, contract...),
	}
	for name, imported := range imports(t) {
		may, known := allowed[name]
		if !known {
			t.Errorf("package %s has no place in the order of imports; give it one here", name)
		}
		for _, i := range imported {
			if own, ours := strings.CutPrefix(i, module); ours && !slices.Contains(may, own) {
				t.Errorf("%s must not import %s", name, own)
			}
		}
	}
}

// TestLibrariesStayInTheirRoom: what only one folder knows can be changed in one folder.
func TestLibrariesStayInTheirRoom(t *testing.T) {
	rooms := map[string][]string{
		"cel.dev/":               {"policy"},
		"github.com/BurntSushi/": {"policy/policyfile"},
		"github.com/gaissmai/":   {"policy/policyfile"},
		"github.com/coreos/":     {"cmd/gatepost", "cmd/gatepost/logging"},
		"github.com/prometheus/": {"filter/metric"},
		"github.com/d--j/":       nil, // plays the MTA in tests
		"github.com/miekg/dns":   {"filter/resolve", "filter/resolve/resolvetest"},
		"github.com/spf13/":      {"cmd/gatepost"},
		// The public suffix list is for comparison: no verdict may rest on it.
		"golang.org/x/net/publicsuffix": {"filter/dmarc"},
	}
	for name, imported := range imports(t) {
		for _, i := range imported {
			for library, room := range rooms {
				if strings.HasPrefix(i, library) && !slices.Contains(room, name) {
					t.Errorf("%s must not import %s", name, i)
				}
			}
			if name == "policy" && strings.Contains(i, ".") && !strings.HasPrefix(i, "cel.dev/") {
				t.Errorf("package policy is pure: it must not import %s", i)
			}
		}
	}
}

// TestEverythingPublicIsExplained: each package and each exported name has a comment.
func TestEverythingPublicIsExplained(t *testing.T) {
	for name := range imports(t) {
		dir := filepath.Join(root, name)
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var parsed []*ast.File
		set := token.NewFileSet()
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			one, err := parser.ParseFile(set, f, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, one)
		}
		p, err := doc.NewFromFiles(set, parsed, module+name)
		if err != nil {
			t.Fatal(err)
		}
		if p.Doc == "" {
			t.Errorf("package %s has no comment", name)
		}
		for _, missing := range unexplained(p) {
			t.Errorf("%s: %s has no comment", name, missing)
		}
	}
}

func unexplained(p *doc.Package) []string {
	var out []string
	functions := func(of string, list []*doc.Func) {
		for _, f := range list {
			if f.Doc == "" {
				out = append(out, of+f.Name)
			}
		}
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			if v.Doc == "" && ast.IsExported(v.Names[0]) && !commented(v.Decl) {
				out = append(out, v.Names[0])
			}
		}
	}
	functions("", p.Funcs)
	values(append(p.Consts, p.Vars...))
	for _, t := range p.Types {
		if t.Doc == "" {
			out = append(out, t.Name)
		}
		functions(t.Name+".", append(t.Funcs, t.Methods...))
		values(append(t.Consts, t.Vars...))
	}
	return out
}

func commented(d *ast.GenDecl) bool {
	for _, spec := range d.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok && v.Doc == nil && v.Comment == nil {
			return false
		}
	}
	return true
}

// TestTopLevel: the project's folder holds what the design names, no more.
func TestTopLevel(t *testing.T) {
	allowed := []string{"cmd", "filter", "policy", "packaging", "testdata", "policy.toml", "go.mod", "go.sum", "README.md",
		".ci", ".git", ".gitignore", "LICENSE", "CHANGELOG.md", "Makefile", "gatepost", "dist", ".cache"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s has no place at the top level", e.Name())
		}
	}
}

// TestFilesAreShort: a file of over 400 lines holds more than one thing.
func TestFilesAreShort(t *testing.T) {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if n := strings.Count(string(text), "\n"); n > 400 {
			t.Errorf("%s has %d lines", path, n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
