package filter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/state"
)

// overflow notes which limits had more keys over than the memory has room for, and when. Wider networks count in the place of new keys then.
type overflow struct {
	mu sync.Mutex
	at map[string]time.Time // by the limit's name
}

// overflowKept is how long wider keys are asked after a limit found no room: no bucket of an ordinary limit drains for longer.
const overflowKept = 24 * time.Hour

// alarmEach is how often the alarm is repeated while it goes on.
const alarmEach = time.Hour

// note keeps that a limit found no room, and reports whether it is time to say so.
func (o *overflow) note(name string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.at[name]) < alarmEach {
		return false
	}
	if o.at == nil {
		o.at = map[string]time.Time{}
	}
	o.at[name] = now
	return true
}

func (o *overflow) lately(name string, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	at, found := o.at[name]
	return found && now.Sub(at) < overflowKept
}

// countWider counts under wider and wider keys what found no room under its own.
func (s *Session) countWider(q question, now time.Time) state.Result {
	if s.server.overflow.note(q.limit.Name, now) {
		s.log.LogAttrs(context.Background(), slog.LevelError, "a limit has no room for more keys, all of which are over; wider networks count in the place of new ones",
			slog.String("limit", q.limit.Name), slog.String("key", printable(q.key)), slog.String("id", s.id()))
	}
	r := state.Result{Full: true, At: now}
	for key := q.key; r.Full && key != state.Everybody; {
		key = limit.Wider(key)
		step := q.limit.arithmetic.Widen(key, q.band, q.n)
		r = s.server.store.Do(context.Background(), now, []state.Step{step}, nil)[0]
	}
	return r
}

// readWider reads the narrowest wider key that counts for one that is not there; the zero result where none does.
func (s *Session) readWider(q question, now time.Time) state.Result {
	var steps []state.Step
	for key := q.key; key != state.Everybody; {
		key = limit.Wider(key)
		steps = append(steps, q.limit.arithmetic.Look(key))
	}
	for _, r := range s.server.store.Do(context.Background(), now, steps, nil) {
		if r.Found {
			return r
		}
	}
	return state.Result{At: now}
}
