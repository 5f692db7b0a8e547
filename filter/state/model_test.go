package state

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// model is a memory as DESIGN.md section 5 tells it, in seconds, without shards, files and bounds: what both stores are held against.
type model map[string]*modelCell

type modelCell struct {
	a, b      float64
	at, until time.Time
	latched   bool
	sessions  map[string]time.Time // each with the end of its lease
}

// found gives the cell that a step meets at a time; nil for none.
func (m model) found(key string, now time.Time) *modelCell {
	c := m[key]
	if c != nil && c.sessions != nil {
		for name, end := range c.sessions {
			if end.Before(now) {
				delete(c.sessions, name)
			}
		}
		if len(c.sessions) == 0 {
			c = nil
		}
	} else if c != nil && c.until.Before(now) {
		c = nil
	}
	if c == nil {
		delete(m, key)
	}
	return c
}

// do carries out a step and gives what the store must answer: whether the key was there, whether it is over, and A and B afterwards.
func (m model) do(s Step, now time.Time) (found, over bool, a, b float64) {
	key := s.Table + "\x00" + s.Key
	c := m.found(key, now)
	found = c != nil
	if c == nil {
		c = &modelCell{at: now}
	}
	passed := now.Sub(c.at).Seconds()
	switch s.Op {
	case Clear:
		delete(m, key)
		return found, false, c.size(), c.b
	case Leak:
		c.a = max(0, c.a-passed*s.Rate)
		over = c.latched || c.a+s.N > s.Burst
		switch {
		case c.a+s.N <= s.Burst:
			c.a += s.N
		case c.a < s.Burst+s.N:
			c.a = min(c.a+s.N, s.Burst+s.N)
		}
		c.latched = c.latched || over && s.Latch
		if c.until = now.Add(time.Duration(int64(c.a/s.Rate+60)) * time.Second); c.latched {
			c.until = now.Add(maxKeep)
		}
	case Weigh:
		left := math.Pow(0.5, passed/s.HalfLife.Seconds())
		c.a, c.b, c.until = max(0, c.a*left+s.A), max(0, c.b*left+s.B), now.Add(10*s.HalfLife)
	case Touch:
		c.a, c.until = c.a+1, now.Add(s.Keep)
	case Enter:
		if c.sessions == nil {
			c.sessions = map[string]time.Time{}
		}
		c.sessions[s.Session] = now.Add(s.Keep)
	case Leave:
		delete(c.sessions, s.Session)
		if len(c.sessions) == 0 {
			delete(m, key)
			return found, false, 0, 0
		}
	}
	if s.Op != Read {
		c.at, m[key] = now, c
	}
	return found, over, c.size(), c.b
}

func (c *modelCell) size() float64 {
	if c.sessions != nil {
		return float64(len(c.sessions))
	}
	return c.a
}

// randomStep gives a step on one of a few keys, of a table that holds one kind of cells. Sessions enter once and leave once, as the daemon has it.
func randomStep(r *rand.Rand, open map[string][]string, serial int) Step {
	s := Step{Key: fmt.Sprint("k", r.IntN(4))}
	any := func(of ...float64) float64 { return of[r.IntN(len(of))] }
	switch r.IntN(4) {
	case 0:
		s.Table, s.Op, s.N, s.Rate, s.Burst, s.Latch = "leak", Leak, any(0, 1, 1, 1, 2.5, 20), any(0.01, 5, 100), any(1, 3, 10), r.IntN(40) == 0
	case 1:
		s.Table, s.Op, s.A, s.B, s.HalfLife = "weigh", Weigh, any(0, 1, 3, -2), any(0, 0.5, -1), time.Duration(any(2, 50, 5000))*time.Millisecond
	case 2:
		s.Table, s.Op, s.Keep = "touch", Touch, time.Duration(any(3, 40, 3000))*time.Millisecond
	default:
		s.Table, s.Op, s.Keep = "open", Enter, time.Hour
		if all := open[s.Key]; len(all) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(all))
			s.Op, s.Session = Leave, all[i]
			open[s.Key] = slices.Delete(all, i, i+1)
		} else {
			s.Session = fmt.Sprint("s", serial)
			open[s.Key] = append(all, s.Session)
		}
	}
	switch {
	case r.IntN(5) == 0:
		if s.Op == Enter {
			open[s.Key] = open[s.Key][:len(open[s.Key])-1]
		}
		if s.Op != Leave {
			s.Op = Read
		}
	case r.IntN(40) == 0 && s.Table != "open":
		s.Op = Clear
	}
	return s
}

// suiteModel carries out the same random steps in the store and in the model. The store's own clock is read from what it answers; where a cell
// may have expired in between, the store is believed.
func suiteModel(t *testing.T, s *clocked) {
	seed := uint64(time.Now().UnixNano())
	r, m, open := rand.New(rand.NewPCG(seed, 1)), model{}, map[string][]string{}
	var said []string
	for i := range 1000 {
		step := randomStep(r, open, i)
		began := s.now()
		got := s.do(step)[0]
		at, ended := got.Cell.At, s.now()
		if step.Op == Read || step.Op == Clear || step.Op == Leave && !got.Found {
			at = ended
		}
		if c := m[step.Table+"\x00"+step.Key]; c != nil && c.sessions == nil && !c.until.Before(began.Add(-time.Millisecond)) && !c.until.After(ended) {
			if c.until = at; !got.Found {
				c.until = time.Time{}
			}
		}
		found, over, a, b := m.do(step, at)
		said = append(said, fmt.Sprintf("%v %+v", at.UnixMicro(), step))
		if got.Found != found || got.Over != over || math.Abs(got.Cell.A-a) > 1e-6*(1+a) || math.Abs(got.Cell.B-b) > 1e-6*(1+b) {
			t.Fatalf("seed %d, step %d: found %v over %v %+v, not found %v over %v %v %v, after\n%s", seed, i, got.Found, got.Over, got.Cell, found, over, a, b,
				strings.Join(said[max(0, len(said)-30):], "\n"))
		}
		if r.IntN(3) == 0 {
			s.sleep(time.Duration(r.IntN(6000)) * time.Microsecond)
		}
	}
}
