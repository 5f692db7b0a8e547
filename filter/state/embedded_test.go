package state

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

// TestBound fills a memory: its bound holds, what is latched stays, what has expired goes first.
func TestBound(t *testing.T) {
	const most = 64 * 20
	e := NewEmbedded(most, start)
	one := func(now time.Time, step Step) Result { return e.Do(context.Background(), now, []Step{step}, nil)[0] }
	latched := 0
	for i := range 300 {
		if r := one(start, Step{Op: Leak, Table: "latched", Key: fmt.Sprint(i), N: 2, Rate: 1, Burst: 1, Latch: true}); !r.Full {
			latched++
		}
	}
	if latched != 300 {
		t.Fatalf("%d latched", latched)
	}
	for i := range 20 * most {
		one(start, Step{Op: Touch, Table: "flood", Key: fmt.Sprint(i), Keep: time.Hour})
		if n := e.Len(); i%1000 == 0 && n > most {
			t.Fatalf("%d cells, at most %d may be", n, most)
		}
	}
	for i := range 300 {
		if r := one(start, Step{Op: Read, Table: "latched", Key: fmt.Sprint(i)}); !r.Cell.Mark {
			t.Fatalf("%d is latched no more", i)
		}
	}
	if n := e.Len(); n > most || n < most*9/10 {
		t.Errorf("%d cells of %d", n, most)
	}
	later := start.Add(2 * time.Hour)
	for i := range shards {
		e.sweep(i, later)
	}
	if e.Len() != latched {
		t.Errorf("%d cells after the others expired", e.Len())
	}
}

// TestFull has nothing but latched cells: a new key finds no room, and says so.
func TestFull(t *testing.T) {
	e := NewEmbedded(64, start)
	full := 0
	for i := range 3000 {
		r := e.Do(context.Background(), start, []Step{{Op: Leak, Table: "t", Key: fmt.Sprint(i), N: 2, Burst: 1, Latch: true}}, nil)[0]
		if !r.Over {
			t.Fatalf("%+v", r)
		}
		if r.Full {
			full++
		}
	}
	if e.Len() != 64 || full != 3000-64 {
		t.Errorf("%d cells, %d found no room", e.Len(), full)
	}
}

// TestOverStays: a bucket that is over does not go for a new key of its limit while one that is not is there, and where all are over the new
// key finds no room, a wider one does, and everybody's too; the number of cells stays bounded.
func TestOverStays(t *testing.T) {
	e := NewEmbedded(shards*20, start)
	pour := func(key string, n float64, wide bool) Result {
		return e.Do(context.Background(), start, []Step{{Op: Leak, Table: "t", Key: key, N: n, Burst: 1, Rate: 1e-6, Wide: wide}}, nil)[0]
	}
	for i := range 5 * shards { // some over, far from all of a shard
		pour(fmt.Sprint("over", i), 2, false)
	}
	for i := range 100 * shards {
		if r := pour(fmt.Sprint("small", i), 0.5, false); r.Full {
			t.Fatalf("no room for small key %d", i)
		}
	}
	for i := range 5 * shards {
		if r := e.Do(context.Background(), start, []Step{{Op: Read, Table: "t", Key: fmt.Sprint("over", i)}}, nil)[0]; !r.Found {
			t.Errorf("over%d went for a smaller one", i)
		}
	}
	for i := range 100 * shards { // now all are
		pour(fmt.Sprint("more", i), 2, false)
	}
	if r := pour("new", 1, false); !r.Full || r.Found {
		t.Errorf("a new key: %+v", r)
	}
	if r := pour("wide", 1, true); r.Full || r.Over {
		t.Errorf("a wider key: %+v", r)
	}
	for i := range 100 * shards {
		pour(fmt.Sprint("newer", i), 1, false)
	}
	if r := pour("wide", 1, true); !r.Found || !r.Over {
		t.Errorf("the wider key again: %+v", r)
	}
	if r := pour(Everybody, 1, true); r.Full {
		t.Errorf("everybody: %+v", r)
	}
	if n := e.Len(); n > shards*20+1 {
		t.Errorf("%d cells", n)
	}
}

