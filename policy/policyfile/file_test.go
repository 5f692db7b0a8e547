package policyfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// policies gives the texts of testdata/policies/*.KIND.toml by file name; there must be at least n.
func policies(t testing.TB, kind string, n int) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../testdata/policies/*." + kind + ".toml")
	if err != nil || len(files) < n {
		t.Fatalf("%d %s policies, %v", len(files), kind, err)
	}
	out := map[string][]byte{}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(path)] = text
	}
	return out
}

// A bad policy says in its own first lines what must be reported: "#! LINE:COL: text".
func TestBadPolicies(t *testing.T) {
	for name, text := range policies(t, "bad", 30) {
		t.Run(name, func(t *testing.T) {
			var want []string
			for line := range strings.Lines(string(text)) {
				if message, ok := strings.CutPrefix(line, "#! "); ok {
					want = append(want, name+":"+strings.TrimSpace(message))
				}
			}
			_, err := Parse(name, text, vocabulary(t))
			if err == nil {
				t.Fatal("it loads")
			}
			if got := err.Error(); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
		})
	}
}

func TestGoodPolicies(t *testing.T) {
	for name, text := range policies(t, "good", 3) {
		t.Run(name, func(t *testing.T) {
			f, err := Parse(name, text, vocabulary(t))
			if err != nil {
				t.Fatal(err)
			}
			if f.Policy == nil || f.Name != name || f.Text != string(text) {
				t.Errorf("policy %v, name %q, text %q", f.Policy, f.Name, f.Text)
			}
			// The same policy with the line ends of Windows and a byte order mark means the same.
			windows := "\ufeff" + strings.ReplaceAll(string(text), "\n", "\r\n")
			w, err := Parse(name, []byte(windows), vocabulary(t))
			if err != nil {
				t.Fatal(err)
			}
			got, want := strings.ReplaceAll(fmt.Sprintf("%+v", w.Source()), "\r\n", "\n"), fmt.Sprintf("%+v", f.Source())
			if got != want {
				t.Errorf("with CRLF\n%s\nwith LF\n%s", got, want)
			}
		})
	}
}

// shipped is what a new installation gets.
const shipped = "../../policy.toml"

func TestShippedPolicyIsTheDefaults(t *testing.T) {
	f, err := Load(shipped, vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Limits, f.Follow, f.Stamps = nil, nil, nil // the limits are a policy of their own: no default
	sameSettings(t, f, Default())
	var rules []string
	for _, r := range f.Source().Rules {
		rules = append(rules, r.Name)
	}
	// The order is the precedence: who is ours, who is known, who must always be heard, then what is wrong with the mail.
	want := "flood not-your-sender user-limit not-your-from our-users local-flood own-machines blocked allowed too-much postmaster blocklisted " +
		"null-mx no-such-sender greylist several-from no-from spoofed dns-trouble bad-reputation junk our-name"
	if got := strings.Join(rules, " "); got != want {
		t.Errorf("rules\n%s\nwant\n%s", got, want)
	}
	if !f.Source().Observe {
		t.Error("a new installation refuses mail")
	}
}

// The shipped file shows each default as "#key = value". They are true, and none is missing.
func TestShippedCommentsAreTheDefaults(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^#([a-z_]+ = )`).ReplaceAll(text, []byte("$1"))
	f, err := Parse("policy.toml", text, vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Limits = nil
	sameSettings(t, f, Default())
	places := newPlaces(string(text))
	for _, table := range f.tables() {
		for _, key := range table.keys {
			path := join(table.name, key.name)
			if _, shown := places.at[path]; !shown {
				t.Errorf("%s is not shown", path)
			}
		}
	}
}

func TestLoadSaysWhyAFileCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.toml")
	_, err := Load(path, vocabulary(t))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	if _, err = Load(t.TempDir(), vocabulary(t)); err == nil {
		t.Error("a directory loads")
	}
}

func TestHashNamesTheText(t *testing.T) {
	a, err := Parse("a", []byte("mode = 'observe'\n"), vocabulary(t))
	if err != nil {
		t.Fatal(err)
	}
	// printf "mode = 'observe'\n" | sha256sum
	if want := "8dae43cf0837f29c"; a.Hash != want {
		t.Errorf("hash %q, want %q", a.Hash, want)
	}
}

func TestManyMistakesArePrintedInPart(t *testing.T) {
	text := strings.Repeat("[[rule]]\nwhen = 'client.trusted'\naction = 'accept'\n", 70)
	_, err := Parse("policy.toml", []byte(text), vocabulary(t))
	var all Errors
	if !errors.As(err, &all) || len(all) != 70 {
		t.Fatalf("%T with %d errors", err, len(all))
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 51 || lines[50] != "policy.toml: and 20 more" || !strings.HasPrefix(lines[49], "policy.toml:148:1: ") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// Files that are made to cost time or stack.
func TestHostileFilesAreRefused(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"too big", strings.Repeat("#\n", maxSize), "f:1:1: the file has more than 1048576 bytes; a policy is smaller"},
		{"nested arrays", "mode = " + strings.Repeat("[", 1<<19), "f:1:21: values are nested or keys dotted more than 12 deep; a policy needs three"},
		{"nested tables", "mode = " + strings.Repeat("{a=", 1<<18), "f:1:47: values are nested or keys dotted more than 12 deep; a policy needs three"},
		{"dotted key", strings.Repeat("a.", 1<<18) + "a = 1", "f:1:26: values are nested or keys dotted more than 12 deep; a policy needs three"},
		{"dotted header", "[" + strings.Repeat("a.", 1<<18) + "a]", "f:1:27: values are nested or keys dotted more than 12 deep; a policy needs three"},
		{"no UTF-8", "mode = \"\xff\"", "f:1:9: byte 0xff is no UTF-8; save the file as UTF-8"},
		{"UTF-16", "\xff\xfem\x00", "f:1:1: byte 0xff is no UTF-8; save the file as UTF-8"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("f", []byte(test.text), vocabulary(t))
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	t.Run("many mistakes in one line", func(t *testing.T) {
		_, err := Parse("f", []byte("[trust]\nnetworks = ["+strings.Repeat("'x',", 200_000)+"]"), vocabulary(t))
		if err == nil || !strings.HasSuffix(err.Error(), "f: and 950 more") {
			t.Error("they are not bounded")
		}
	})
}

// TestShippedFileShowsEverySetting: policy.toml, and the manual page made of it, tell of every key of every section.
func TestShippedFileShowsEverySetting(t *testing.T) {
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for part := range strings.SplitSeq("\n"+string(text), "\n[") {
		name, rest, found := strings.Cut(part, "]\n")
		if !found {
			name, rest = "", part
		}
		sections[name] += rest
	}
	f := Default()
	for _, table := range f.tables() {
		for _, k := range table.keys {
			if !regexp.MustCompile(`(?m)^#?`+k.name+` += `).MatchString(sections[table.name]) && k.name != "http" {
				t.Errorf("policy.toml does not show %s %s", table.title(), k.name)
			}
		}
	}
}
