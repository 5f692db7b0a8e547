package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestWrongDefinitions: a mistake in a definition is told once, and there, however many rules use it.
func TestWrongDefinitions(t *testing.T) {
	for _, c := range []struct {
		why    string
		define []Definition
		want   []string
	}{
		{"an unknown fact, used by another definition and two rules", []Definition{{"bad", `spf.resul == "fail"`}, {"worse", `bad && client.trusted`}},
			[]string{`define.bad 1:1 definition "bad": unknown fact "spf.resul" (did you mean spf.result?)`}},
		{"a number that is none, used as a number", []Definition{{"bad", `(client.trustd ? 1 : 0)`}, {"worse", `bad >= 2`}},
			[]string{`define.bad 1:2 definition "bad": unknown fact "client.trustd" (did you mean client.trusted?)`}},
		{"a mistake in its second line", []Definition{{"bad", "client.trusted\n  && && true"}, {"worse", `true`}},
			[]string{`define.bad 2:6 definition "bad": "&&" is not expected here`}},
		{"a bad pattern", []Definition{{"bad", `helo.name.matches("(")`}, {"worse", `bad`}},
			[]string{"define.bad 1:11 definition \"bad\": the pattern of matches() is wrong: missing closing ): `(`"}},
		{"a list", []Definition{{"bad", `list.block`}, {"worse", `bad == bad`}},
			[]string{`define.bad 1:1 definition "bad": list.block stands alone; the only use of a list is "FACT in list.block"`}},
		{"itself", []Definition{{"bad", `!bad`}, {"worse", `bad`}},
			[]string{`define.bad 0:0 definition "bad" uses itself (bad -> bad); write one of them without the other`}},
		{"a circle of three, and one that uses it", []Definition{{"bad", `client.trusted || two`}, {"two", `three && true`}, {"three", `bad`}, {"worse", `three`}},
			[]string{`define.bad 0:0 definition "bad" uses itself (bad -> two -> three -> bad); write one of them without the other`}},
		{"two circles", []Definition{{"bad", `worse`}, {"worse", `bad`}, {"c", `d`}, {"d", `c`}},
			[]string{
				`define.bad 0:0 definition "bad" uses itself (bad -> worse -> bad); write one of them without the other`,
				`define.c 0:0 definition "c" uses itself (c -> d -> c); write one of them without the other`,
			}},
		{"names that have a meaning", []Definition{{"bad", "true"}, {"worse", "true"}, {"true", "true"}, {"for", "true"}, {"header", "true"}, {"list", "true"}, {"int", "1"}},
			[]string{
				`define.for 0:0 "for" has a meaning already; choose another name`, `define.header 0:0 "header" has a meaning already; choose another name`,
				`define.int 0:0 "int" has a meaning already; choose another name`, `define.list 0:0 "list" has a meaning already; choose another name`,
				`define.true 0:0 "true" has a meaning already; choose another name`,
			}},
		{"names that are none", []Definition{{"bad", "true"}, {"worse", "true"}, {"Bad", "true"}, {"a-b", "true"}, {"", "true"}, {"a.b", "true"}},
			[]string{
				`define. 0:0 "" is no name for a definition; use lower-case letters, digits and _`, `define.Bad 0:0 "Bad" is no name for a definition; use lower-case letters, digits and _`,
				`define.a-b 0:0 "a-b" is no name for a definition; use lower-case letters, digits and _`, `define.a.b 0:0 "a.b" is no name for a definition; use lower-case letters, digits and _`,
			}},
		{"twice the same", []Definition{{"bad", "true"}, {"worse", "true"}, {"bad", "false"}},
			[]string{`define.bad 0:0 definition "bad" stands twice; give each a name of its own`}},
	} {
		s := source(`a: bad => accept`, `b: bad || worse => 550 5.7.1 no`)
		s.Define = c.define
		if got := wrong(t, s); !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.why, got, c.want)
		}
	}
}

// TestDefinitionsDoNotGrow: definitions that double each other are refused before they fill the memory.
func TestDefinitionsDoNotGrow(t *testing.T) {
	s := source(`a: d39 => accept`)
	s.Define = []Definition{{"d0", "client.trusted"}}
	for i := range 40 {
		s.Define = append(s.Define, Definition{fmt.Sprintf("d%d", i+1), fmt.Sprintf("d%d || d%d || d%d", i, i, i)})
	}
	got := wrong(t, s)
	if len(got) != 1 || !strings.Contains(got[0], "terms with its definitions; at most 20000 are taken") {
		t.Errorf("got %q", got)
	}
}

