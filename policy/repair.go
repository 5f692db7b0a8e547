package policy

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

var trueValue = ref.Val(types.True)

// builder makes a message of the values that a search found: facts get them as they are, and for terms that the search did not look
// into, values of their facts are tried until the term comes to what the search took it for.
type builder struct {
	*space
	policies []*Policy // whose lists and fields the message meets
	programs map[int]cel.Program
	tries    int
	used     *int             // the work of the whole analysis
	base     map[string]Value // how the message is told, where nothing else is asked of it

	state  state
	pinned map[string]bool
	w      *Witness
}

// maxTries bounds the values tried for one message; tryCost is the work of one, in steps of a search.
const (
	maxTries = 20_000
	tryCost  = 100
)

// tired reports whether enough was tried.
func (b *builder) tired() bool { return b.tries > maxTries || *b.used > maxAllSteps }

// build gives the message, as near as it comes to the state. Whether it shows what it should is for the real conditions to say.
func (b *builder) build(st state) *Witness {
	b.state, b.pinned, b.tries, b.w = st, map[string]bool{}, 0, newWitness(b.vocabulary)
	var terms []int
	for i, at := range st {
		v := b.vars[i]
		switch {
		case at == open:
		case v.fact != nil:
			b.pinned[v.fact.Name] = true
		case v.expr != nil:
			terms = append(terms, i)
		}
	}
	for i, at := range st {
		if v := b.vars[i]; at != open && v.fact != nil {
			b.w.set(v.fact.Name, Value{v.values[at].val}, b.pinned)
		}
	}
	for name, v := range b.base {
		if _, there := b.w.Facts[name]; there && !b.pinned[name] {
			b.w.set(name, v, b.pinned)
		}
	}
	var met []int
	for _, i := range terms {
		if b.meets(i) || b.repair(i, met) {
			met = append(met, i)
		}
		if _, fact, ok := membership(b.vocabulary, b.vars[i].expr); ok && b.vars[i].values[st[i]].val == trueValue {
			b.w.told[fact] = true
		}
	}
	return b.w
}

// meets reports whether a term comes to what the state says.
func (b *builder) meets(i int) bool {
	b.tries++
	*b.used += tryCost
	got, ok := b.evaluate(i)
	if !ok {
		return false
	}
	v := b.vars[i]
	for test, c := range v.tests {
		if c.holds(got) != v.values[b.state[i]].holds[test] {
			return false
		}
	}
	return true
}

// evaluate gives the value of a term for the message; not ok where it fails.
func (b *builder) evaluate(i int) (ref.Val, bool) {
	program := b.programs[i]
	if program == nil {
		var err error
		if program, err = b.vars[i].program(); err != nil {
			return nil, false
		}
		b.programs[i] = program
	}
	_, e := b.w.Evidence(b.vars[i].owner)
	value, _, err := program.Eval(e)
	return value, err == nil
}

// allMeet reports whether a term and those before it that share a fact with it come to what they should.
func (b *builder) allMeet(i int, met []int) bool {
	if !b.meets(i) {
		return false
	}
	for _, other := range met {
		if !b.meets(other) {
			return false
		}
	}
	return true
}

// repair changes free facts of a term, one or two, until it fits.
func (b *builder) repair(i int, met []int) bool {
	before := b.w
	free := b.free(b.vars[i])
	for _, first := range free {
		for _, x := range b.candidates(first, i) {
			if b.tired() {
				break
			}
			b.w = before.copy()
			x(b.w)
			if b.allMeet(i, met) {
				return true
			}
		}
	}
	for n, first := range free {
		for _, second := range free[n+1:] {
			for _, x := range b.candidates(first, i) {
				for _, y := range b.candidates(second, i) {
					if b.tired() {
						break
					}
					b.w = before.copy()
					x(b.w)
					y(b.w)
					if b.allMeet(i, met) {
						return true
					}
				}
			}
		}
	}
	b.w = before
	return b.enter(i, met)
}

// enter makes the fact of FACT in list.NAME stand in the list.
func (b *builder) enter(i int, met []int) bool {
	name, fact, ok := membership(b.vocabulary, b.vars[i].expr)
	if !ok || textOf(b.w.Facts[fact].val) == "" {
		return false
	}
	before := b.w
	b.w = before.copy()
	b.w.changed[fact] = true
	b.w.Entries[name] = append(b.w.Entries[name], textOf(b.w.Facts[fact].val))
	if b.allMeet(i, met) {
		return true
	}
	b.w = before
	return false
}

// membership recognizes FACT in list.NAME.
func membership(v *Vocabulary, e ast.Expr) (list, fact string, ok bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In {
		return "", "", false
	}
	right, _, isName := dottedName(e.AsCall().Args()[1])
	list, isList := strings.CutPrefix(right, "list.")
	id, isFact := v.factAt(e.AsCall().Args()[0])
	if !isName || !isList || !isFact || id == headerFact {
		return "", "", false
	}
	return list, v.facts[id].Name, true
}

