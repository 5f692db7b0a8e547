package submission

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write makes a table's file and gives its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustOpen opens tables until the test ends.
func mustOpen(t testing.TB, text string) *Maps {
	t.Helper()
	m, err := Open(text)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestOwns(t *testing.T) {
	hash := write(t, "ann@example.org ann, Bob\ncarol+x@example.org\tcarol\n@example.org boss\n@list.test lists ,, lists2\nroot admin\nempty@example.org ,\n")
	later := write(t, "ann@example.org eve\nbob@example.org bob\nann+tag@example.org tagger\n")
	re := write(t, "/^dan@/ dan\n/^@/ domain\n/^re@example/ re\n")
	texts := "texthash:" + hash + ", file:" + later + "\tregexp:" + re
	m := mustOpen(t, texts)
	for _, test := range []struct {
		login, address string
		owned          bool
		entry          string
		why            string
	}{
		{"ann", "ann@example.org", true, "line 1, \"ann@example.org\"", "user@domain"},
		{"bob", "ann@example.org", true, "line 1", "several logins; case does not count"},
		{"boss", "ann@example.org", false, "line 1", "@domain is not asked once an entry was found"},
		{"eve", "ann@example.org", false, "line 1", "the first table with the entry answers"},
		{"ANN", "Ann@EXAMPLE.org", true, "line 1", "keys are folded"},
		{"bob", "bob@example.org", true, "line 2", "the full address in a later table goes before @domain in an earlier one (maps_find)"},
		{"tagger", "ann+tag@example.org", true, "line 3", "the full address in any table goes before the one without extension"},
		{"ann", "ann+other@example.org", true, "line 1, \"ann@example.org\"", "without its extension"},
		{"ann", "ann+a+b@example.org", true, "line 1", "the extension starts at the first delimiter"},
		{"carol", "carol+x@example.org", true, "line 2", "the extension counts"},
		{"carol", "carol@example.org", false, "line 3, \"@example.org\"", "but not the other way"},
		{"boss", "anyone@example.org", true, "line 3", "@domain"},
		{"boss", "+x@example.org", true, "line 3", "an extension without a user is none"},
		{"boss", "\"ann+x\"@example.org", true, "line 3", "no extension within quotes"},
		{"boss", "x@sub.example.org", false, "no entry for \"x@sub.example.org\", \"@sub.example.org\"", "no parent domains"},
		{"lists2", "x@list.test", true, "line 4", "several separators in a row"},
		{"", "x@list.test", false, "line 4", "no login is never on a list"},
		{"lists ,, lists2", "x@list.test", false, "line 4", "a login with separators is no list"},
		{"admin", "root", true, "line 5", "no domain: itself"},
		{"admin", "root@other.test", false, "no entry", "user alone is for local domains only, which are not known"},
		{"empty", "empty@example.org", false, "line 6", "an entry with no login: nobody, and no going on"},
		{"dan", "dan@other.test", true, "for \"dan@other.test\"", "a pattern"},
		{"boss", "re@example.org", false, "line 3 for re", "the pattern sees the full address before @domain is asked for"},
		{"domain", "who@other.test", false, "no entry for \"who@other.test\", \"@other.test\"", "patterns never see @domain"},
		{"anyone", "", true, "the null sender", "RFC 5321 4.5.5"},
		{"domain", "@other.test", true, "for \"@other.test\"", "unless it is the whole address"},
	} {
		owned, entry, err := m.Owns(t.Context(), test.login, test.address)
		want := test.entry
		if want == "line 3 for re" {
			want = "line 3, for \"re@example.org\""
		}
		if err != nil || owned != test.owned || !strings.Contains(entry, want) {
			t.Errorf("%q as %q: got %t, %q, %v; want %t, %q (%s)", test.login, test.address, owned, entry, err, test.owned, want, test.why)
		}
	}
}

func TestCheckText(t *testing.T) {
	for _, test := range []struct {
		text, want string // want: part of the error, "" for none
	}{
		{"texthash:/a", ""},
		{"file:/a,regexp:/b pcre:/c\n\tsocketmap:unix:/run/s:logins", ""},
		{"socketmap:inet:127.0.0.1:1234:logins, socketmap:inet:[::1]:1:x", ""},
		{"socketmap:unix:/a:b:name", ""},
		{"", "names no table"},
		{" , ", "names no table"},
		{"/etc/logins", "texthash:PATH"},
		{"texthash:logins", "does not start with /"},
		{"pcre:", "does not start with /"},
		{"hash:/etc/postfix/logins", "hash:/etc/postfix/logins: a compiled table is not read; name the text file"},
		{"mysql:/etc/x.cf", "through a socketmap server"},
		{"proxy:mysql:/etc/x.cf", "through a socketmap server"},
		{"static:ann", "no known type"},
		{"regexp:{{/x/ y}}", "{ and }"},
		{"socketmap:unix:/run/s", "name of the map is missing"},
		{"socketmap:unix:/run/s:", "name of the map is missing"},
		{"socketmap:unix:run/s:n", "does not start with /"},
		{"socketmap:unix:/" + strings.Repeat("a", 107) + ":n", "shorter"},
		{"socketmap:inet:localhost:x", "no host and port"},
		{"socketmap:inet:localhost:smtp:n", "port as a number"},
		{"socketmap:inet:localhost:0:n", "no host and port"},
		{"socketmap:inet:localhost:65536:n", "no host and port"},
		{"socketmap:inet:::1:25:n", "in []"},
		{"socketmap:inet::25:n", "no host and port"},
		{"socketmap:tcp:localhost:25:n", "socketmap:tcp is not known"},
	} {
		err := Check(test.text)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.text, err, test.want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	folder := t.TempDir()
	huge := filepath.Join(folder, "huge")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, maxFile+1); err != nil {
		t.Fatal(err)
	}
	bad := write(t, "/(/ ann\n")
	for _, test := range []struct{ text, want string }{
		{"texthash:" + folder + "/missing", "create the file"},
		{"texthash:" + folder, "not a file"},
		{"pcre:" + huge, "longer than 67108864 bytes"},
		{"regexp:" + bad, "regexp:" + bad + ": line 1: "},
		{"pcre:" + bad, "pcre:" + bad + ": line 1: "},
	} {
		m, err := Open(test.text)
		if err == nil || m != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.text, err, test.want)
		}
	}
}

func TestChanged(t *testing.T) {
	for _, kind := range []string{"texthash", "regexp", "pcre"} {
		path := write(t, "/a/ b\n")
		m := mustOpen(t, kind+":"+path+" socketmap:unix:/nowhere:n")
		if m.Changed() {
			t.Errorf("%s: changed at once", kind)
		}
		later := time.Now().Add(time.Minute)
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
		if !m.Changed() {
			t.Errorf("%s: touched, and not changed", kind)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if m.Changed() {
			t.Errorf("%s: gone counts as changed", kind)
		}
	}
}

// TestCanceled: a caller who is gone gets no answer from patterns, but no yes or no either.
func TestCanceled(t *testing.T) {
	m := mustOpen(t, "regexp:"+write(t, "/a/ b\n"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if owned, _, err := m.Owns(ctx, "b", "a@example.org"); err == nil || owned {
		t.Errorf("%t, %v", owned, err)
	}
}
