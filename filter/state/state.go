// Package state keeps what Gatepost remembers from one message to the next: levels of limits, counts of reputations, when somebody was
// seen. Those who use it (limit, reputation, greylist, correspondent) say what to do with which key; what a key means is theirs.
//
//	state.go     steps, cells and the arithmetic of one step, pure: the same for every store
//	embedded.go  a store in memory; file.go keeps it in a SQLite file; join.go adds what came before that could be opened
//	redis.go     a store that several machines share
//
// A step is atomic: it reads a cell and writes it back, and no other step comes between. Time is passed in.
package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"time"
)

// Store carries out steps. A store never fails for those who ask: where what it rests on is away, it goes on from its own memory and says
// so in the log.
type Store interface {
	// Do carries out steps in their order and appends one result for each to out. With a shared store that is one round trip, bounded by ctx
	// and by 50 ms; the store's own clock then takes the place of now.
	Do(ctx context.Context, now time.Time, steps []Step, out []Result) []Result
	// Entries gives up to most cells of a table whose keys begin with prefix, as they would be read at now.
	Entries(ctx context.Context, now time.Time, table, prefix string, most int) ([]Entry, error)
	// Born is when this memory began.
	Born() time.Time
	// Status says in words how the store is, for people: "" when there is nothing to say.
	Status() string
	// Close writes what is not written yet and ends the store.
	Close() error
}

// Entry is a cell with its key.
type Entry struct {
	Key  string
	Cell Cell
}

// Cell is what is kept of one key.
type Cell struct {
	A, B  float64   // two numbers: a level; the weights of wanted and unwanted mail; a count
	At    time.Time // when they held
	First time.Time // when the key was first seen
	Until time.Time // when the cell may be forgotten
	Mark  bool      // a latched limit
	Over  bool      // a limit that one more event would exceed, as of the last one; kept in memory only
	Wide  bool      // a limit's key that stands for many; kept in memory only
	Open  bool      // A is a number of open sessions; kept in memory only
}

// Op is what a step does.
type Op uint8

// The operations.
const (
	Read  Op = iota // give the cell, change nothing
	Leak            // drain a leaky bucket and pour N into it
	Weigh           // decay A and B and add to them
	Touch           // note that the key was seen: At, and A is the number of times
	Enter           // one more open session: A is their number
	Renew           // an open session is still there, for Keep from now; a store that tells sessions apart counts one it has lost
	Leave           // one less
	Clear           // forget the key
)

// Step is one operation on one cell.
type Step struct {
	Op    Op
	Table string // what the cell belongs to: a limit's name, "reputation"
	Key   string // at most MaxKey bytes; the end of a longer one becomes a hash

	N, Rate, Burst float64       // Leak: how much comes, what drains a second, how much fits
	Latch          bool          // Leak: once over, over until cleared
	Wide           bool          // Leak: the key stands for many that found no room, and takes the place of one of them
	A, B           float64       // Weigh: what is added
	HalfLife       time.Duration // Weigh: after this time half of A and B is left
	Keep           time.Duration // Touch, Enter, Renew: how long the cell is kept; Enter: a session that was not heard of for so long is gone
	Session        string        // Enter, Renew, Leave: tells sessions apart, where a store needs it
}

// Result is the outcome of a step.
type Result struct {
	Found  bool      // the key was there
	Over   bool      // Leak: N did not fit, or the limit is latched
	Full   bool      // the table has no room for a new key, and none to forget
	Before Cell      // as it was, drained or decayed to now; of a key that was not there without a level, from now on
	Cell   Cell      // as it is now
	At     time.Time // when that was, by the clock that the times of the cell are of: a shared store has its own
}

// Everybody is the key that always finds room, of each table: what counts when nothing narrower can.
const Everybody = "*"

// MaxKey bounds a key, in bytes: addresses have at most 254 (RFC 5321 4.5.3.1.3).
const MaxKey = 400

// maxKeep bounds how long a cell is kept without being touched.
const maxKeep = 400 * 24 * time.Hour

