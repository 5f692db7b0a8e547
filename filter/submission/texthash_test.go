package submission

import (
	"fmt"
	"strings"
	"testing"
)

// TestTexthash has the answers of "postmap -q KEY texthash:FILE" of Postfix 3.7.11.
func TestTexthash(t *testing.T) {
	const table = "# c\nAnn@Example.org\tann, bob\n  # inside\n\n  carol\n\n@example.org   boss\n\"john doe\"@example.org john\n" +
		"a\\ b@x.test v2\nstar@x.test   v  with   gaps  \n   cont  \t\nlast@x.test\vz q\n"
	for _, test := range []struct{ text, key, want, why string }{
		{table, "ann@example.org", "ann, bob  carol", "a line goes on behind a comment and an empty line"},
		{table, "@example.org", "boss", "a domain"},
		{table, "\"john doe\"@example.org", "john", "a blank within quotes"},
		{table, "a\\ b@x.test", "v2", "a blank after a backslash"},
		{table, "star@x.test", "v  with   gaps     cont", "blanks are cut at both ends only"},
		{table, "last@x.test", "z q", "a vertical tab is a blank"},
		{table, "john", "", "no such key"},
		{table, "# c", "", "a comment"},
		{"x@y.test z", "x@y.test", "z", "no newline at the end"},
		{"b@y.test c\r\n", "b@y.test", "c", "a DOS file"},
		{"", "x@y.test", "", "an empty table"},
	} {
		entries, err := parseTexthash(test.text)
		if err != nil || entries[test.key].value != test.want {
			t.Errorf("%q: %q, %v; want %q (%s)", test.key, entries[test.key].value, err, test.want, test.why)
		}
	}
}

// TestTexthashRefuses: what postmap warns of and ignores is refused here.
func TestTexthashRefuses(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"  lead v\nx@y z\n", "line 1: it starts with a blank"},
		{"# c\nonlykey\n", "line 2: no key with a value"},
		{"x@y.test\r\n", "line 1: no key with a value"},
		{"\"q r@example.org  qq\n", "line 1: a quote"},
		{"ann@example.org: ann\n", "remove the colon"},
		{"dup@x.test one\n\nDUP@x.test two\n", "line 3: the key \"dup@x.test\" is on line 1, too"},
		{"\xa0k v\n", "line 1: not UTF-8"},
		{"k\x00 v\n", "line 1: it has a NUL byte"},
		{"k " + strings.Repeat("v", maxLine), "line 1: longer than"},
		{"k v\n" + strings.Repeat(" "+strings.Repeat("v", maxLine/4)+"\n", 5), "line 5: with it a line is longer than"},
	} {
		if _, err := parseTexthash(test.text); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.40q: %v, want %q", test.text, err, test.want)
		}
	}
}

// Any text: what is read is the same when it is written again, one entry a line.
func FuzzTexthash(f *testing.F) {
	for _, seed := range []string{"a@b c\n d\n", "# x\n\"a b\"@c d, e", "a\\ b c", " x", "İ@x y\r\n", "a\vb \fc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parseTexthash(text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "line ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("the error %q does not name the line", err)
			}
			return
		}
		for key, e := range entries {
			again, err := parseTexthash(fmt.Sprintf("%s %s\n", key, e.value))
			if err != nil || len(again) != 1 || again[key].value != e.value {
				t.Errorf("%q %q: read again as %v, %v", key, e.value, again, err)
			}
			if e.line < 1 || e.line > strings.Count(text, "\n")+1 {
				t.Errorf("%q on line %d", key, e.line)
			}
		}
	})
}
