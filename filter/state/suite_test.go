package state

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"
)

// clocked is a store with its clock. With memory time is passed in; with Redis it passes.
type clocked struct {
	Store
	now   func() time.Time
	sleep func(time.Duration)
	loose float64 // how far a level may be from what it should be, in seconds of draining
}

func (c *clocked) do(steps ...Step) []Result {
	return c.Do(context.Background(), c.now(), steps, nil)
}

func TestEmbeddedSuite(t *testing.T) {
	testStore(t, func(*testing.T) *clocked {
		now := time.Unix(1_700_000_000, 0)
		return &clocked{Store: NewEmbedded(10000, now), now: func() time.Time { return now }, sleep: func(d time.Duration) { now = now.Add(d) }}
	})
}

func TestFileSuite(t *testing.T) {
	testStore(t, func(t *testing.T) *clocked {
		now := time.Unix(1_700_000_000, 0)
		e := openFileTest(t, t.TempDir()+"/memory.db", 10000, func() time.Time { return time.Unix(1_700_000_000, 0) })
		return &clocked{Store: e, now: func() time.Time { return now }, sleep: func(d time.Duration) { now = now.Add(d) }}
	})
}

func TestRedisSuite(t *testing.T) {
	server := startRedis(t)
	testStore(t, func(t *testing.T) *clocked {
		server.do("FLUSHALL")
		r := openTest(t, RedisConfig{URL: server.url()}, calm)
		t.Cleanup(func() {
			if status := r.Status(); status != "" {
				t.Errorf("the steps were not all carried out in Redis: %s", status)
			}
		})
		return &clocked{Store: r, now: time.Now, sleep: time.Sleep, loose: 30}
	})
}

// testStore is what every store has to do.
func testStore(t *testing.T, open func(*testing.T) *clocked) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, *clocked)
	}{
		{"leak", suiteLeak}, {"drain", suiteDrain}, {"no rate", suiteNoRate}, {"latch", suiteLatch}, {"clear", suiteClear}, {"weigh", suiteWeigh},
		{"touch", suiteTouch}, {"sessions", suiteSessions}, {"renewal", suiteRenewal}, {"read", suiteRead}, {"keys", suiteKeys}, {"numbers", suiteNumbers},
		{"expiry", suiteExpiry}, {"order", suiteOrder}, {"entries", suiteEntries}, {"nothing", suiteNothing}, {"model", suiteModel}, {"another kind", suiteAnotherKind},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.Abs(got-want) > within+1e-9 {
		t.Errorf("%s is %v, not %v (within %v)", what, got, want, within)
	}
}

// suiteLeak pours into buckets that drain too slowly for it to be seen. The definition: over when level + n > burst; a refused event
// raises the level to at most burst + n.
func suiteLeak(t *testing.T, s *clocked) {
	const rate = 1e-7
	for _, c := range []struct {
		name  string
		n     []float64
		burst float64
		over  []bool
		level []float64
	}{
		{name: "one by one", n: []float64{1, 1, 1, 1, 1}, burst: 3, over: []bool{false, false, false, true, true}, level: []float64{1, 2, 3, 4, 4}},
		{name: "exactly full", n: []float64{2, 1}, burst: 3, over: []bool{false, false}, level: []float64{2, 3}},
		{name: "too large at once", n: []float64{10, 1}, burst: 3, over: []bool{true, true}, level: []float64{10, 10}},
		{name: "nothing comes", n: []float64{0, 3, 0}, burst: 3, over: []bool{false, false, false}, level: []float64{0, 3, 3}},
		{name: "no burst", n: []float64{1, 1}, burst: 0, over: []bool{true, true}, level: []float64{1, 1}},
		{name: "parts", n: []float64{0.25, 0.5, 0.5}, burst: 1, over: []bool{false, false, true}, level: []float64{0.25, 0.75, 1.25}},
		{name: "large after refused", n: []float64{3, 1, 2}, burst: 3, over: []bool{false, true, true}, level: []float64{3, 4, 5}},
	} {
		for i, n := range c.n {
			r := s.do(Step{Op: Leak, Table: "leak", Key: c.name, N: n, Rate: rate, Burst: c.burst})[0]
			if r.Over != c.over[i] || r.Found != (i > 0) || r.Full {
				t.Errorf("%s, event %d: %+v", c.name, i, r)
			}
			near(t, c.name, r.Cell.A, c.level[i], s.loose*rate)
			if i > 0 {
				near(t, c.name+" before", r.Before.A, c.level[i-1], s.loose*rate)
			}
			if !r.Cell.Until.After(r.Cell.At) || r.Cell.First.After(r.Cell.At) || r.Cell.Mark {
				t.Errorf("%s: %+v", c.name, r.Cell)
			}
		}
	}
}