// TestLargePatterns: a few signs of a pattern can stand for thousands of steps, and a few of a definition for the pattern.
func TestLargePatterns(t *testing.T) {
	const wide = `helo.name.matches("(a|b){900}c")` // 900 choices of two, and some more
	with := func(when string) Source {
		s := source("x: " + when + " => 550 5.7.1 no")
		s.Define = []Definition{{"wide", wide}}
		return s
	}
	if p, problems := Compile(testVocabulary(t), with("wide || wide")); p == nil {
		t.Errorf("what is used twice: %v", problems)
	}
	letters := `helo.name.matches("^\\p{L}{1,200}[^\\p{Cyrillic}]{1,200}$") || helo.name.matches("^[\\p{L}\\p{N}._-]{1,64}$")`
	if p, problems := Compile(testVocabulary(t), with(letters)); p == nil {
		t.Errorf("names of many letters: %v", problems)
	}
	many := func(term string) string { return strings.TrimSuffix(strings.Repeat(term+" || ", 200), " || ") }
	for _, when := range []string{many("wide"), many(wide), `helo.name.matches("` + strings.Repeat("a{1000}", 101) + `")`} {
		got := wrong(t, with(when))
		if len(got) == 0 || !strings.Contains(got[0], "the patterns of matches() up to here are too large together") {
			t.Errorf("got %q", got)
		}
	}
}

// TestLargeConditions: what is large but within bounds compiles, and is searched for its stages all the same.
func TestLargeConditions(t *testing.T) {
	var repeated, different, unknown []string
	for i := range 1500 {
		repeated = append(repeated, fmt.Sprintf(`(helo.name == "%d" && !client.trusted)`, i%10))
		different = append(different, fmt.Sprintf(`helo.name == "%d"`, i))
		unknown = append(unknown, fmt.Sprintf("x%d", i))
	}
	for _, terms := range [][]string{repeated, different} {
		when := strings.Join(terms, " || ") + ` || dmarc.result == "fail"`
		if got := briefs(compile(t, source("r: "+when+" => accept"))); got != "r helo/data/data" {
			t.Errorf("got %s", got)
		}
	}
	if got := wrong(t, source("r: "+strings.Join(unknown, " || ")+" => accept")); len(got) != maxMistakes {
		t.Errorf("%d mistakes of one condition are told", len(got))
	}
}

// TestNamesInScope: the name that exists gives an element hides a definition of that name, as it hides nothing outside.
func TestNamesInScope(t *testing.T) {
	s := source(`a: dkim.domains.exists(d, d == "example.org") && d == 7 => accept`)
	s.Define = []Definition{{"d", "message.size + 0"}}
	p := compile(t, s)
	e, w := p.NewEvidence(), p.NewWalk()
	e.Publish("dkim.domains", StringsOf([]string{"example.com", "example.org"}), Data)
	e.Publish("message.size", IntOf(7), Data)
	w.Step(e, Data)
	if d, _ := w.Decision(); d.Rule != "a" {
		t.Errorf("decided by %q", d.Rule)
	}
}

// TestRisks: check warns of what can fail while it is evaluated, and of nothing else.
func TestRisks(t *testing.T) {
	for _, c := range []struct{ when, want string }{
		{`message.size / 1024 > 5 && rcpt.count % 2 == 0`, "[]"},
		{`message.size / rcpt.count > 5`, "[/]"},
		{`message.size % (rcpt.count - 1) > 5 || 7 / 0 > 1`, "[% /]"},
		{`dkim.domains[0] == "x"`, "[[]]"},
		{`header("X").exists(s, s == "")`, "[]"},
		{`header("X")[0] == ""`, "[[]]"},
		{`int(helo.name) > 3 || double(helo.name) > 0.5`, "[int() double()]"},
		{`helo.name.substring(1) == "" || helo.name.charAt(2) == ""`, "[substring() charAt()]"},
		{`helo.name.indexOf("x") > 0`, "[]"},
		{`helo.name.indexOf("x", 9) > 0`, "[indexOf()]"},
	} {
		if got := fmt.Sprint(compile(t, source("r: "+c.when+" => accept")).Report()[0].Risks); got != c.want {
			t.Errorf("%s: %s, want %s", c.when, got, c.want)
		}
	}
}
