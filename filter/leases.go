package filter

import (
	"context"
	"slices"
	"sync"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/state"
)

// leases are the open sessions that limits count. Where several machines share a memory, each tells it again and again which of its
// sessions are still there: those of a machine that died stop counting by themselves, and one that lasts for hours goes on.
type leases struct {
	mu   sync.Mutex
	open map[lease]state.Step // the steps that end them
}

// lease names one of them.
type lease struct{ table, key, session string }

func leaseOf(leave state.Step) lease { return lease{leave.Table, leave.Key, leave.Session} }

func (l *leases) add(leave state.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[lease]state.Step{}
	}
	l.open[leaseOf(leave)] = leave
}

// remove forgets sessions before they leave. It waits for a renewal that is under way: one that came after the end would count for nobody.
func (l *leases) remove(all []state.Step) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, leave := range all {
		delete(l.open, leaseOf(leave))
	}
}

func (l *leases) all() []state.Step {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]state.Step, 0, len(l.open))
	for _, leave := range l.open {
		out = append(out, leave)
	}
	return out
}

// renew tells the memory of those of some sessions that are still open.
func (l *leases) renew(some []state.Step, tell func([]state.Step)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var steps []state.Step
	for _, leave := range some {
		if _, open := l.open[leaseOf(leave)]; open {
			steps = append(steps, limit.Renew(leave))
		}
	}
	if len(steps) > 0 {
		tell(steps)
	}
}

// renewedAtOnce bounds the steps of one request, which has 50 ms.
const renewedAtOnce = 100

// RenewLeases tells the memory now and then which sessions are still open, until ctx is done.
func (s *Server) RenewLeases(ctx context.Context) {
	each := time.NewTicker(limit.RenewEach)
	defer each.Stop()
	for {
		select {
		case <-each.C:
			s.renewLeases(ctx)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) renewLeases(ctx context.Context) {
	for some := range slices.Chunk(s.leases.all(), renewedAtOnce) {
		s.leases.renew(some, func(steps []state.Step) { s.store.Do(ctx, s.now(), steps, nil) })
	}
}
