package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"cel.dev/cel-go/common/debug"
)

// Effect is what becomes of a message, in the order from the mildest.
type Effect uint8

// The effects.
const (
	Taken   Effect = iota // no rule decides, or one accepts
	Held                  // quarantine
	PutOff                // 4xx
	Refused               // 5xx
	Dropped               // discard
)

// String gives the effect in words.
func (e Effect) String() string {
	return [...]string{"taken", "put on hold", "put off", "refused", "dropped"}[e]
}

func (r *rule) effect() Effect {
	switch {
	case r.action == Quarantine:
		return Held
	case r.action == Answer && r.reply.Temporary():
		return PutOff
	case r.action == Answer:
		return Refused
	case r.action == Discard:
		return Dropped
	}
	return Taken
}

// End is what a policy does with a message: the rule that decides, "" for none, and its effect.
type End struct {
	Rule   string
	Code   int // of a reply
	Effect Effect
}

// Difference is one kind of message that ends otherwise under the new policy, with one that shows it.
type Difference struct {
	Was, Is End
	Field   string // where only the fields differ that rules add: "X-Spam-Flag: YES", which is new, or gone when Gone
	Gone    bool
	Witness *Witness
}

// Comparison is how two policies differ in what they do.
type Comparison struct {
	Old, New   *Policy
	Vocabulary *Vocabulary  // of both
	Changes    []Difference // the harshest first
	Undecided  int          // questions that were given up because their search took too long
	Steps      int
}

// errApart says that two policies cannot be compared.
var errApart = errors.New("the two cannot be compared: what one of them reads is known too late in the other")

// Compare looks for every way in which messages end otherwise under the new of two policies, both without problems. Rules that are
// enforced for a share are taken as enforced, and the mode does not count. Each change has a message that was tried on both.
func Compare(oldFacts *Vocabulary, old Source, newFacts *Vocabulary, new Source) (*Comparison, error) {
	v, err := union(newFacts, oldFacts)
	if err != nil {
		return nil, err
	}
	a := newAnalysis(v)
	c := &comparer{analysis: a, old: a.read(v, old), new: a.read(v, new)}
	if c.old == nil || c.new == nil {
		return nil, errApart
	}
	a.close()
	c.decisions()
	c.fields()
	slices.SortStableFunc(c.changes, func(x, y Difference) int {
		return cmp.Or(-cmp.Compare(x.Is.Effect, y.Is.Effect), -cmp.Compare(x.Was.Effect, y.Was.Effect))
	})
	return &Comparison{c.old.policy, c.new.policy, v, c.changes, a.out.Undecided, a.out.Steps}, nil
}

// union gives the facts of both.
func union(first, second *Vocabulary) (*Vocabulary, error) {
	var more []Fact
	for _, f := range second.facts {
		if _, known := first.Fact(f.Name); !known {
			more = append(more, f)
		}
	}
	return NewVocabulary(first.facts, more)
}

type comparer struct {
	*analysis
	old, new *examined
	changes  []Difference
}

// finals gives the numbers of the rules that decide, and one number behind the last for "no rule".
func (s *examined) finals() []int {
	var out []int
	for i, r := range s.policy.rules {
		if r.final() {
			out = append(out, i)
		}
	}
	return append(out, len(s.rules))
}

// end gives what rule i does, or what is done where no rule decides.
func (s *examined) end(i int) End {
	if i == len(s.rules) {
		return End{}
	}
	r := s.policy.rules[i]
	return End{r.name, r.reply.Code, r.effect()}
}

// decisions finds the changes of what is decided: for each pair of a rule that decided and one that decides.
func (c *comparer) decisions() {
	from, to := keysOf(c.old), keysOf(c.new)
	for _, j := range c.new.finals() {
		for _, i := range c.old.finals() {
			was, is := c.old.end(i), c.new.end(j)
			c.out.Steps++
			if was.Effect == is.Effect || from.excludes(i, to, j) || to.excludes(j, from, i) {
				continue
			}
			if c.out.Steps > maxAllSteps {
				c.out.Undecided++
				return
			}
			question := append(c.new.decidedBy(j), c.old.decidedBy(i)...)
			c.out.Steps += len(question)
			if given, st := c.ask(question...); given == possible {
				c.keep(Difference{Was: was, Is: is}, st)
			}
		}
	}
}

// keys tells conditions apart: equal ones have equal keys.
type keys struct {
	of    []string
	first map[string]int // the first final rule that has it
}

func keysOf(s *examined) keys {
	k := keys{first: map[string]int{}}
	for i, whole := range s.whole {
		key := debug.ToDebugString(whole.Expr())
		k.of = append(k.of, key)
		if _, there := k.first[key]; !there && s.policy.rules[i].final() {
			k.first[key] = i
		}
	}
	return k
}