// suiteDrain looks at level = max(0, level - passed*rate) against the times the store itself gives.
func suiteDrain(t *testing.T, s *clocked) {
	pour := func(key string, n float64) Result {
		return s.do(Step{Op: Leak, Table: "drain", Key: key, N: n, Rate: 10, Burst: 100})[0]
	}
	first, empty := pour("k", 50), pour("e", 0.01)
	s.sleep(100 * time.Millisecond)
	second := pour("k", 1)
	passed := second.Cell.At.Sub(first.Cell.At).Seconds()
	if passed < 0.1 {
		t.Errorf("only %v s passed", passed)
	}
	near(t, "the drained level", second.Before.A, 50-10*passed, 1e-6)
	near(t, "the level", second.Cell.A, 51-10*passed, 1e-6)
	near(t, "the level at a time", second.Cell.Level(10, second.Cell.At.Add(2*time.Second)), second.Cell.A-20, 1e-6)
	if !second.Cell.First.Equal(first.Cell.First) || !second.Before.At.Equal(second.Cell.At) {
		t.Errorf("%+v after %+v", second, first)
	}
	if r := pour("e", 0); r.Before.A != 0 || r.Cell.A != 0 {
		t.Errorf("drained below nothing: %+v, it was %+v", r, empty)
	}
}

func suiteNoRate(t *testing.T, s *clocked) {
	r := s.do(Step{Op: Leak, Table: "norate", Key: "k", N: 1, Burst: 1})[0]
	if got := r.Cell.Until.Sub(r.Cell.At); got != maxKeep {
		t.Errorf("what never drains is kept for %v", got)
	}
	r = s.do(Step{Op: Leak, Table: "norate", Key: "soon", N: 1, Rate: 2, Burst: 10})[0]
	if got := r.Cell.Until.Sub(r.Cell.At); got != 60*time.Second {
		t.Errorf("what drains in half a second is kept for %v", got)
	}
}

func suiteLatch(t *testing.T, s *clocked) {
	step := Step{Op: Leak, Table: "latch", Key: "k", N: 1, Rate: 1000, Burst: 1, Latch: true}
	big := step
	big.N = 2
	if r := s.do(step)[0]; r.Over || r.Cell.Mark {
		t.Errorf("within: %+v", r)
	}
	if r := s.do(big)[0]; !r.Over || !r.Cell.Mark || r.Cell.Until.Sub(r.Cell.At) != maxKeep {
		t.Errorf("over: %+v", r)
	}
	s.sleep(30 * time.Millisecond) // everything has drained
	open := step
	open.Latch, open.N = false, 0
	if r := s.do(open)[0]; !r.Over || !r.Cell.Mark || r.Cell.A != 0 {
		t.Errorf("latched: %+v", r)
	}
	if r := s.do(Step{Op: Clear, Table: "latch", Key: "k"})[0]; !r.Found || !r.Before.Mark {
		t.Errorf("clear: %+v", r)
	}
	if r := s.do(step)[0]; r.Over || r.Found || r.Cell.Mark {
		t.Errorf("cleared: %+v", r)
	}
}

func suiteClear(t *testing.T, s *clocked) {
	touch, gone := Step{Op: Touch, Table: "clear", Key: "k", Keep: time.Hour}, Step{Op: Clear, Table: "clear", Key: "k"}
	r := s.do(gone, touch, gone, Step{Op: Read, Table: "clear", Key: "k"}, gone)
	if r[0].Found || !r[2].Found || r[2].Before.A != 1 || r[3].Found || r[4].Found {
		t.Errorf("%+v", r)
	}
	enter := Step{Op: Enter, Table: "clear", Key: "open", Keep: time.Hour, Session: "s"}
	r = s.do(enter, Step{Op: Clear, Table: "clear", Key: "open"}, enter)
	if !r[1].Found || r[2].Found || r[2].Cell.A != 1 {
		t.Errorf("sessions: %+v", r)
	}
}

