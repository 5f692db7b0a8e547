package dnsbl

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/resolve"
)

// How often test points are asked: seldom while they answer right, soon again while they do not.
const (
	testEvery = time.Hour
	testAgain = time.Minute
	faultEach = time.Hour // how often a fault in an answer is said of one list
)

// Watch knows which lists may be used: those whose test points answer right (RFC 5782 5). It outlives reloads of the policy, so that
// a list that is known to work goes on without a gap. A nil Watch lets every list be used: where nobody runs it there is nothing to know.
type Watch struct {
	resolver resolve.Resolver
	log      *slog.Logger
	now      func() time.Time
	changed  chan struct{} // lists were added

	mu    sync.Mutex
	lists map[string]*health // by key
	left  map[string]*health // those that the policy before named and this one does not: sessions under way may still ask them
}

// health is what is known of one list.
type health struct {
	list    List
	tested  bool
	right   bool
	due     time.Time
	faultAt time.Time // when a fault was last said
}

// NewWatch gives a watch over no list. The log gets a line when a list comes into use or goes out of it.
func NewWatch(r resolve.Resolver, log *slog.Logger, now func() time.Time) *Watch {
	return &Watch{resolver: r, log: log, now: now, changed: make(chan struct{}, 1), lists: map[string]*health{}}
}

// key tells lists apart that need a test of their own.
func (l List) key() string { return string(l.Subject) + " " + l.Zone + " " + l.Test }

// Follow names all lists of a policy. A list that was not there before is out of use until its first test; one that is there no
// more is tested no more, and forgotten with the next policy.
func (w *Watch) Follow(lists []List) {
	w.mu.Lock()
	defer w.mu.Unlock()
	followed, left := map[string]*health{}, w.lists
	for _, l := range lists {
		h := w.lists[l.key()]
		if h == nil {
			h = &health{due: w.now()}
		}
		h.list = l
		followed[l.key()] = h
	}
	w.lists, w.left = followed, left
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// Run tests lists when they are due, until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	for {
		w.Test(ctx)
		timer := time.NewTimer(testAgain)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-w.changed:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// Test asks the test points of every list that is due, all at once, and returns when all have answered or their time is up.
func (w *Watch) Test(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	var work sync.WaitGroup
	for _, l := range w.dueLists() {
		work.Go(func() {
			defer w.caught(l)
			w.learn(l, examine(ctx, w.resolver, l))
		})
	}
	work.Wait()
}

// caught is to be deferred: a panic in the test of a list leaves it as it was, and is said.
func (w *Watch) caught(l List) {
	if reason := recover(); reason != nil {
		w.log.Error("the test of a blocklist panicked", "list", l.Name, "panic", strings.ReplaceAll(fmt.Sprint(reason), l.Zone, "(zone)"), "stack", string(debug.Stack()))
		w.learn(l, examination{trouble: true, detail: "the test panicked"})
	}
}

func (w *Watch) dueLists() []List {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []List
	for _, h := range w.lists {
		if !w.now().Before(h.due) {
			out = append(out, h.list)
		}
	}
	return out
}

// learn keeps the outcome of a test. Trouble of DNS changes nothing: a list that worked an hour ago does not fail for a lost packet, and
// its own questions say temperror as long as it is away.
func (w *Watch) learn(l List, e examination) {
	w.mu.Lock()
	h := w.lists[l.key()]
	if h == nil {
		w.mu.Unlock()
		return
	}
	before, first := h.right, !h.tested
	if !e.trouble {
		h.right, h.tested = e.right, true
	}
	h.due = w.now().Add(testAgain)
	if h.right && !e.trouble {
		h.due = w.now().Add(testEvery)
	}
	now := h.right
	w.mu.Unlock()
	switch {
	case e.trouble && first:
		w.log.Warn("blocklist not in use yet: its test points do not answer", "list", l.Name, "detail", e.detail)
	case e.trouble:
	case now && (!before || first):
		w.log.Info("blocklist in use: its test points answer right", "list", l.Name)
	case !now && (before || first):
		w.log.Error("blocklist out of use: its test points answer wrongly", "list", l.Name, "detail", e.detail)
	}
}

// Usable reports whether a list's test points answered right when they were last asked.
func (w *Watch) Usable(l List) bool {
	if w == nil {
		return true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.lists[l.key()]
	if h == nil {
		h = w.left[l.key()]
	}
	return h != nil && h.right
}

// fault says that a list gave an answer that is no listing, at most once an hour a list, and has it tested soon.
func (w *Watch) fault(l List, detail string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	h, now := w.lists[l.key()], w.now()
	say := h != nil && (h.faultAt.IsZero() || now.Sub(h.faultAt) >= faultEach)
	if say {
		h.faultAt, h.due = now, now
	}
	w.mu.Unlock()
	if say {
		w.log.Error("blocklist fault; the answer does not count", "list", l.Name, "answer", detail)
	}
}

// examination is the outcome of a test.
type examination struct {
	right   bool
	trouble bool // DNS did not answer, so that nothing is known
	fault   bool // what came is an error of the list: it may refuse this resolver
	detail  string
}

// points are the test points of a list: an entry that it must have and one that it must not have.
type points struct{ listed, unlisted string }

// Examine asks the test points of a list once (RFC 5782 5). right reports whether they answered as they must; where they did not, detail says
// what came, and trouble that DNS did not answer, so that nothing is known.
func Examine(ctx context.Context, r resolve.Resolver, l List) (right, trouble bool, detail string) {
	e := examine(ctx, r, l)
	return e.right, e.trouble, e.detail
}

// examine asks the test points (RFC 5782 5). A list of addresses has them for IPv4 or for IPv6.
func examine(ctx context.Context, r resolve.Resolver, l List) examination {
	tries := []points{{"127.0.0.2", "127.0.0.1"}, {"::ffff:127.0.0.2", "::ffff:127.0.0.1"}}
	if l.Subject != ClientIP {
		tries = []points{{"test", "invalid"}}
	}
	if l.Test != "" {
		tries = []points{{l.Test, tries[0].unlisted}}
	}
	var last examination
	for _, p := range tries {
		if last = p.ask(ctx, r, l); last.right || last.trouble || last.fault {
			return last
		}
	}
	return last
}

func (p points) ask(ctx context.Context, r resolve.Resolver, l List) examination {
	listed, unlisted := Ask(ctx, r, l, p.listed), Ask(ctx, r, l, p.unlisted)
	switch {
	case listed.Code == CodeDNS:
		return examination{trouble: true, detail: listed.Detail}
	case unlisted.Code == CodeDNS:
		return examination{trouble: true, detail: unlisted.Detail}
	case listed.Code == CodeFault:
		return examination{fault: true, detail: listed.Detail}
	case unlisted.Result != None:
		return examination{detail: p.unlisted + " is listed, which must not be: " + unlisted.Detail}
	case listed.Result != Listed:
		return examination{detail: p.listed + " is not listed, which must be"}
	}
	return examination{right: true}
}
