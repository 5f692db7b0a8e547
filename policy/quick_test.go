package policy

import (
	"math/rand/v2"
	"slices"
	"testing"

	"cel.dev/cel-go/common/types"
)

// checkQuick asks a random condition both ways, over random facts of which any may be missing.
func checkQuick(t *testing.T, seed uint64) (quickly bool) {
	a := author{Rand: rand.New(rand.NewPCG(seed, 3)), recipient: true}
	v := testVocabulary(t)
	s := a.policy()
	s.Rules = s.Rules[:1]
	s.Rules[0].When = a.quickCondition(a.IntN(5))
	p, problems := Compile(v, s)
	if len(problems) > 0 {
		t.Fatalf("seed %d: %s: %v", seed, s.Rules[0].When, problems)
	}
	r := p.rules[0]
	if r.quick == nil {
		return false
	}
	for range 8 {
		e, all := p.NewEvidence(), a.facts(v)
		missing := a.IntN(4)
		publishAll(e, all, func(Fact) bool { return a.IntN(4) >= missing })
		if a.IntN(8) == 0 { // what no check gives
			e.vals[a.IntN(len(e.vals))] = []Value{StringOf("fail"), BoolOf(true), IntOf(1 << 62), DoubleOf(1)}[a.IntN(4)].val
		}
		slow := prepared{program: r.program}
		want, waits, wantErr := slow.truth(e)
		waits = slices.Clone(waits)
		got, gotWaits, err := r.truth(e)
		if got != want || (err == nil) != (wantErr == nil) || want == unknown && !slices.Equal(waits, gotWaits) {
			t.Fatalf("seed %d: %s\nis %v (%v) and waits for %v\nCEL says %v (%v) and waits for %v\n%v", seed, s.Rules[0].When, got, err, p.names(gotWaits), want, wantErr, p.names(waits), e.Facts())
		}
	}
	return true
}

// quickCondition writes a condition of the forms that are asked without CEL's interpreter, and now and then of another.
func (a author) quickCondition(depth int) string {
	if depth == 0 || a.IntN(6) == 0 {
		return a.quickTerm()
	}
	x, y := a.quickCondition(depth-1), a.quickCondition(a.IntN(depth))
	switch a.IntN(6) {
	case 0:
		return "(" + x + " && " + y + ")"
	case 1:
		return "(" + x + " || " + y + ")"
	case 2:
		return "!(" + x + ")"
	case 3:
		return "(" + a.quickTerm() + " ? " + x + " : " + y + ")"
	case 4:
		return "(" + a.quickNumber(x) + " + " + a.quickNumber(y) + a.pick(" > ", " >= ", " < ", " <= ", " == ", " != ") + a.quickNumber(x) + ")"
	}
	return "(" + x + " && (" + y + " || " + a.quickTerm() + "))"
}

func (a author) quickNumber(condition string) string {
	return a.pick("1", "2", "0", "9223372036854775807", "message.size", "author.fields", "("+condition+" ? 1 : 0)", "("+condition+" ? message.size : author.fields + 1)")
}

func (a author) quickTerm() string {
	if a.IntN(40) == 0 {
		return a.term()
	}
	return a.pick("client.trusted", "over.client_messages", "true", "false", `client.ip in list.block`, `sender.domain in list.block`, `rcpt.address in list.block`,
		`client.iprev == "fail"`, `"fail" == client.iprev`, `spf.result != "pass"`, `auth.user != ""`, `spf.result in ["fail", "softfail"]`, `spf.result in []`,
		`dmarc.result == "fail"`, `rcpt.local in ["a", "b"]`, `message.size > 1`, `author.fields == 0`, `2 >= author.fields`, `"a" == "a"`, `1 != 2`)
}

// TestQuick: conditions that are asked without CEL's interpreter have the truth that CEL gives them, and wait for the same facts.
func TestQuick(t *testing.T) {
	quickly := 0
	for seed := range uint64(1500) {
		if checkQuick(t, seed) {
			quickly++
		}
	}
	if quickly < 750 {
		t.Errorf("only %d of 1500 conditions were compared", quickly)
	}
}

// FuzzQuick is TestQuick for any seed.
func FuzzQuick(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkQuick(t, seed) })
}

// TestQuickSum: a sum of more than 64 bits is CEL's error, not a number.
func TestQuickSum(t *testing.T) {
	p, problems := Compile(testVocabulary(t), source("r: message.size + message.size > 0 => accept"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	e := p.NewEvidence()
	e.Publish("message.size", Value{types.Int(1 << 62)}, Data)
	if _, _, err := p.rules[0].truth(e); err == nil || p.rules[0].quick == nil {
		t.Errorf("no error; asked quickly: %v", p.rules[0].quick != nil)
	}
}