func (b *builder) free(v *variable) []FactID {
	return slices.DeleteFunc(slices.Clone(v.facts), func(id FactID) bool { return id != headerFact && b.pinned[b.vocabulary.facts[id].Name] })
}

// change is one thing that may be tried.
type change func(*Witness)

// candidates gives what may be tried for a fact, so that term i fits.
func (b *builder) candidates(id FactID, i int) []change {
	texts := b.texts(i)
	var out []change
	if id == headerFact {
		for _, name := range b.headerNames() {
			out = append(out, func(w *Witness) { delete(w.Header, name) })
			for _, text := range texts {
				out = append(out, func(w *Witness) { w.Header[name] = []string{text} })
			}
		}
		return out
	}
	f := b.vocabulary.facts[id]
	for _, v := range valuesFor(f, append(b.known(f), texts...), b.numbersIn(i)) {
		out = append(out, func(w *Witness) { w.set(f.Name, v, b.pinned) })
	}
	return out
}

// valuesFor gives values of a fact's type.
func valuesFor(f Fact, texts []string, numbers []float64) (out []Value) {
	switch {
	case f.Words != nil:
		texts = f.Words
		fallthrough
	case f.Type == String:
		for _, t := range texts {
			out = append(out, StringOf(t))
		}
	case f.Type == Bool:
		out = []Value{BoolOf(false), BoolOf(true)}
	case f.Type == Strings:
		out = append(out, StringsOf(nil))
		for n, t := range texts {
			out = append(out, StringsOf([]string{t}), StringsOf(texts[:n+1]))
		}
	default:
		for _, n := range numbers {
			switch {
			case f.Range != (Range{}) && (n < f.Range.Least || n > f.Range.Most):
			case f.Type == Int:
				out = append(out, IntOf(int(n)))
			default:
				out = append(out, DoubleOf(n))
			}
		}
	}
	return out
}

// strangers are values of each kind that no list is likely to have.
var strangers = map[Kind][]string{
	KindIP:      {"198.51.100.77", "203.0.113.5", "2001:db8::77"},
	KindAddress: {"carol@stranger.test", "dave@sub.stranger.test"},
	KindDomain:  {"stranger.test", "sub.stranger.test"},
	KindUser:    {"carol", "dave"},
}

// known gives texts that the lists and the kind of a fact suggest.
func (b *builder) known(f Fact) []string {
	out := slices.Clone(strangers[f.Kind])
	for _, p := range b.policies {
		for _, view := range p.views {
			if l, ok := view.(listView); ok && l.kind == f.Kind {
				out = append(out, l.list.examples(f.Kind)...)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *builder) headerNames() (out []string) {
	for _, p := range b.policies {
		out = append(out, p.headerNames...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// texts gives texts that a term suggests: its literals, alone and inside of others, and the texts of the other facts in it.
func (b *builder) texts(i int) []string {
	out := []string{""}
	add := func(all ...string) {
		for _, t := range all {
			if !slices.Contains(out, t) && len(out) < 100 {
				out = append(out, t)
			}
		}
	}
	walkExpr(b.vars[i].expr, nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches" {
			args := e.AsCall().Args()
			if pattern, ok := literalText(args[len(args)-1]); ok {
				add(sampleOf(pattern))
			}
		}
		if text, ok := literalText(e); ok {
			if strings.HasPrefix(text, ".") {
				add("mail" + text)
			}
			add(text, "a"+text, text+"a", "a"+text+"a", strings.ToUpper(text))
		}
		return true
	})
	for _, id := range b.vars[i].facts {
		if id == headerFact {
			continue
		}
		value := b.w.Facts[b.vocabulary.facts[id].Name].val
		if list, ok := value.Value().([]string); ok {
			add(list...)
		} else if text, ok := value.Value().(string); ok {
			add(text)
		}
	}
	add("a", "stranger.test", "a@b.test", strings.Repeat("a", 10), strings.Repeat("a", 100))
	return out
}

// numbersIn gives numbers that a term suggests.
func (b *builder) numbersIn(i int) []float64 {
	out := []float64{0, 1, 2, 3, 10, 1000, 1_000_000, 100_000_000}
	walkExpr(b.vars[i].expr, nil, func(e ast.Expr, _ []string) bool {
		if e.Kind() == ast.LiteralKind && len(out) < 50 {
			if n := asFloat(e.AsLiteral()); n != 0 {
				out = append(out, n-1, n, n+1, -n, 2*n, n/2, 1/n)
			}
		}
		return true
	})
	return out
}
