package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// checkComparison: a change's message ends under both policies as it says, and whatever message ends otherwise is among the changes.
func checkComparison(t *testing.T, seed uint64) {
	a := author{rand.New(rand.NewPCG(seed, 3)), seed%2 == 0}
	old, new := a.policy(), a.policy()
	for i := range new.Rules { // mostly one policy after a few edits
		if i < len(old.Rules) && a.IntN(3) > 0 {
			new.Rules[i].When = old.Rules[i].When
		}
	}
	for _, s := range []Source{old, new} { // a share counts as enforced: what the walk does then hangs on the sender
		for i := range s.Rules {
			s.Rules[i].Share = 0
		}
	}
	v := testVocabulary(t)
	c, err := Compare(v, old, v, new)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("old %+v\nnew %+v", old.Rules, new.Rules)
		}
	}()
	for _, change := range c.Changes {
		if was, is := endOf(change.Witness, c.Old), endOf(change.Witness, c.New); was != change.Was || is != change.Is {
			t.Errorf("%+v ends as %+v and then as %+v", change, was, is)
		}
	}
	for range 20 {
		w := a.message(v)
		was, is := endOf(w, c.Old), endOf(w, c.New)
		known := func(change Difference) bool { return change.Was == was && change.Is == is }
		if was.Effect != is.Effect && c.Undecided == 0 && !slices.ContainsFunc(c.Changes, known) {
			t.Errorf("a message ends as %+v and then as %+v, and the comparison does not know\n%v", was, is, w.Facts)
		}
	}
}

// endOf gives what the walk of a policy does with a message.
func endOf(w *Witness, p *Policy) End {
	d, decided := w.Decide(p)
	if !decided {
		return End{}
	}
	return End{d.Rule, d.Reply.Code, p.rules[d.index].effect()}
}

func TestComparisonOfRandomPolicies(t *testing.T) {
	for seed := range uint64(100) {
		checkComparison(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(2))
	f.Fuzz(checkComparison)
}

// TestCompare: changes by hand, each with the one kind of message that it is about.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		why      string
		old, new []string
		want     []string // "WAS -> IS: what the message needs"
	}{
		{"the same", []string{"a: client.trusted => accept"}, []string{"a: client.trusted => accept"}, nil},
		{"the same in other words", []string{`a: !(spf.result != "fail") => 550 5.7.1 no`}, []string{`a: spf.result in ["fail"] => 550 5.7.1 no`}, nil},
		{"one word more", []string{`a: spf.result == "fail" => 550 5.7.1 no`}, []string{`a: spf.result in ["fail", "softfail"] => 550 5.7.1 no`},
			[]string{`taken -> refused: spf.result = "softfail"`}},
		{"an exemption gone", []string{"own: client.trusted => accept", `a: spf.result == "fail" => 550 5.7.1 no`}, []string{`a: spf.result == "fail" => 550 5.7.1 no`},
			[]string{`taken -> refused: client.trusted = true, spf.result = "fail"`}},
		{"no longer observed", []string{`a: message.size > 20000 => 450 4.7.1 later observe`}, []string{`a: message.size > 20000 => 450 4.7.1 later`},
			[]string{`taken -> put off: message.size = 20001`}},
		{"another code of the same kind", []string{`a: client.trusted => 550 5.7.1 no`}, []string{`a: client.trusted => 554 5.7.1 no`}, nil},
		{"from 5xx to 4xx", []string{`a: client.trusted => 550 5.7.1 no`}, []string{`a: client.trusted => 450 4.7.1 no`},
			[]string{`refused -> put off: client.trusted = true`}},
		{"a list", []string{`a: client.ip in list.block => discard`}, []string{`a: client.ip in list.block => quarantine`},
			[]string{`dropped -> put on hold: client.ip = "192.0.2.1"`}},
		{"a field", []string{`a: spf.result == "fail" => tag`}, []string{`a: spf.result in ["fail", "none"] => tag`},
			[]string{`taken -> taken: spf.result = "none"`}},
	} {
		v := testVocabulary(t)
		got, err := Compare(v, source(c.old...), v, source(c.new...))
		if err != nil || got.Undecided > 0 {
			t.Fatalf("%s: %v", c.why, err)
		}
		var lines []string
		for _, change := range got.Changes {
			line := change.Was.Effect.String() + " -> " + change.Is.Effect.String() + ": "
			for i, l := range change.Witness.Lines(v) {
				if i > 0 {
					line += ", "
				}
				line += l
			}
			lines = append(lines, line)
		}
		if !slices.Equal(lines, c.want) {
			t.Errorf("%s: got\n%q, want\n%q", c.why, lines, c.want)
		}
	}
}

// TestComparisonIsBounded: two policies made to cost time are compared within the bound, and what was not decided is counted.
func TestComparisonIsBounded(t *testing.T) {
	long := func(action string) Source {
		s := source("tagged: client.trusted => tag")
		for i := range 300 {
			when := fmt.Sprintf(`sender.domain == "d%d.example" && message.size > %d && helo.name.contains("%s%d")`, i%50, i, action, i)
			s.Rules = append(s.Rules, RuleSource{Name: fmt.Sprintf("r%d", i), When: when, Action: action})
		}
		return s
	}
	v := testVocabulary(t)
	c, err := Compare(v, long("accept"), v, long("discard"))
	if most := maxAllSteps + 2*maxSteps + maxTries*tryCost; err != nil || c.Steps > most || c.Undecided == 0 {
		t.Fatalf("%v, %d steps, at most %d, %d undecided", err, c.Steps, most, c.Undecided)
	}
}
