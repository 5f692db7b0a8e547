package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
)

// anyFacts invents facts that the checks could establish: words are among those declared.
func (a author) anyFacts(v *Vocabulary) map[string]Value {
	out := a.facts(v)
	for _, f := range v.Facts() {
		if f.Words != nil {
			out[f.Name] = StringOf(a.pick(f.Words...))
		}
	}
	return out
}

func (a author) message(v *Vocabulary) *Witness {
	w := newWitness(v)
	w.Facts = a.anyFacts(v)
	if a.IntN(2) == 0 {
		w.Header["subject"] = subject("subject")
	}
	return w
}

// lawOfFormulas: what the analysis sees a condition come to is what it does come to, whatever the message, with all variables known and
// with any of them open.
func lawOfFormulas(t *testing.T, a author, source Source) {
	an := newAnalysis(testVocabulary(t))
	s := an.read(an.vocabulary, source)
	an.close()
	for range 5 {
		an.builder.w = a.message(an.vocabulary)
		st := an.open()
		for i, v := range an.vars {
			switch {
			case v.fact != nil:
				st[i] = v.index(an.builder.w.Facts[v.fact.Name].val)
			case v.expr != nil:
				if value, ok := an.evaluate(i); ok {
					st[i] = v.index(value)
				}
			}
			if a.IntN(4) == 0 {
				st[i] = open
			}
		}
		_, e := an.builder.w.Evidence(s.policy)
		for i, r := range s.policy.rules {
			value, _, err := r.program.Eval(e)
			is := outcomeOf(value == types.True)
			if err != nil {
				is = canFail
			}
			if l := (&look{space: an.space, state: st}); l.at(s.rules[i])&is == 0 {
				t.Fatalf("%s comes to %d, which is none of %d\n%v", source.Rules[i].When, is, l.at(s.rules[i]), an.builder.w.Facts)
			}
		}
	}
}

// lawOfFindings: a witness shows what its finding says, and a rule called dead decides no message.
func lawOfFindings(t *testing.T, a author, source Source) {
	v := testVocabulary(t)
	out := Analyse(v, source)
	for _, f := range out.Findings {
		if w := f.Witness; w != nil {
			holds, fails := w.Truth(out.Policy, f.Rule)
			d, _ := w.Decide(out.Policy)
			if shown := map[string]bool{"dead": holds && d.Rule != f.Rule, "fails": fails}; !shown[f.Kind] && !(holds && f.Kind != "dead" && f.Kind != "fails") {
				t.Errorf("%s: it holds: %v, fails: %v, decided by %q\n%v", f.Text, holds, fails, d.Rule, w.Lines(v))
			}
		}
		for range 10 {
			w := a.message(v)
			holds, _ := w.Truth(out.Policy, f.Rule)
			d, _ := w.Decide(out.Policy)
			switch {
			case f.Kind == "dead" && d.Rule == f.Rule, strings.Contains(f.Text, "can never match") && holds:
				t.Errorf("%s, but with\n%v", f.Text, w.Facts)
			case f.Kind == "always" && holds != strings.Contains(f.Text, "always true"):
				t.Errorf("%s, but with\n%v", f.Text, w.Facts)
			}
		}
	}
}

func checkAnalysis(t *testing.T, seed uint64) {
	a := author{rand.New(rand.NewPCG(seed, 2)), seed%2 == 0}
	source := a.policy()
	defer func() {
		if t.Failed() {
			for _, r := range source.Rules {
				t.Logf("%+v", r)
			}
		}
	}()
	lawOfFormulas(t, a, source)
	lawOfFindings(t, a, source)
}

func TestAnalysisOfRandomPolicies(t *testing.T) {
	for seed := range uint64(150) {
		checkAnalysis(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzAnalyse(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(2))
	f.Fuzz(checkAnalysis)
}

// TestAnalysisIsBounded: a policy made to cost time is analysed within the bound, and what was not decided is counted.
func TestAnalysisIsBounded(t *testing.T) {
	s := source()
	parity := `(message.size > 0)`
	for i := range 40 { // true for an odd number of true terms: nothing to prune
		parity = fmt.Sprintf(`(%s != (author.fields > %d && sender.domain == "d%d.example"))`, parity, i, i)
	}
	for i := range 10_000 {
		when := fmt.Sprintf(`sender.domain == "d%d.example" && message.size > %d`, i%50, i)
		if i%2000 == 1999 {
			when = parity
		}
		s.Rules = append(s.Rules, RuleSource{Name: fmt.Sprintf("r%d", i), When: when, Reply: "550 5.7.1 no"})
	}
	out := Analyse(testVocabulary(t), s)
	if most := maxAllSteps + 2*maxSteps + maxTries*tryCost; out == nil || out.Steps > most {
		t.Fatalf("%d steps, at most %d", out.Steps, most)
	}
	t.Logf("%d steps, %d findings, %d undecided", out.Steps, len(out.Findings), out.Undecided)
}