// TestExpired: what has expired is as if it had never been, and vanishes when somebody asks.
func TestExpired(t *testing.T) {
	e := NewEmbedded(1000, start)
	touch := []Step{{Op: Touch, Table: "t", Key: "k", Keep: time.Minute}}
	e.Do(context.Background(), start, touch, nil)
	if r := e.Do(context.Background(), start.Add(time.Minute), []Step{{Op: Read, Table: "t", Key: "k"}}, nil)[0]; !r.Found {
		t.Error("gone too early")
	}
	if entries, _ := e.Entries(context.Background(), start.Add(61*time.Second), "t", "", 10); len(entries) != 0 {
		t.Errorf("%v", entries)
	}
	if r := e.Do(context.Background(), start.Add(61*time.Second), touch, nil)[0]; r.Found || r.Cell.A != 1 || r.Cell.First != r.Cell.At {
		t.Errorf("%+v", r)
	}
	if r := e.Do(context.Background(), start.Add(time.Hour), []Step{{Op: Read, Table: "t", Key: "k"}}, nil)[0]; r.Found || e.Len() != 0 {
		t.Errorf("%+v, %d cells", r, e.Len())
	}
}

// TestConcurrent lets through exactly the burst however many ask.
func TestConcurrent(t *testing.T) {
	e := NewEmbedded(1000, start)
	const workers, each, burst = 16, 500, 100
	passed := make([]int, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				if r := e.Do(context.Background(), start, []Step{{Op: Leak, Table: "t", Key: "k", N: 1, Rate: 1, Burst: burst}}, nil); !r[0].Over {
					passed[w]++
				}
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range passed {
		sum += n
	}
	if sum != burst {
		t.Errorf("%d let through, not %d", sum, burst)
	}
}

// FuzzApply has properties of a leaky bucket for any numbers and any course of time.
func FuzzApply(f *testing.F) {
	f.Add(1.0, 1.0, 0.5, 3.0, int64(time.Second), int64(time.Second), false)
	f.Add(5.0, 0.0, 0.0, 0.0, int64(0), -int64(time.Hour), true)
	f.Add(1e300, 1e-300, 1e300, 1e300, int64(math.MaxInt64), int64(math.MinInt64), true)
	f.Add(0.1, 0.2, 1e-9, 0.3, int64(1), int64(-1), false)
	f.Fuzz(func(t *testing.T, n1, n2, rate, burst float64, gap1, gap2 int64, latch bool) {
		for _, x := range []float64{n1, n2, rate, burst} {
			if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
				t.Skip("limits have no such numbers")
			}
		}
		year := int64(365 * 24 * time.Hour)
		now := start.Add(time.Duration(gap1 % year))
		steps := []Step{
			{Op: Leak, Table: "t", Key: "k", N: n1, Rate: rate, Burst: burst, Latch: latch},
			{Op: Leak, Table: "t", Key: "k", N: n2, Rate: rate, Burst: burst, Latch: latch},
		}
		together, apart := NewEmbedded(64, start), NewEmbedded(64, start)
		for _, at := range []time.Time{start, now, now.Add(time.Duration(gap2 % year))} {
			both := together.Do(context.Background(), at, steps, nil)
			for i := range steps {
				r, same := apart.Do(context.Background(), at, steps[i:i+1], nil)[0], both[i]
				if r.Before == same.Before && r.Cell == same.Cell {
					same.Before, same.Cell = r.Before, r.Cell
				}
				if r != same {
					t.Fatalf("apart %+v, together %+v", r, both[i])
				}
				checkLeak(t, steps[i], both[i], at)
			}
		}
		var cell *Cell
		for _, at := range []time.Time{start, now, now.Add(time.Duration(gap2 % year))} {
			var before Cell
			found := cell != nil
			if found {
				before = *cell
			}
			r := steps[0].apply(cell, at)
			if found && before != *cell {
				t.Fatalf("%+v was changed", before)
			}
			after := r.Cell
			if found && !at.After(before.At) && r.Before.A != before.A {
				t.Fatalf("time went back and drained %v to %v", before.A, r.Before.A)
			}
			if found && r.Before.A > before.A || found && before.Mark && (!r.Over || !after.Mark) {
				t.Fatalf("before %+v, after %+v", before, r)
			}
			cell = &after
		}
	})
}

func checkLeak(t *testing.T, s Step, r Result, now time.Time) {
	t.Helper()
	level, before := r.Cell.A, r.Before.A
	switch {
	case level < 0 || before < 0 || math.IsNaN(level) || level > math.Max(before, s.Burst+s.N) || level < before:
		t.Fatalf("level %v after %v of %+v", level, before, s)
	case !r.Before.Mark && r.Over != (before+s.N > s.Burst), r.Over && s.Latch && !r.Cell.Mark:
		t.Fatalf("over %v: %+v of %+v", r.Over, r, s)
	case r.Cell.At.Before(now), r.Cell.At.Sub(now) > overtaken, !r.Cell.Until.After(now), r.Cell.Until.After(now.Add(maxKeep)):
		t.Fatalf("times %+v at %v", r.Cell, now)
	}
}

