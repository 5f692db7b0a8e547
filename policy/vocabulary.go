package policy

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"
)

// FactID is a fact's place in its vocabulary and in every evidence over it. It stands for the fact's name where sessions ask for it again and
// again.
type FactID int32

// Vocabulary is the list of all facts that conditions can name. It does not change once it is made.
type Vocabulary struct {
	facts   []Fact
	byName  map[string]FactID
	unknown []*types.Unknown // preallocated, so that a fact not yet there costs nothing

	within    [len(scopeNames)][]FactID // of a scope and of every narrower one
	sinceHelo []FactID                  // that do not outlive a second HELO
}

var factName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// NewVocabulary joins the facts that the session and the checks declare, in their order.
// It refuses a name that is declared twice, that CEL cannot read, or whose trouble value is missing.
func NewVocabulary(declared ...[]Fact) (*Vocabulary, error) {
	v := &Vocabulary{byName: map[string]FactID{}}
	for _, facts := range declared {
		for _, f := range facts {
			if err := v.add(f); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

func (v *Vocabulary) add(f Fact) error {
	if !factName.MatchString(f.Name) {
		return fmt.Errorf("fact %q: a name is at least two lower-case words joined by dots", f.Name)
	}
	for part := range strings.SplitSeq(f.Name, ".") {
		if part == "null" || part == "true" || part == "false" || part == "in" {
			return fmt.Errorf("fact %q: %q is a word of the expression language", f.Name, part)
		}
	}
	if _, twice := v.byName[f.Name]; twice {
		return fmt.Errorf("fact %q is declared twice", f.Name)
	}
	if f.Trouble.IsZero() {
		return fmt.Errorf("fact %q has no value for trouble", f.Name)
	}
	id := FactID(len(v.facts))
	v.byName[f.Name] = id
	v.facts = append(v.facts, f)
	for scope := range f.Scope + 1 {
		v.within[scope] = append(v.within[scope], id)
	}
	if f.Stage >= Helo || f.Scope >= OfMessage {
		v.sinceHelo = append(v.sinceHelo, id)
	}
	v.unknown = append(v.unknown, types.NewUnknown(int64(id)+1, types.NewAttributeTrail(f.Name)))
	return nil
}

// Facts gives all facts in the order of their declaration.
func (v *Vocabulary) Facts() []Fact { return v.facts }

// Fact gives the fact of a name.
func (v *Vocabulary) Fact(name string) (Fact, bool) {
	id, ok := v.byName[name]
	if !ok {
		return Fact{}, false
	}
	return v.facts[id], true
}

// IDs gives the ids of facts that p knows. It panics on another name, as Evidence.Publish does.
func (p *Policy) IDs(names ...string) []FactID {
	out := make([]FactID, len(names))
	for i, name := range names {
		id, known := p.vocabulary.byName[name]
		if !known {
			panic("policy: fact " + name + " is not in the vocabulary")
		}
		out[i] = id
	}
	return out
}

// nearest gives the candidate that a person who wrote word most likely meant, or "".
func nearest(word string, candidates []string) string {
	best, distance := "", len(word)/3+1
	for _, c := range candidates {
		if d := editDistance(word, c); d <= distance && (best == "" || d < distance) {
			best, distance = c, d
		}
	}
	return best
}

// editDistance counts the insertions, deletions, changes and swaps of neighbours that turn a into b.
func editDistance(a, b string) int {
	row := func(n int) []int { return make([]int, n) }
	before, above, current := row(len(b)+1), row(len(b)+1), row(len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(above[j]+1, current[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, above, current = above, current, before
	}
	return above[len(b)]
}
