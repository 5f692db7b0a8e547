package correspondent

import (
	"slices"
	"sync"
	"time"

	"gatepost.example/filter/state"
)

// Own learns which domains are ours: those that at least a share of the last recipients had which the MTA took from strangers, of no domain more
// than some: who names the same domain a thousand times, or gets most of the mail, does not push out the others. One value serves all sessions.
type Own struct {
	mu     sync.RWMutex
	recent []string
	next   int
	counts map[string]int
	seen   int // recipients
}

// The recipients that are remembered, how many of them make a domain ours, and how many of one domain there are at most.
const (
	window = 1000
	enough = window / 100
	most   = 2 * enough
)

// tableOwn keeps the counts over a restart.
const tableOwn = "own"

// ownKeep is how long a domain stays in the file without mail.
const ownKeep = 60 * 24 * time.Hour

// NewOwn gives what a memory remembers of own domains.
func NewOwn(entries []state.Entry) *Own {
	o := &Own{counts: map[string]int{}}
	for _, e := range slices.Backward(entries) { // the largest last: of many it is they that stay
		for range min(int(e.Cell.A), enough) {
			o.note(e.Key)
		}
	}
	return o
}

// OwnTable gives the name of the table whose entries NewOwn takes.
func OwnTable() string { return tableOwn }

// Took notes the domain of a recipient that the MTA took from a stranger. It gives a step to remember, none for a domain that is known well.
func (o *Own) Took(domain string) []state.Step {
	if domain == "" {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(domain)
	if o.counts[domain] > enough && o.seen%enough != 0 {
		return nil
	}
	return []state.Step{{Op: state.Touch, Table: tableOwn, Key: domain, Keep: ownKeep}}
}

func (o *Own) note(domain string) {
	if o.seen++; o.counts[domain] == most {
		return
	}
	if len(o.recent) < window {
		o.recent = append(o.recent, domain)
	} else {
		old := o.recent[o.next]
		if o.counts[old]--; o.counts[old] <= 0 {
			delete(o.counts, old)
		}
		o.recent[o.next] = domain
		o.next = (o.next + 1) % window
	}
	o.counts[domain]++
}

// Has reports whether a domain is ours.
func (o *Own) Has(domain string) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.counts[domain] >= enough
}

// Seasoned reports whether a whole window of recipients was seen, so that a domain that is not ours stands out.
func (o *Own) Seasoned() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.seen >= window
}

// Any reports whether some domain is known to be ours, so that "not ours" says something.
func (o *Own) Any() bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	for _, n := range o.counts {
		if n >= enough {
			return true
		}
	}
	return false
}
