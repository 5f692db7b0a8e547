package resolve

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// AtHand is a Resolver that can tell what it would have to ask. A check whose answers are all at hand need not wait.
type AtHand interface {
	Resolver
	// AtHand gives the answer where nobody need be asked, else nil.
	AtHand(name string, t Type) *Answer
	// Ahead begins to ask, if need be, so that the answer may be there when somebody looks it up. It does not wait.
	Ahead(name string, t Type)
}

var _ AtHand = (*Client)(nil)

// AtHand gives an answer from the cache.
func (c *Client) AtHand(name string, t Type) *Answer {
	clean, ok := CleanName(name)
	if !ok {
		return badName(clean, t)
	}
	a := c.cache.get(key{clean, t}, c.config.Now())
	if a != nil {
		c.stats.questions.Add(1)
		c.stats.hits.Add(1)
	}
	return a
}

// Ahead begins to ask what is not in the cache.
func (c *Client) Ahead(name string, t Type) {
	clean, ok := CleanName(name)
	if !ok || c.cache.has(key{clean, t}, c.config.Now()) {
		return
	}
	c.join(key{clean, t})
}

// Ahead begins to ask a question, where the Resolver can.
func Ahead(r Resolver, name string, t Type) {
	if early, ok := r.(AtHand); ok {
		early.Ahead(name, t)
	}
}

// All asks several questions of a type at once and gives the answers in the same order.
func All(ctx context.Context, r Resolver, names []string, t Type) []*Answer {
	answers := make([]*Answer, len(names))
	missing := len(names)
	if hand, ok := r.(AtHand); ok {
		for i, name := range names {
			if answers[i] = hand.AtHand(name, t); answers[i] != nil {
				missing--
			}
		}
	}
	if missing > 0 {
		askMissing(ctx, r, names, t, answers)
	}
	return answers
}

// askMissing asks for the answers that are not there.
func askMissing(ctx context.Context, r Resolver, names []string, t Type, answers []*Answer) {
	var work Group
	for i, name := range names {
		switch {
		case answers[i] != nil:
		case !slices.Contains(answers[i+1:], nil): // the caller has nothing better to do than to ask the last one itself
			answers[i] = r.Lookup(ctx, name, t)
		default:
			work.Go(func() { answers[i] = r.Lookup(ctx, name, t) })
		}
	}
	work.Wait()
}

// Group is work that is done at once, each on a goroutine of its own. What panics there panics where it is waited for, so that it is the trouble of
// one check and not the end of the program.
type Group struct {
	work  sync.WaitGroup
	fault atomic.Pointer[any]
}

// Go begins one more.
func (g *Group) Go(do func()) {
	g.work.Go(func() {
		defer func() {
			if reason := recover(); reason != nil {
				g.fault.CompareAndSwap(nil, &reason)
			}
		}()
		do()
	})
}

// Wait waits for all, and panics with what one of them panicked with.
func (g *Group) Wait() {
	g.work.Wait()
	if reason := g.fault.Load(); reason != nil {
		panic(*reason)
	}
}
