package play

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// FuzzCase: any bytes are a case or not, without a panic; of a case the section want is where txtar finds it, and writing anew what a run
// without events brings changes nothing outside of it.
func FuzzCase(f *testing.F) {
	files, err := filepath.Glob("../../testdata/sessions/*.txtar")
	if err != nil || len(files) < 20 {
		f.Fatalf("%d session files, %v", len(files), err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("why: x\n-- facts --\nclient.ip = 192.0.2.1\n-- want --\n"))
	f.Add([]byte("why: x\n-- session --\nquit\n--  want  -- \r\ndata none\n-- after --\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ReadCase("x", text)
		if err != nil {
			return
		}
		at := wantSection(text)
		if bytes.IndexByte(text, '\r') < 0 {
			for _, section := range txtar.Parse(text).Files {
				if section.Name == "want" && strings.TrimSpace(string(section.Data)) != strings.TrimSpace(string(text[at.from:at.to])) {
					t.Fatalf("want is %q, found %q", section.Data, text[at.from:at.to])
				}
			}
		}
		updated := (&Result{}).Update(text)
		if !bytes.HasPrefix(updated, text[:at.from]) || !bytes.HasSuffix(updated, text[at.to:]) {
			t.Fatalf("%q becomes %q", text, updated)
		}
		if again, err := ReadCase("x", updated); err != nil || again.Why != c.Why || len(again.Session) != len(c.Session) || len(again.Facts) != len(c.Facts) {
			t.Fatalf("%q is no case any more: %v", updated, err)
		}
	})
}

// TestPoliciesAreKept: cases that share a policy compile it once, and do not disturb each other.
func TestPoliciesAreKept(t *testing.T) {
	policies := &Policies{}
	for _, role := range []string{"mx", "submission", "mx"} {
		c, err := ReadCase("x", []byte("why: x\n-- policy --\nmode = \"enforce\"\n[[rule]]\nname = \"users\"\nwhen = 'server.role == \"submission\"'\nreply = \"550 5.7.1 no\"\n-- facts --\nserver.role = "+role+"\n-- want --\n"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := policies.Play(c, nil, time.Now())
		if err != nil || len(r.Events) != 1 || (r.Events[0].Rule == "users") != (role == "submission") {
			t.Errorf("%s: %v, %v", role, r, err)
		}
	}
	if len(policies.byText) != 1 {
		t.Errorf("%d policies are kept, want 1", len(policies.byText))
	}
}
