package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/state/statetest"
)

// TestOpenedLate: a memory whose file is locked at the start goes on without it, and says so. When the file is free it takes in what that holds: who was
// known is known again, what came meanwhile counts too, and so it stands in the file.
func TestOpenedLate(t *testing.T) {
	t.Parallel() // it waits
	path := filepath.Join(t.TempDir(), "memory.db")
	do := func(e *Embedded, at time.Time, steps ...Step) []Result {
		return e.Do(context.Background(), at, steps, nil)
	}
	pour := Step{Op: Leak, Table: "limit", Key: "both", N: 3, Rate: 1e-5, Burst: 5}
	trip := Step{Op: Leak, Table: "latched", Key: "both", N: 2, Burst: 1, Latch: true}
	meet := Step{Op: Touch, Table: "met", Key: "both", Keep: 24 * time.Hour}
	enter := Step{Op: Enter, Table: "open", Key: "both", Session: "s", Keep: time.Hour}
	first := openFileTest(t, path, 10000, atStart)
	do(first, start, pour, trip, meet, Step{Op: Touch, Table: "met", Key: "before", Keep: 24 * time.Hour})
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	unlock := statetest.Lock(t, path)
	var log logBuffer
	now := start.Add(time.Hour)
	e, err := Open(path, 10000, func() time.Time { return now }, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const remedy = "see that its disk has room and takes writes, and that no other program locks it"
	if s := e.Status(); !strings.Contains(s, "the memory cannot be written, and who was known before the start is not known") || !strings.Contains(s, "locked") || !strings.Contains(s, remedy) {
		t.Errorf("status %q", s)
	}
	pour.N, trip.N = 1, 0.5
	if r := do(e, now, pour, trip, meet, enter, Step{Op: Touch, Table: "met", Key: "since", Keep: 24 * time.Hour}); r[0].Found || r[1].Over || !e.Born().Equal(now) {
		t.Errorf("without its file: %+v, born %v", r, e.Born())
	}
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" && e.Born().Equal(start) })
	for range 2 { // in the memory, and in the file
		read := do(e, now, Step{Table: "limit", Key: "both"}, Step{Table: "latched", Key: "both"}, Step{Table: "met", Key: "both"},
			Step{Table: "met", Key: "before"}, Step{Table: "met", Key: "since"})
		have := fmt.Sprintf("%.2f %v %v %v %v %v", read[0].Cell.A, read[1].Cell.Mark, read[2].Cell.A, read[2].Cell.First.Equal(start), read[3].Found, read[4].Found)
		if want := "3.96 true 2 true true true"; have != want { // an hour drains 0.036
			t.Errorf("%s, want %s", have, want)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = openFileTest(t, path, 10000, func() time.Time { return now })
	}
	if said := log.String(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "the memory is written again") {
		t.Errorf("log:\n%s", said)
	}
}

func doAt(s Store, at time.Time, step Step) Result {
	return s.Do(context.Background(), at, []Step{step}, nil)[0]
}

// openLocked opens a memory whose file was written at start and is locked now.
func openLocked(t *testing.T, most int, now *time.Time, first ...Step) (e *Embedded, unlock func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "memory.db")
	before := openFileTest(t, path, most, atStart)
	before.Do(context.Background(), start, first, nil)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	unlock = statetest.Lock(t, path)
	return openFileTest(t, path, most, func() time.Time { return *now }), unlock
}

// TestLateLevels: what a file had, and what came before it could be opened, make what there would have been, had it been open all the time: what drains
// and decays does so from when it came.
func TestLateLevels(t *testing.T) {
	t.Parallel() // it waits
	now := start.Add(12 * time.Hour)
	var first, since []Step
	var want []string
	add := func(before, after Step, a, b float64, times string) {
		before.Table, before.Key = "t", fmt.Sprint(len(first))
		after.Table, after.Key = before.Table, before.Key
		first, since, want = append(first, before), append(since, after), append(want, fmt.Sprintf("%.1f %.1f %s", a, b, times))
	}
	pour := func(n, aDay float64) Step { return Step{Op: Leak, N: n, Rate: aDay / 86400, Burst: 10} }
	add(pour(5, 100), pour(8, 100), 8, 0, "12h0m0s 12h0m0s") // the earlier one is empty and forgotten
	add(pour(5, 6), pour(4, 6), 2+4, 0, "0s 12h0m0s")
	add(pour(10, 2), pour(11, 2), 11, 0, "0s 12h0m0s") // over by itself: a storm raises it to one event over what fits, and no further
	weigh := func(a, b float64) Step { return Step{Op: Weigh, A: a, B: b, HalfLife: 12 * time.Hour} }
	add(weigh(8, 2), weigh(2, 1), 4+2, 1+1, "0s 12h0m0s")
	touch := Step{Op: Touch, Keep: 24 * time.Hour}
	add(touch, touch, 2, 0, "0s 12h0m0s") // as greylisting needs it: seen twice, half a day apart
	e, unlock := openLocked(t, 10000, &now, first...)
	e.Do(context.Background(), now, since, nil)
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" })
	for i := range first {
		c := doAt(e, now, Step{Table: "t", Key: fmt.Sprint(i)}).Cell
		if have := fmt.Sprintf("%.1f %.1f %v %v", c.A, c.B, c.First.Sub(start), c.At.Sub(start)); have != want[i] {
			t.Errorf("%+v, then %+v: %s, want %s", first[i], since[i], have, want[i])
		}
		if left := c.Until.Sub(now).Seconds(); first[i].Op == Leak && left < c.A/since[i].Rate {
			t.Errorf("%+v is forgotten after %v s", c, left)
		}
	}
}

// TestResetBeforeOpened: what an admin empties before the file could be opened does not come back out of it.
func TestResetBeforeOpened(t *testing.T) {
	t.Parallel() // it waits
	now := start.Add(time.Hour)
	trip := Step{Op: Leak, Table: "latched", Key: "k", N: 2, Burst: 1, Latch: true}
	e, unlock := openLocked(t, 10000, &now, trip)
	reset := Step{Op: Clear, Table: "latched", Key: "k"}
	if r := doAt(e, now, reset); !r.Found {
		t.Error("what only the file knows is said not to be there")
	}
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" })
	if r := doAt(e, now, Step{Table: "latched", Key: "k"}); r.Found || rows(t, e) != 0 {
		t.Errorf("%+v; the file has %d cells", r, rows(t, e))
	}
	if r := doAt(e, now, reset); r.Found {
		t.Error("what nobody knows is said to be there")
	}
}

// TestOpenedLateInAFlood: strangers who filled the memory before its file could be opened make room for those whom that knows.
func TestOpenedLateInAFlood(t *testing.T) {
	t.Parallel() // it waits
	now, most := start.Add(time.Hour), 64*20
	first := []Step{{Op: Leak, Table: "latched", Key: "k", N: 2, Burst: 1, Latch: true}}
	for i := range 50 {
		first = append(first, Step{Op: Weigh, Table: "known", Key: fmt.Sprint(i), A: 50, HalfLife: 24 * time.Hour})
	}
	e, unlock := openLocked(t, most, &now, first...)
	for i := range 10 * most {
		e.Do(context.Background(), now, []Step{{Op: Weigh, Table: "known", Key: fmt.Sprint("stranger", i), A: 1, HalfLife: 24 * time.Hour}}, nil)
	}
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" })
	for _, s := range first {
		if r := doAt(e, now, Step{Table: s.Table, Key: s.Key}); !r.Found {
			t.Errorf("%s %s is not known", s.Table, s.Key)
		}
	}
	if e.Len() > most {
		t.Errorf("%d cells, at most %d", e.Len(), most)
	}
}

// TestFloodBeforeOpened: keys that come and go before the file can be opened are not remembered for it.
func TestFloodBeforeOpened(t *testing.T) {
	t.Parallel() // it waits
	now, most := start.Add(time.Hour), 64*20
	e, unlock := openLocked(t, most, &now, Step{Op: Touch, Table: "t", Key: "before", Keep: 24 * time.Hour})
	for n := range 30 * most {
		doAt(e, now, Step{Op: Touch, Table: "t", Key: fmt.Sprint("flood", n), Keep: time.Hour})
	}
	noted := 0
	for i := range e.parts {
		e.parts[i].tidy()
		noted += len(e.parts[i].changed) + len(e.parts[i].gone)
	}
	if noted > 2*most {
		t.Errorf("%d keys are noted for the file; the memory has %d", noted, e.Len())
	}
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" })
	if rows(t, e) != e.Len() {
		t.Errorf("%d rows of %d", rows(t, e), e.Len())
	}
}

// TestAgeOfWhatCannotBeRead: a memory whose file opens and cannot be read to its end is no older for it: it would call those new whom it did not find.
func TestAgeOfWhatCannotBeRead(t *testing.T) {
	t.Parallel() // it waits
	path, now := filepath.Join(t.TempDir(), "memory.db"), start.Add(20*day)
	before := openFileTest(t, path, 100, atStart)
	doAt(before, start, Step{Op: Touch, Table: "t", Key: "k", Keep: 100 * day})
	before.file.commit()
	if _, err := before.file.db.Exec("INSERT INTO cell SELECT tab, 'z', a, b, at, 'never', until, mark FROM cell"); err != nil {
		t.Fatal(err)
	}
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	unlock := statetest.Lock(t, path)
	e, err := Open(path, 100, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	unlock()
	waitFor(t, "the file is read", func() bool { return strings.Contains(e.Status(), "cannot be read") })
	if !e.Born().Equal(now) {
		t.Errorf("born %v, want %v", e.Born(), now)
	}
	if err := e.Close(); err == nil {
		t.Error("what could not be written is no fault at the end")
	}
}

// TestNeverOpened: a daemon that ends before its file was free says what is lost.
func TestNeverOpened(t *testing.T) {
	t.Parallel() // it waits
	path := filepath.Join(t.TempDir(), "memory.db")
	if err := openFileTest(t, path, 100, atStart).Close(); err != nil {
		t.Fatal(err)
	}
	defer statetest.Lock(t, path)()
	if err := openFileTest(t, path, 100, atStart).Close(); err == nil || !strings.Contains(err.Error(), "locked") {
		t.Error(err)
	}
}

// TestPasses tells what the disk does from what an admin has to mend before.
func TestPasses(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EIO, syscall.EDQUOT} {
		if !Passes(fmt.Errorf("the file: %w", err)) {
			t.Error(err)
		}
	}
	for _, err := range []error{nil, syscall.EACCES, syscall.ENOENT, syscall.ENOTDIR, errCorrupt, errors.New("another")} {
		if Passes(err) {
			t.Error(err)
		}
	}
}
