package resolve

import (
	"context"
	"slices"
	"sync"
)

// Ledger is a Resolver that remembers what one run of a check asked, for its finding. It is safe for concurrent use.
type Ledger struct {
	resolver Resolver

	mu      sync.Mutex
	answers []*Answer // in the order asked; nil while under way
}

var _ Resolver = (*Ledger)(nil)

// usualQuestions is as many as most runs of a check ask.
const usualQuestions = 4

// NewLedger makes an empty Ledger over a Resolver.
func NewLedger(r Resolver) *Ledger {
	return &Ledger{resolver: r, answers: make([]*Answer, 0, usualQuestions)}
}

// Lookup asks the Resolver below.
func (l *Ledger) Lookup(ctx context.Context, name string, t Type) *Answer {
	l.mu.Lock()
	line := len(l.answers)
	l.answers = append(l.answers, nil)
	l.mu.Unlock()
	a := l.resolver.Lookup(ctx, name, t)
	l.mu.Lock()
	l.answers[line] = a
	l.mu.Unlock()
	return a
}

// Answers gives the answers so far, in the order in which they were asked for. It must not be changed.
func (l *Ledger) Answers() []*Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Contains(l.answers, nil) {
		return slices.Clip(l.answers)
	}
	done := make([]*Answer, 0, len(l.answers))
	for _, a := range l.answers {
		if a != nil {
			done = append(done, a)
		}
	}
	return done
}