func BenchmarkLeak(b *testing.B) {
	e := NewEmbedded(100000, start)
	keys := make([]string, 10000)
	for i := range keys {
		keys[i] = fmt.Sprintf("sender%d@example.org", i)
	}
	for _, parallel := range []bool{false, true} {
		b.Run(fmt.Sprintf("parallel=%v", parallel), func(b *testing.B) {
			b.ReportAllocs()
			leak := func(i int) {
				e.Do(context.Background(), start, []Step{{Op: Leak, Table: "limit", Key: keys[i%len(keys)], N: 1, Rate: 1, Burst: 100}}, nil)
			}
			if !parallel {
				for i := 0; b.Loop(); i++ {
					leak(i)
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					leak(i)
				}
			})
		})
	}
}

// BenchmarkMillionKeys reports the bytes of memory a key takes, with a key of 24 bytes.
func BenchmarkMillionKeys(b *testing.B) {
	const keys = 1_000_000
	for b.Loop() {
		before := heap()
		e := NewEmbedded(2*keys, start)
		for i := range keys {
			e.Do(context.Background(), start, []Step{{Op: Touch, Table: "seen", Key: fmt.Sprintf("user%07d@example.org", i), Keep: time.Hour}}, nil)
		}
		b.ReportMetric(float64(heap()-before)/keys, "B/key")
		if e.Len() != keys {
			b.Fatal(e.Len())
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestFloodOfOneTable: ten times as many keys of one table as there is room for leave nearly all of another table in place.
func TestFloodOfOneTable(t *testing.T) {
	e := NewEmbedded(64*200, start)
	for i := range 5000 {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "correspondent", Key: fmt.Sprint(i), Keep: time.Hour}}, nil)
	}
	for i := range 10 * 64 * 200 {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "greylist", Key: fmt.Sprint(i), Keep: time.Hour}}, nil)
	}
	left, err := e.Entries(context.Background(), start, "correspondent", "", 10_000)
	if err != nil || len(left) < 4900 || e.Len() > 64*200 {
		t.Errorf("%d of 5000 are left, %v, of %d cells", len(left), err, e.Len())
	}
}

// TestKeyOfAField: a key is often a part of a header field, and of a field that a sender made as long as may be nothing else is held.
func TestKeyOfAField(t *testing.T) {
	e := NewEmbedded(64*1000, start)
	before := heap()
	for i := range 200 {
		field := fmt.Sprintf("d%d.example %s", i, strings.Repeat("x", 100_000))
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "known", Key: field[:strings.IndexByte(field, ' ')], Keep: time.Hour}}, nil)
	}
	if more := int64(heap()) - int64(before); more > 5<<20 {
		t.Errorf("200 keys hold %d bytes", more)
	}
	runtime.KeepAlive(e)
}

// TestStrangersForgetStrangers: many more strangers than there is room for, each with one bad message, push out each other and not those of whom more
// is known, nor whom our users write to.
func TestStrangersForgetStrangers(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	e := NewEmbedded(16_000, now)
	const keep, good = 140 * 24 * time.Hour, 1000
	do := func(steps ...Step) { e.Do(context.Background(), now, steps, nil) }
	for i := range good {
		key := fmt.Sprint("good", i)
		do(Step{Op: Touch, Table: "correspondent:address", Key: key, Keep: keep}, Step{Op: Weigh, Table: "reputation:ip", Key: key, A: 5, HalfLife: keep},
			Step{Op: Weigh, Table: "recipients", Key: key, A: 5, HalfLife: keep})
	}
	for i := range 60_000 {
		key := fmt.Sprint("x", i)
		do(Step{Op: Leak, Table: "limit:messages", Key: key, N: 1, Rate: 1, Burst: 600}, Step{Op: Weigh, Table: "reputation:ip", Key: key, B: 0.5, HalfLife: keep},
			Step{Op: Weigh, Table: "reputation:network", Key: key, B: 0.5, HalfLife: keep}, Step{Op: Weigh, Table: "recipients", Key: key, B: 1, HalfLife: keep})
	}
	for _, table := range []string{"correspondent:address", "reputation:ip", "recipients"} {
		if entries, _ := e.Entries(context.Background(), now, table, "good", good); len(entries) < good*9/10 {
			t.Errorf("of %d in table %s %d are left", good, table, len(entries))
		}
	}
}
