package policyfile

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// seeds gives a fuzz target every policy there is.
func seeds(f *testing.F) {
	for _, kind := range []string{"good", "bad"} {
		for _, text := range policies(f, kind, 3) {
			f.Add(text)
		}
	}
	text, err := os.ReadFile(shipped)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(sample))
	f.Add([]byte(`escapes = "\b\t\n\f\r\e\"\\\x41\u00e4\U0001F600" # every one of them`))
	f.Add([]byte("a=1\r\n[[b]]\n[[b.c]]\n[b.c.d]\nx=[{y=[]},{}]\n'''"))
}

// Any bytes: no panic, every mistake has its place in the file and one line of text, and what loads loads again as the same.
func FuzzParse(f *testing.F) {
	v := vocabulary(f)
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := Parse("f", text, v)
		if err == nil {
			again, err := Parse("again", []byte(file.Text), v)
			if err != nil || !reflect.DeepEqual(file.Source(), again.Source()) || file.Hash != again.Hash {
				t.Errorf("it does not load as the same again: %v", err)
			}
			return
		}
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("no Errors but %v", err)
		}
		lines := strings.Split(string(text), "\n")
		before := Error{Line: 1, Col: 1}
		for _, e := range all {
			if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > utf8.RuneCountInString(lines[e.Line-1])+1 {
				t.Errorf("%v lies outside of the file", e)
			}
			if e.Line < before.Line || e.Line == before.Line && e.Col < before.Col {
				t.Errorf("%v comes behind %v", e, before)
			}
			if e.Text == "" || e.File != "f" {
				t.Errorf("%+v has no text or file", e)
			}
			before = e
		}
	})
}

// Whatever the TOML library reads, the scanner has the place of each key and value, and what it would read there is the same.
func FuzzPlaces(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, bytes []byte) {
		text := strings.TrimLeft(string(bytes), "\ufeff")
		p := newPlaces(text)
		if !utf8.ValidString(text) || p.deep >= 0 {
			return
		}
		tree, err := toTree(text)
		if err != nil {
			return
		}
		if p.broken {
			// The library takes three quotes before the closing ones behind an escaped backslash; TOML 1.0 has at most two.
			if !strings.Contains(text, `\\""""""`) {
				t.Fatal("the scanner lost its way")
			}
			return
		}
		compare(t, p, "", tree)
	})
}

// compare goes through a tree and demands the place of everything in it.
func compare(t *testing.T, p *places, path string, value any) {
	at, ok := p.at[path]
	if !ok && path != "" {
		t.Fatalf("%s has no place", path)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, one := range v {
			compare(t, p, join(path, key), one)
		}
	case []map[string]any:
		for i, one := range v {
			compare(t, p, item(path, i), one)
		}
	case []any:
		for i, one := range v {
			compare(t, p, item(path, i), one)
		}
	case string:
		if got := content(p.text, at); got != v || at.quote == "" {
			t.Fatalf("%s is %q, at its place stands %q", path, v, got)
		}
	default:
		if at.quote != "" {
			t.Fatalf("%s is %v, at its place stands a text", path, v)
		}
	}
}