func suiteWeigh(t *testing.T, s *clocked) {
	weigh := func(a, b float64, half time.Duration) Result {
		return s.do(Step{Op: Weigh, Table: "weigh", Key: half.String(), A: a, B: b, HalfLife: half})[0]
	}
	const half = 300 * time.Millisecond
	first := weigh(8, 4, half)
	if first.Found || first.Before.A != 0 || first.Cell.A != 8 || first.Cell.B != 4 || first.Cell.Until.Sub(first.Cell.At) != 10*half {
		t.Errorf("%+v", first)
	}
	s.sleep(half)
	second := weigh(1, 2, half)
	left := math.Exp2(-second.Cell.At.Sub(first.Cell.At).Seconds() / half.Seconds())
	if left > 0.5 {
		t.Errorf("after a half-life %v is left", left)
	}
	near(t, "A before", second.Before.A, 8*left, 1e-9)
	near(t, "B before", second.Before.B, 4*left, 1e-9)
	near(t, "A", second.Cell.A, 8*left+1, 1e-9)
	near(t, "B", second.Cell.B, 4*left+2, 1e-9)
	if r := weigh(1, 0, 1000*24*time.Hour); r.Cell.Until.Sub(r.Cell.At) != maxKeep {
		t.Errorf("kept for %v", r.Cell.Until.Sub(r.Cell.At))
	}
	// What is not weighed again is read as it was, with the time when it held.
	if r := s.do(Step{Op: Read, Table: "weigh", Key: half.String()})[0]; r.Found && r.Cell != second.Cell {
		t.Errorf("read %+v, not %+v", r.Cell, second.Cell)
	}
}

func suiteTouch(t *testing.T, s *clocked) {
	step := Step{Op: Touch, Table: "touch", Key: "k", Keep: time.Hour}
	first := s.do(step)[0]
	s.sleep(2 * time.Millisecond)
	second := s.do(step)[0]
	if first.Found || first.Cell.A != 1 || first.Cell.First != first.Cell.At || first.Before.A != 0 || !first.Before.Until.IsZero() {
		t.Errorf("first: %+v", first)
	}
	if !second.Found || second.Cell.A != 2 || second.Before != first.Cell || !second.Cell.At.After(first.Cell.At) || second.Cell.First != first.Cell.First {
		t.Errorf("second: %+v", second)
	}
	if got := second.Cell.Until.Sub(second.Cell.At); got != time.Hour {
		t.Errorf("kept for %v", got)
	}
}

func suiteRead(t *testing.T, s *clocked) {
	read := Step{Op: Read, Table: "read", Key: "k"}
	if r := s.do(read)[0]; r.Found || r.Cell.A != 0 || r.Cell.At != r.Cell.First || r.Cell.At.IsZero() {
		t.Errorf("none: %+v", r)
	}
	if r := s.do(read)[0]; r.Found {
		t.Errorf("reading made it: %+v", r)
	}
	poured := s.do(Step{Op: Leak, Table: "read", Key: "k", N: 5, Rate: 1, Burst: 9})[0]
	s.sleep(2 * time.Millisecond)
	for range 2 {
		if r := s.do(read)[0]; !r.Found || r.Cell != poured.Cell || r.Before != poured.Cell || r.Over {
			t.Errorf("%+v, not %+v", r, poured.Cell)
		}
	}
}

