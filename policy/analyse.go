package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/parser"
)

// Level says how much a finding should worry.
type Level uint8

// The levels. Mistakes that keep a policy from being used are Problems, not findings.
const (
	Remark  Level = iota // worth knowing; it may well be meant so
	Warning              // it does not do what it seems to say
)

// String gives the level's word.
func (l Level) String() string { return [...]string{"remark", "warning"}[l] }

// Finding is what the analysis of a policy without mistakes finds doubtful.
type Finding struct {
	Problem          // where, and what in words
	Level   Level    //
	Kind    string   // a word of a closed list: dead, always, part, unused, code, claim, anybody, dmarc, fails
	Rule    string   // whose; "" for none
	Witness *Witness // a message that shows it; nil where none is needed
}

// Analysis is what is found by looking at all conditions of a policy together.
type Analysis struct {
	Policy    *Policy
	Findings  []Finding // in the order of the rules
	Undecided int       // questions that were given up because their search took too long
	Steps     int       // the work, in terms looked at
}

// examined is one policy under analysis.
type examined struct {
	*compiler
	rules []*formula
	reads []map[int]bool // the variables of each rule
	whole []*ast.AST
}

// analysis is the work on one policy, or on two that are compared.
type analysis struct {
	*space
	builder
	out Analysis
}

// Analyse looks for what no single rule shows: rules that can never decide, words that mean nothing, codes and exemptions that do not fit
// what they rest on. It needs a source without problems, and gives nil for one with any. What it says is proven: a rule called dead
// matches no message, and a witness was tried on the real conditions. Its work is bounded; what it could not decide it counts.
func Analyse(v *Vocabulary, source Source) *Analysis {
	a := newAnalysis(v)
	s := a.read(v, source)
	if s == nil {
		return nil
	}
	a.close()
	a.rules(s)
	a.unused(s)
	a.out.Policy = s.policy
	return &a.out
}

func newAnalysis(v *Vocabulary) *analysis {
	a := &analysis{space: newSpace(v)}
	a.builder = builder{space: a.space, programs: map[int]cel.Program{}, used: &a.out.Steps}
	return a
}

// read compiles a source and makes formulas of its rules.
func (a *analysis) read(v *Vocabulary, source Source) *examined {
	s := &examined{compiler: compilerOf(v, source)}
	if s.compiled() == nil {
		return nil
	}
	a.builder.policies = append(a.builder.policies, s.policy)
	for i := range s.policy.rules {
		whole := s.checked[fmt.Sprintf("rule[%d].when", i)]
		r := &reading{space: a.space, compiler: s.compiler, whole: whole}
		f := r.formula(whole.Expr())
		s.rules, s.reads, s.whole = append(s.rules, f), append(s.reads, variables(f)), append(s.whole, whole)
	}
	return s
}

// close finds the values of all variables, first what terms come to for the ordinary message.
func (a *analysis) close() {
	a.builder.w = newWitness(a.vocabulary)
	for i, v := range a.vars {
		if v.fact != nil {
			for _, word := range passing(*v.fact) {
				a.isWord(i, word)
			}
		}
		if v.usual == nil && v.expr != nil {
			v.usual, _ = a.evaluate(i)
		}
	}
	a.space.close()
}

// ask puts a question.
func (a *analysis) ask(constraints ...constraint) (answer, state) {
	given, st := a.solve(&a.out.Steps, constraints...)
	if given == undecided {
		a.out.Undecided++
	}
	return given, st
}

// find keeps a finding about rule i of s, at a part of its condition or at its beginning.
func (a *analysis) find(s *examined, i int, part ast.Expr, f Finding) {
	f.Rule = s.policy.rules[i].name
	f.Text = fmt.Sprintf("rule %q: %s", f.Rule, f.Text)
	f.Path = fmt.Sprintf("rule[%d].when", i)
	if part != nil {
		at := s.whole[i].SourceInfo().GetStartLocation(leftmost(part).ID())
		if at.Line() > 0 {
			f.Line, f.Col = place(s.source.Rules[i].When, at.Line(), at.Column())
		}
	}
	same := func(other Finding) bool { return other.Kind == f.Kind && other.Text == f.Text }
	if !slices.ContainsFunc(a.out.Findings, same) {
		a.out.Findings = append(a.out.Findings, f)
	}
}

// above gives the rules above rule i that decide before it, the nearest first: those that read what it reads, or always match.
func (a *analysis) above(s *examined, i int) []int {
	var out []int
	for j := i - 1; j >= max(0, i-maxBack) && len(out) < maxAbove; j-- {
		a.out.Steps++
		if s.policy.rules[j].binds() && (i <= maxAbove || shares(s.reads[i], s.reads[j])) {
			out = append(out, j)
		}
	}
	return out
}

// binds reports whether nothing below the rule decides where its condition is true, whoever the sender is.
func (r *rule) binds() bool { return r.final() && r.share == 0 }

// Bounds on the rules above one that are looked at together with it. Further ones are taken as not matching. That can only make the analysis
// miss that a rule is dead: what a witness shows is tried on the whole policy.
const (
	maxAbove = 100
	maxBack  = 1000
)

func variables(f *formula) map[int]bool {
	out := map[int]bool{}
	f.each(func(f *formula) bool {
		if f.op == testOp {
			out[f.variable] = true
		}
		return true
	})
	return out
}

func shares(a, b map[int]bool) bool {
	if len(b) == 0 {
		return true // it is always or never true
	}
	for i := range b {
		if a[i] {
			return true
		}
	}
	return false
}

var headerLook = regexp.MustCompile(`@header\[("[^"]*")\]`)

// wide keeps a term in one line.
var wide = parser.WrapOnColumn(1 << 20)

// textOf writes a term of rule i as its condition does, with the names of definitions; "" where that is not possible, or long.
func (s *examined) textOf(i int, e ast.Expr) string {
	if e == nil {
		return ""
	}
	text, err := parser.Unparse(e, s.whole[i].SourceInfo(), wide)
	if err != nil || strings.Contains(text, "@result") || len(text) > maxNodes {
		return ""
	}
	for _, d := range s.source.Define {
		whole := s.language.defines[d.Name]
		if inside, err := parser.Unparse(whole.Expr(), whole.SourceInfo(), wide); err == nil && whole.Expr().Kind() == ast.CallKind {
			text = strings.ReplaceAll(strings.ReplaceAll(text, "("+inside+")", d.Name), inside, d.Name)
		}
	}
	if len(text) > 200 {
		return ""
	}
	return headerLook.ReplaceAllString(text, "header($1)")
}

// index gives the number of the value that stands for val.
func (v *variable) index(val ref.Val) int16 {
	for i, value := range v.values {
		same := true
		for test, c := range v.tests {
			same = same && c.holds(val) == value.holds[test]
		}
		if same {
			return int16(i)
		}
	}
	return 0
}
