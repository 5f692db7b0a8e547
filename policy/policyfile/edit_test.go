package policyfile

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"gatepost.example/policy"
)

const editable = `# a heading

# what the mode is
mode = "observe"   # since May
[log] # no section of ours
level = "info"

[[rule]]
name = "plain"
when = 'client.trusted' # trusted
reply = "550 5.7.1 no"

# about the next
[[rule]]
name  = "watched"
observe = true # look at it
when  = '''
client.trusted'''
action = "discard"
[[rule]]
name = "shared"
when = 'client.trusted'
reply = "550 5.7.1 no"
enforce = "10%" # of them`

// TestEdits: what an edit changes in the file, line by line; all other bytes stay.
func TestEdits(t *testing.T) {
	rule := func(name string, share policy.Share) func(string) (string, error) {
		return func(text string) (string, error) { return SetRule(text, name, share) }
	}
	mode := func(m Mode) func(string) (string, error) {
		return func(text string) (string, error) { return SetMode(text, m) }
	}
	for _, c := range []struct {
		name    string
		edit    func(string) (string, error)
		old     string // this line
		becomes string // becomes this one; "" for a line that is added
	}{
		{"mode", mode(Enforce), `mode = "observe"   # since May`, `mode = "enforce"   # since May`},
		{"an observed rule", rule("watched", policy.WholeShare), `observe = true # look at it`, `enforce = "100%" # look at it`},
		{"an observed rule for a share", rule("watched", 50), `observe = true # look at it`, `enforce = "0.5%" # look at it`},
		{"a rule with a share for all", rule("shared", policy.WholeShare), `enforce = "10%" # of them`, `enforce = "100%" # of them`},
		{"a rule with a share for none", rule("shared", 0), `enforce = "10%" # of them`, `enforce = "0%" # of them`},
		{"a rule without a line", rule("plain", 0), `reply = "550 5.7.1 no"` + "\n", `reply = "550 5.7.1 no"` + "\nobserve = true\n"},
		{"a rule without a line for all, in mode observe", rule("plain", policy.WholeShare), `reply = "550 5.7.1 no"` + "\n", `reply = "550 5.7.1 no"` + "\n" + `enforce = "100%"` + "\n"},
		{"a rule without a line for a share", rule("plain", 2500), `reply = "550 5.7.1 no"` + "\n", `reply = "550 5.7.1 no"` + "\n" + `enforce = "25%"` + "\n"},
	} {
		for _, ends := range []string{"\n", "\r\n"} {
			files := strings.NewReplacer("\n", ends)
			want := "\ufeff" + files.Replace(strings.Replace(editable, c.old, c.becomes, 1))
			got, err := c.edit("\ufeff" + files.Replace(editable))
			if err != nil || got != want {
				t.Errorf("%s: %v\n%s\nwant\n%s", c.name, err, got, want)
			}
		}
	}
	for text, want := range map[string]string{
		"":                                   "mode = \"enforce\"\n",
		"# alone":                            "mode = \"enforce\"\n# alone",
		"# a heading\n\n# of log\n[log]\n":   "# a heading\n\nmode = \"enforce\"\n# of log\n[log]\n",
		"[dns]\ntimeout = \"1s\"\n":          "mode = \"enforce\"\n[dns]\ntimeout = \"1s\"\n",
		"'mode' = 'observe'\n":               "'mode' = \"enforce\"\n",
		"mode = '''\nobserve''' # multi\n":   "mode = \"enforce\" # multi\n",
		"#mode = \"observe\"\n\n[log] # x\n": "#mode = \"observe\"\n\nmode = \"enforce\"\n[log] # x\n",
	} {
		if got, err := SetMode(text, Enforce); err != nil || got != want {
			t.Errorf("%q becomes %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestEditsThatCannotBe: what is said of a rule that is not there, or that has no lines of its own.
func TestEditsThatCannotBe(t *testing.T) {
	for name, want := range map[string]string{
		"watchd": `there is no rule "watchd" (did you mean "watched"?)`,
		"other":  `there is no rule "other"; the policy has plain, watched and shared`,
	} {
		if _, err := SetRule(editable, name, 0); err == nil || err.Error() != want {
			t.Errorf("rule %s: %v, want %s", name, err, want)
		}
	}
	inline := `rule = [{ name = "a", when = "true", action = "discard" }, { name = "b", observe = true, when = "true", action = "discard" }]`
	if _, err := SetRule(inline, "a", 0); err == nil || !strings.Contains(err.Error(), "write observe = true into it") {
		t.Errorf("an inline rule: %v", err)
	}
	if got, err := SetRule(inline, "b", policy.WholeShare); err != nil || got != strings.Replace(inline, "observe = true", `enforce = "100%"`, 1) {
		t.Errorf("an inline rule with the key: %q, %v", got, err)
	}
}

// FuzzEdit: of any good policy, one line at most is changed or added, the policy loads and says what was asked for, and nothing else of it
// is different.
func FuzzEdit(f *testing.F) {
	v := vocabulary(f)
	for _, text := range policies(f, "good", 3) {
		f.Add(string(text), uint8(0), uint16(0))
		f.Add(string(text), uint8(1), uint16(1000))
	}
	f.Add(editable, uint8(2), uint16(10000))
	f.Fuzz(func(t *testing.T, text string, n uint8, share uint16) {
		before, err := Parse("before", []byte(text), v)
		if err != nil {
			return
		}
		changed, err := SetMode(text, Enforce)
		want := before.Source()
		want.Observe = false
		if before.Enforced != nil {
			return // mode observe makes rules observed that are not written so
		}
		edited(t, v, text, changed, err, want)
		if len(want.Rules) == 0 {
			return
		}
		text = changed
		want.Rules = slices.Clone(want.Rules)
		r := &want.Rules[int(n)%len(want.Rules)]
		asked := policy.Share(share) % (policy.WholeShare + 1)
		r.Observe, r.Share = asked == 0, asked%policy.WholeShare
		changed, err = SetRule(text, r.Name, asked)
		if err != nil && strings.Contains(err.Error(), "into it") {
			return
		}
		edited(t, v, text, changed, err, want)
	})
}

func edited(t *testing.T, v *policy.Vocabulary, text, changed string, err error, want policy.Source) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%q", err, text)
	}
	after, err := Parse("after", []byte(changed), v)
	if err != nil || !reflect.DeepEqual(after.Source(), want) {
		t.Fatalf("%q\nbecomes\n%q\n%v", text, changed, err)
	}
	old, now := strings.Split(text, "\n"), strings.Split(changed, "\n")
	head := 0
	for head < min(len(old), len(now)) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < min(len(old), len(now))-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	most := 1
	if !strings.HasSuffix(text, "\n") {
		most = 2 // the last line got its end
	}
	if changes := len(now) - head - tail; changes > most {
		t.Fatalf("%d lines differ:\n%q\n%q", changes, text, changed)
	}
}