// keptHalfLives is for how many half-lives evidence is kept: then a thousandth is left. drainedFor is how long an empty bucket is kept.
const keptHalfLives, drainedFor = 10, time.Minute

// apply carries out a step on a cell that was found, or on none: nil. It leaves that cell as it is.
func (s *Step) apply(found *Cell, now time.Time) Result {
	sessions := s.Op == Enter || s.Op == Renew || s.Op == Leave
	if found != nil && found.Open != sessions && (sessions || s.Op == Leak) {
		found = nil // a level is no number of sessions: the limit is another one under the same name
	}
	r := Result{Found: found != nil, Before: Cell{At: now, First: now}}
	if found != nil {
		r.Before = *found
	}
	c := r.Before
	switch s.Op {
	case Leak:
		c = c.drained(s.Rate, now)
		r.Before = c
		r.Over = c.Mark || c.A+s.N > s.Burst
		// A refused event raises the level to at most one event over the burst, so that a storm of retries costs one.
		c.A = math.Max(c.A, math.Min(c.A+s.N, s.Burst+s.N))
		c.Mark = c.Mark || s.Latch && r.Over
		c.Over, c.Wide = c.Mark || c.A+s.N > s.Burst, c.Wide || s.Wide
		c.Until = now.Add(timeToDrain(c.A, s.Rate))
		if c.Mark {
			c.Until = now.Add(maxKeep)
		}
	case Weigh:
		c = c.Decayed(s.HalfLife, now)
		r.Before = c
		c.A, c.B = math.Max(0, c.A+s.A), math.Max(0, c.B+s.B) // what was learned can be taken back, and no more
		c.Until = now.Add(min(keptHalfLives*s.HalfLife, maxKeep))
	case Touch, Enter:
		c.A, c.At, c.Until, c.Open = c.A+1, now, now.Add(s.Keep), sessions
	case Renew:
		c.At, c.Until = now, now.Add(s.Keep)
	case Leave:
		c.A, c.At = math.Max(0, c.A-1), now
	}
	r.Cell = c
	return r
}

// drained gives the cell of a leaky bucket at a later time. A clock that was set back drains nothing and goes on from there.
func (c Cell) drained(rate float64, now time.Time) Cell {
	if passed := now.Sub(c.At).Seconds(); passed > 0 {
		c.A = math.Max(0, c.A-passed*rate)
	}
	c.At = c.since(now)
	return c
}

// Level gives the level of a leaky bucket at a time, drained at a rate a second since it was last changed.
func (c Cell) Level(rate float64, now time.Time) float64 {
	return c.drained(rate, now).A
}

// Decayed gives the cell with A and B halved for every half-life that has passed since they held.
func (c Cell) Decayed(halfLife time.Duration, now time.Time) Cell {
	if passed := now.Sub(c.At); passed > 0 && halfLife > 0 {
		left := math.Exp2(-passed.Seconds() / halfLife.Seconds())
		c.A, c.B = c.A*left, c.B*left
	}
	c.At = c.since(now)
	return c
}

// overtaken is how far apart the times of two steps may be that came in the wrong order.
const overtaken = time.Minute

// since gives the time from which the cell goes on: never back to before it was, so that nothing drains twice where steps overtake each other,
// but for a clock that was set back.
func (c Cell) since(now time.Time) time.Time {
	if back := c.At.Sub(now); back > 0 && back <= overtaken {
		return c.At
	}
	return now
}

func timeToDrain(level, rate float64) time.Duration {
	if rate <= 0 {
		return maxKeep
	}
	return time.Duration(math.Min(level/rate+drainedFor.Seconds(), maxKeep.Seconds())) * time.Second
}

// cut bounds a key. Of a longer one the end is a hash of it all: who writes long addresses must not share the keys of others.
func cut(key string) string {
	if len(key) <= MaxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	end := "~" + hex.EncodeToString(sum[:8])
	return key[:MaxKey-len(end)] + end
}