// suiteKeys has keys that a protocol, a pattern or a file could get wrong.
func suiteKeys(t *testing.T, s *clocked) {
	long := strings.Repeat("x", MaxKey)
	keys := []string{"", " ", "a", "a:b", "{", "}", "{}", "}{", "a}b", "a\x00b", "a\x00", "a\nb", "a\r\nb", "*", "a*", "?", "[a]", `\`, `a\*`, "\xff\xfe", "ä", "%", "%3A", long}
	for _, table := range []string{"keys", "keys:a", "meta", "{", "}"} {
		for i, key := range append(keys, "born") {
			for j := range 2 {
				r := s.do(Step{Op: Touch, Table: table, Key: key, Keep: time.Hour})[0]
				if r.Found != (j > 0) || r.Cell.A != float64(j+1) {
					t.Errorf("key %d %q of %q: %+v", i, key, table, r)
				}
			}
		}
	}
	for i, tail := range []string{"more", "other", "more"} {
		if r := s.do(Step{Op: Touch, Table: "long", Key: long + tail, Keep: time.Hour})[0]; r.Found != (i == 2) {
			t.Errorf("a longer key that ends with %s: %+v", tail, r)
		}
	}
	if long, err := s.Entries(context.Background(), s.now(), "long", "", 10); err != nil || len(long) != 2 || len(long[0].Key) != MaxKey {
		t.Errorf("longer keys: %v, %v", long, err)
	}
	entries, err := s.Entries(context.Background(), s.now(), "keys", "", 1000)
	if err != nil || len(entries) != len(keys)+1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Key] = true
	}
	for _, key := range keys {
		if !seen[key] {
			t.Errorf("%q is not among the entries", key)
		}
	}
}

// suiteNumbers looks whether a number comes back as it was.
func suiteNumbers(t *testing.T, s *clocked) {
	for _, x := range []float64{0.1, 1.0 / 3, 1e-300, 1e300, math.MaxFloat64, math.SmallestNonzeroFloat64, 9007199254740993, math.Nextafter(1, 2)} {
		key := number(x)
		s.do(Step{Op: Weigh, Table: "numbers", Key: key, A: x, B: x, HalfLife: time.Hour})
		if r := s.do(Step{Op: Read, Table: "numbers", Key: key})[0]; r.Cell.A != x || r.Cell.B != x {
			t.Errorf("%v came back as %v and %v", x, r.Cell.A, r.Cell.B)
		}
	}
	if r := s.do(Step{Op: Leak, Table: "numbers", Key: "inf", N: 1, Rate: 1, Burst: math.Inf(1)})[0]; r.Over || r.Cell.A != 1 {
		t.Errorf("without a limit: %+v", r)
	}
}

func suiteExpiry(t *testing.T, s *clocked) {
	s.do(Step{Op: Touch, Table: "expiry", Key: "t", Keep: 20 * time.Millisecond},
		Step{Op: Enter, Table: "expiry", Key: "s", Session: "a", Keep: 20 * time.Millisecond},
		Step{Op: Weigh, Table: "expiry", Key: "w", A: 1, HalfLife: 2 * time.Millisecond})
	s.sleep(30 * time.Millisecond)
	for _, key := range []string{"t", "s", "w"} {
		if r := s.do(Step{Op: Read, Table: "expiry", Key: key})[0]; r.Found || r.Cell.A != 0 {
			t.Errorf("%s is still there: %+v", key, r)
		}
	}
	if entries, err := s.Entries(context.Background(), s.now(), "expiry", "", 10); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if r := s.do(Step{Op: Enter, Table: "expiry", Key: "s", Session: "b", Keep: time.Hour})[0]; r.Found || r.Cell.A != 1 {
		t.Errorf("a session that is gone counts: %+v", r)
	}
}

func suiteOrder(t *testing.T, s *clocked) {
	step := Step{Op: Touch, Table: "order", Key: "k", Keep: time.Hour}
	var steps []Step
	for range 50 {
		steps = append(steps, step)
	}
	for i, r := range s.do(steps...) {
		if r.Cell.A != float64(i+1) {
			t.Errorf("step %d: %v", i, r.Cell.A)
		}
	}
}

func suiteEntries(t *testing.T, s *clocked) {
	for i, key := range []string{"a1", "a2", "b1", "a*", "a]x"} {
		for range i + 1 {
			s.do(Step{Op: Touch, Table: "entries", Key: key, Keep: time.Hour})
		}
	}
	s.do(Step{Op: Touch, Table: "other", Key: "a1", Keep: time.Hour})
	for _, c := range []struct {
		prefix string
		most   int
		want   string
	}{{"", 10, "a]x a* b1 a2 a1"}, {"a", 10, "a]x a* a2 a1"}, {"a", 2, "a]x a*"}, {"a*", 10, "a*"}, {"a]", 10, "a]x"}, {"c", 10, ""}, {"?", 10, ""}} {
		entries, err := s.Entries(context.Background(), s.now(), "entries", c.prefix, c.most)
		var keys []string
		for _, e := range entries {
			keys = append(keys, e.Key)
			if r := s.do(Step{Op: Read, Table: "entries", Key: e.Key})[0]; r.Cell != e.Cell {
				t.Errorf("%s: %+v, read as %+v", e.Key, e.Cell, r.Cell)
			}
		}
		if got := strings.Join(keys, " "); err != nil || got != c.want {
			t.Errorf("%q: %q, not %q (%v)", c.prefix, got, c.want, err)
		}
	}
}

func suiteNothing(t *testing.T, s *clocked) {
	if r := s.do(); len(r) != 0 {
		t.Errorf("%+v", r)
	}
	if born := s.Born(); born.IsZero() || born.After(time.Now()) || s.Status() != "" {
		t.Errorf("born %v, status %q", born, s.Status())
	}
}
