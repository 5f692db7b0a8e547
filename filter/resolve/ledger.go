package resolve

import (
	"context"
	"sync"
)

// Ledger is a Resolver that remembers what one run of a check asked, for its finding. It is safe for concurrent use.
type Ledger struct {
	resolver Resolver

	mu      sync.Mutex
	answers []*Answer // in the order asked; nil while under way
}

var _ Resolver = (*Ledger)(nil)

// NewLedger makes an empty Ledger over a Resolver.
func NewLedger(r Resolver) *Ledger { return &Ledger{resolver: r} }

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

// Answers gives the answers so far, in the order in which they were asked for. The slice is the caller's.
func (l *Ledger) Answers() []*Answer {
	l.mu.Lock()
	defer l.mu.Unlock()
	done := make([]*Answer, 0, len(l.answers))
	for _, a := range l.answers {
		if a != nil {
			done = append(done, a)
		}
	}
	return done
}
