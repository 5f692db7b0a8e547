package logging

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// hold is how long a fault that says the same again is held back.
const hold = time.Minute

// maxKinds bounds the faults that are told apart.
const maxKinds = 1000

// Repeats passes on each fault (a warning or an error) once a minute: those that say the same within it are counted, and the next
// line says how many there were. Lines below a warning, such as decisions, always pass. Safe for concurrent use.
type Repeats struct {
	next  slog.Handler
	named string // the attributes of With that tell faults apart
	kinds *kinds // shared with the handlers that With gives
}

type kinds struct {
	mu   sync.Mutex
	seen map[string]*fault
	now  func() time.Time
}

// fault is a kind of fault that was passed on.
type fault struct {
	since time.Time   // when it was
	held  int         // how many were not, since
	last  slog.Record // the newest of those
	next  slog.Handler
}

// NewRepeats gives a handler before next, which learns the time from now.
func NewRepeats(next slog.Handler, now func() time.Time) *Repeats {
	return &Repeats{next: next, kinds: &kinds{seen: map[string]*fault{}, now: now}}
}

var _ slog.Handler = (*Repeats)(nil)

// Enabled implements slog.Handler.
func (r *Repeats) Enabled(ctx context.Context, level slog.Level) bool {
	return r.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (r *Repeats) Handle(ctx context.Context, record slog.Record) error {
	if record.Level < slog.LevelWarn {
		return r.next.Handle(ctx, record)
	}
	held, passes := r.kinds.note(r.named+kindOf(record), record, r.next)
	if !passes {
		return nil
	}
	return r.next.Handle(ctx, counted(record, held))
}

// telling are the attributes that tell faults of one message apart. Others, such as an id or an address, may be a sender's choice.
var telling = map[string]bool{"check": true, "list": true, "limit": true, "key": true, "problem": true, "file": true, "event": true, "redis": true}

func kindOf(r slog.Record) string {
	kind := r.Message
	r.Attrs(func(a slog.Attr) bool {
		if telling[a.Key] {
			kind += "\x00" + a.Value.String()
		}
		return true
	})
	return kind
}

func counted(r slog.Record, held int) slog.Record {
	if held > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", held))
	}
	return r
}

// note reports whether a fault passes, and how many of its kind were held back before it.
func (k *kinds) note(kind string, r slog.Record, next slog.Handler) (held int, passes bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	f := k.seen[kind]
	if f != nil && now.Sub(f.since) < hold && !now.Before(f.since) {
		f.held, f.last, f.next = f.held+1, r.Clone(), next
		return 0, false
	}
	if f == nil && len(k.seen) >= maxKinds {
		k.forget(now)
		if len(k.seen) >= maxKinds {
			return 0, true // more kinds at once than there are: better a line too many than one too few
		}
	}
	if f != nil {
		held = f.held
	}
	k.seen[kind] = &fault{since: now}
	return held, true
}

// forget drops the kinds that hold nothing back any more.
func (k *kinds) forget(now time.Time) {
	for kind, f := range k.seen {
		if f.held == 0 && now.Sub(f.since) >= hold {
			delete(k.seen, kind)
		}
	}
}

// Flush passes on what was held back for a minute and did not come again, so that the last count is not lost: call it now and then. At the
// end it passes on everything.
func (r *Repeats) Flush(ctx context.Context, end bool) {
	k := r.kinds
	k.mu.Lock()
	now := k.now()
	var due []*fault
	for _, f := range k.seen {
		if f.held > 0 && (end || now.Sub(f.since) >= hold) {
			due = append(due, &fault{held: f.held, last: f.last, next: f.next})
			f.since, f.held = now, 0
		}
	}
	k.forget(now)
	k.mu.Unlock()
	for _, f := range due {
		_ = f.next.Handle(ctx, counted(f.last, f.held)) // what the log cannot take has nowhere else to go
	}
}

// WithAttrs implements slog.Handler.
func (r *Repeats) WithAttrs(attrs []slog.Attr) slog.Handler {
	named := r.named
	for _, a := range attrs {
		if telling[a.Key] {
			named += a.Value.String() + "\x00"
		}
	}
	return &Repeats{next: r.next.WithAttrs(attrs), named: named, kinds: r.kinds}
}

// WithGroup implements slog.Handler.
func (r *Repeats) WithGroup(name string) slog.Handler {
	return &Repeats{next: r.next.WithGroup(name), named: r.named + strings.ToLower(name) + "\x00", kinds: r.kinds}
}
