package policy

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzCompile writes any text where a condition and a definition stand. What is wrong with it is said in one line, at a place inside of it,
// and once; what is right can be asked.
func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`client.ip in list.block`, `helo.name == "é" && fooo`, "client.trusted &&\n&& true", `dkim.domains.exists(d, d in list.block)`, `header("X").all(s, s != "")`,
		`not client.trusted`, `spf.result = 'fail`, `has(client.ip)`, `{"a": 1}.a`, `(client.trusted ? 1 : 2) / rcpt.count > 0`, `x.y.z(`, "\"\\", "a{b: c}", "[1, \"a\"]",
		"client.ip.matches('(')", "-(-1) == 1", "cel.bind(x, 1, x)", "1u == 1u || b'a' == b'a'", "dkim.domains[0]", "# ü\r\n", "list.block.x in list.block", "``", ".5e7 > 1.0",
	} {
		f.Add(seed)
	}
	v := testVocabulary(f)
	f.Fuzz(func(t *testing.T, text string) {
		s := source("r: x => accept")
		s.Rules[0].When = text
		p, problems := Compile(v, s)
		if (p == nil) != (len(problems) > 0) {
			t.Fatalf("a policy: %v, problems: %v", p != nil, problems)
		}
		checkProblems(t, text, problems)
		if p != nil {
			e, w := p.NewEvidence(), p.NewWalk().ForRecipient()
			for _, f := range v.Facts() {
				e.Publish(f.Name, f.Trouble, Data)
			}
			e.PublishHeader(func(string) []string { return nil })
			if waits := w.Step(e, Data); waits != nil {
				t.Errorf("all is known, and it waits for %v", waits)
			}
			p.Report()
		}
		s.Rules[0].When, s.Define = "true || x", []Definition{{"x", text}}
		if _, problems = Compile(v, s); len(problems) > 1 && problems[0].Path != "define.x" {
			t.Errorf("the mistake of a definition is told elsewhere: %+v", problems)
		}
	})
}

func checkProblems(t *testing.T, text string, problems []Problem) {
	lines := strings.Split(text, "\n")
	var seen []Problem
	for _, p := range problems {
		if slices.Contains(seen, p) {
			t.Errorf("told twice: %+v", p)
		}
		seen = append(seen, p)
		if strings.Contains(p.Text, "\n") && !strings.Contains(text, "\n") {
			t.Errorf("more than one line: %q", p.Text)
		}
		if p.Line == 0 && p.Col == 0 && strings.TrimSpace(text) == "" {
			continue
		}
		if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || utf8.ValidString(text) && p.Col > utf8.RuneCountInString(lines[p.Line-1])+1 {
			t.Errorf("no place inside: %+v", p)
		}
	}
}

// FuzzList adds any entry: one that is taken is in the list by its own kind.
func FuzzList(f *testing.F) {
	for _, seed := range []string{"192.0.2.0/24", "::ffff:192.0.2.1", "example.org", ".example.org", "a@b.example", "user:x", "uSer:0", "fe80::1%eth0", "ÀÉ@x", "::/0", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, entry string) {
		l, wrong := NewList([]string{entry}, networks())
		if len(wrong) > 0 {
			return
		}
		kind, text := KindOf(entry), entry
		switch {
		case kind == KindIP:
			text, _, _ = strings.Cut(entry, "/")
		case kind == KindUser && forcesUser(entry):
			text = entry[len(userPrefix):]
		case kind == KindDomain && entry[0] == '.':
			text = "x" + entry
		}
		if len(text) < maxDomain && !l.Has(kind, text) {
			t.Errorf("%q is not in the list of %q", text, entry)
		}
	})
}
