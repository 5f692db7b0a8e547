package state

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// anyStep changes one of some hundred keys in one of the ways that there are.
func anyStep() Step {
	s := Step{Table: []string{"limit", "weight", "seen"}[rand.IntN(3)], Key: fmt.Sprint(rand.IntN(300)), Session: "s", HalfLife: time.Hour, Keep: time.Hour, Burst: 5}
	switch s.Op = []Op{Clear, Read, Weigh, Touch, Enter, Leave, Leak}[rand.IntN(7)]; s.Op {
	case Weigh:
		s.A, s.B = float64(rand.IntN(9)), 1
	case Leak:
		s.N, s.Latch = float64(1+rand.IntN(9)), rand.IntN(9) == 0
	case Touch:
		s.Keep = time.Duration(rand.IntN(3)) * time.Minute // some are over when the next step comes
	}
	return s
}

// keptLevels gives what a memory has, but for open sessions, which do not outlast it.
func keptLevels(t *testing.T, e *Embedded, now time.Time) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, table := range []string{"limit", "weight", "seen"} {
		entries, err := e.Entries(context.Background(), now, table, "", 100_000)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range entries {
			if c := one.Cell; !c.Open {
				out[table+" "+one.Key] = fmt.Sprint(c.A, c.B, c.Mark, c.At.UnixMilli(), c.First.UnixMilli(), c.Until.UnixMilli())
			}
		}
	}
	return out
}

// TestFileIsTheMemory: whatever changed at once, while commits came and failed and keys were forgotten for want of room, a restart finds what there was
// and nothing else.
func TestFileIsTheMemory(t *testing.T) {
	path, later := filepath.Join(t.TempDir(), "memory.db"), start.Add(90*time.Second)
	e := openFileTest(t, path, 64*6, atStart)
	committed, failed := make(chan struct{}), 0
	go func() {
		defer close(committed)
		for n := 0; n < 10 || failed == 0 && n < 1000; n++ {
			if _, err := e.file.db.Exec(fmt.Sprintf("PRAGMA query_only = %d", n%2)); err != nil { // every second commit fails
				t.Error(err)
			}
			if e.file.commit(); e.file.failure() != nil {
				failed++
			}
		}
	}()
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-committed:
					return
				default:
					at := start.Add(time.Duration(min(n, 80_000)) * time.Millisecond)
					e.Do(context.Background(), at, []Step{anyStep(), anyStep()}, nil)
				}
			}
		})
	}
	work.Wait()
	if failed == 0 {
		t.Error("no commit failed")
	}
	if _, err := e.file.db.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	staysAsItIs(t, e, later)
}

// TestLateFileIsTheMemory: a file that opens in the midst of work, while keys come, go, and find no room, holds afterwards what the memory has.
func TestLateFileIsTheMemory(t *testing.T) {
	t.Parallel() // it waits
	var first []Step
	for range 500 {
		first = append(first, anyStep())
	}
	now, later := start.Add(10*time.Second), start.Add(90*time.Second)
	e, unlock := openLocked(t, 64*6, &now, first...)
	opened := make(chan struct{})
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-opened:
					return
				default:
					at := now.Add(time.Duration(min(n, 70_000)) * time.Millisecond)
					e.Do(context.Background(), at, []Step{anyStep(), anyStep()}, nil)
				}
			}
		})
	}
	unlock()
	waitFor(t, "the file is open", func() bool { return e.Status() == "" })
	close(opened)
	work.Wait()
	staysAsItIs(t, e, later)
}

// staysAsItIs closes a memory and wants to find it again in its file.
func staysAsItIs(t *testing.T, e *Embedded, later time.Time) {
	t.Helper()
	want := keptLevels(t, e, later)
	if err := e.Close(); err != nil || len(want) == 0 {
		t.Fatalf("%d cells, %v", len(want), err)
	}
	got := keptLevels(t, openFileTest(t, e.file.path, 100_000, atStart), later)
	for key, level := range want {
		if got[key] != level {
			t.Errorf("%s: %q, and in the file %q", key, level, got[key])
		}
		delete(got, key)
	}
	for key, level := range got {
		t.Errorf("%s is in the file only: %s", key, level)
	}
}

// TestForgottenTwice: a key that is forgotten, met again while that could not be written, and forgotten again is not in the file.
func TestForgottenTwice(t *testing.T) {
	e := openFileTest(t, filepath.Join(t.TempDir(), "memory.db"), 1000, atStart)
	touch, forget := Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}, Step{Op: Clear, Table: "t", Key: "k"}
	do1(e, touch)
	e.file.commit()
	do1(e, forget)
	unwritten := e.file.take()
	do1(e, touch)
	e.file.giveBack(unwritten)
	do1(e, forget)
	if e.file.commit(); rows(t, e) != 0 {
		t.Errorf("the file has %d cells", rows(t, e))
	}
}

// TestFloodOnAFullDisk: keys that come and go while nothing can be written are not remembered for the file, which never had them; those that it had are.
func TestFloodOnAFullDisk(t *testing.T) {
	const most = 64 * 20
	path := filepath.Join(t.TempDir(), "memory.db")
	e := openFileTest(t, path, most, atStart)
	touched := func(key string) {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: key, Keep: time.Hour}}, nil)
	}
	for n := range 100 {
		touched(fmt.Sprint("before", n))
	}
	e.file.commit()
	if _, err := e.file.db.Exec("PRAGMA query_only = 1"); err != nil {
		t.Fatal(err)
	}
	for n := range 20 * most {
		if touched(fmt.Sprint("flood", n)); n%most == 0 {
			e.file.commit()
		}
	}
	noted := 0
	for i := range e.parts {
		noted += len(e.parts[i].changed) + len(e.parts[i].gone)
	}
	if !strings.Contains(e.Status(), "readonly database (8); see that its disk has room and takes writes") || noted > 3*most { // and those of the flood since the last commit
		t.Errorf("status %q, %d keys are noted for the file; the memory has %d", e.Status(), noted, e.Len())
	}
	if _, err := e.file.db.Exec("PRAGMA query_only = 0"); err != nil {
		t.Fatal(err)
	}
	e.file.commit()
	if e.Status() != "" || rows(t, e) != e.Len() {
		t.Errorf("status %q, %d rows of %d", e.Status(), rows(t, e), e.Len())
	}
}