// excludes reports whether rule i cannot decide together with rule j of the other policy, because that one has its condition above j.
func (k keys) excludes(i int, others keys, j int) bool {
	if i == len(k.of) {
		return false
	}
	at, there := others.first[k.of[i]]
	return there && at < j
}

// decidedBy gives the constraints that rule i decides, or none where i is behind the last.
func (s *examined) decidedBy(i int) []constraint {
	var out []constraint
	if i < len(s.rules) {
		out = append(out, matches(s.rules[i]))
	}
	for j := range i {
		if s.policy.rules[j].final() {
			out = append(out, misses(s.rules[j]))
		}
	}
	return out
}

// keep builds the message of a change and keeps the change when the message shows it.
func (c *comparer) keep(change Difference, st state) {
	w := c.build(st)
	if w.end(c.old) == change.Was && w.end(c.new) == change.Is && change.fieldShows(w, c) {
		change.Witness = w
		c.changes = append(c.changes, change)
		return
	}
	c.out.Undecided++
}

func (change Difference) fieldShows(w *Witness, c *comparer) bool {
	if change.Field == "" {
		return true
	}
	was, is := w.fields(c.old), w.fields(c.new)
	return slices.Contains(was, change.Field) == change.Gone && slices.Contains(is, change.Field) != change.Gone
}

// end gives what a policy does with the message, its rules with a share taken as enforced.
func (w *Witness) end(s *examined) End {
	p, e := w.Evidence(s.policy)
	for i, r := range p.rules {
		if value, _, err := r.program.Eval(e); r.final() && err == nil && value == trueValue {
			return s.end(i)
		}
	}
	return End{}
}

// fields gives the fields that a policy adds to the message, as their rules write them.
func (w *Witness) fields(s *examined) []string {
	p, e := w.Evidence(s.policy)
	var out []string
	for i, r := range p.rules {
		value, _, err := r.program.Eval(e)
		switch {
		case err != nil || value != trueValue:
		case r.final():
			return out
		case r.action == Tag && !r.observe:
			out = append(out, s.fieldsOf(i)...)
		}
	}
	return out
}

// fieldsOf gives the fields of a tag rule.
func (s *examined) fieldsOf(i int) (out []string) {
	for _, h := range s.source.Rules[i].Header {
		out = append(out, fmt.Sprintf("%s: %s", h.Name, h.Value))
	}
	return out
}

// fields finds fields that only one of the policies adds to mail that both take.
func (c *comparer) fields() {
	all := append(c.old.allFields(), c.new.allFields()...)
	slices.Sort(all)
	for _, field := range slices.Compact(all) {
		c.field(field, c.new, c.old, false)
		c.field(field, c.old, c.new, true)
	}
}

// field looks for a message that both take, to which adds adds a field and lacks does not.
func (c *comparer) field(field string, adds, lacks *examined, gone bool) {
	mine, others := keysOf(adds), keysOf(lacks)
	for _, i := range adds.takers() {
		for _, j := range lacks.takers() {
			c.out.Steps++
			if mine.excludes(i, others, j) || others.excludes(j, mine, i) {
				continue
			}
			if c.out.Steps > maxAllSteps {
				c.out.Undecided++
				return
			}
			question := append(adds.decidedBy(i), lacks.decidedBy(j)...)
			for _, q := range lacks.tagging(field, j) {
				question = append(question, misses(lacks.rules[q]))
			}
			for _, r := range adds.tagging(field, i) {
				if given, st := c.ask(append([]constraint{matches(adds.rules[r])}, question...)...); given == possible {
					was, is := lacks.end(j), adds.end(i)
					if gone {
						was, is = is, was
					}
					c.keep(Difference{Was: was, Is: is, Field: field, Gone: gone}, st)
					return
				}
			}
		}
	}
}

// takers gives the rules by which a policy takes mail, with the number behind the last.
func (s *examined) takers() []int {
	return slices.DeleteFunc(s.finals(), func(i int) bool { return s.end(i).Effect != Taken })
}

// tagging gives the rules above rule i that add a field.
func (s *examined) tagging(field string, i int) (out []int) {
	for r := range i {
		if s.tags(r) && slices.Contains(s.fieldsOf(r), field) {
			out = append(out, r)
		}
	}
	return out
}

func (s *examined) tags(i int) bool {
	return s.policy.rules[i].action == Tag && !s.policy.rules[i].observe
}

func (s *examined) allFields() (out []string) {
	for i := range s.rules {
		if s.tags(i) {
			out = append(out, s.fieldsOf(i)...)
		}
	}
	return out
}
