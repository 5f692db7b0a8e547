package state

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

// TestAge: how old a memory is after its clock went on, leapt ahead, was set back, and was set right again.
func TestAge(t *testing.T) {
	at := func(days int) time.Time { return start.Add(time.Duration(days) * day) }
	for _, c := range []struct {
		name  string
		looks []int // days since the memory began
		born  int   // as it is at the last look
	}{
		{"it goes on", []int{1, 20, 49}, 0},
		{"a machine off for three weeks", []int{20, 41}, 0},
		{"a machine off for three months", []int{20, 110}, 110},
		{"off for three months, and again a year later", []int{20, 110, 111, 500}, 500},
		{"months ahead, and set right", []int{20, 200, 20}, 0},
		{"months ahead for a while, set right a day later", []int{20, 200, 201, 21}, 0},
		{"at 1970 until the network is there", []int{20, -20000, 20}, 0},
		{"at 1970 at each start", []int{20, -20000, 21, 22, -20000, 22}, 0},
		{"begun under a clock years ahead", []int{1, -2000}, -2000},
		{"begun under a clock years ahead, later off for months", []int{1, -2000, -1900}, -1900},
		{"an hour back and ahead, as where somebody sets the clock for summer time by hand", []int{20, 20, 20}, 0},
	} {
		a := age{born: start, seen: start}
		for _, look := range c.looks {
			a = a.on(at(look))
		}
		if !a.born.Equal(at(c.born)) {
			t.Errorf("%s: begun at day %.0f, want %d", c.name, a.born.Sub(start).Hours()/24, c.born)
		}
	}
}

// TestClockLeaps: a clock that leaps months ahead while the daemon runs, or over a restart, makes no memory that calls itself old and has forgotten
// everybody; when the clock is right again, so is the memory.
func TestClockLeaps(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		var log logBuffer
		path, now := filepath.Join(t.TempDir(), "memory.db"), start
		clock := func() time.Time { return now }
		e, err := Open(path, 10000, clock, log.logger())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { e.Close() })
		if !restarts {
			stopTicks(e)
		}
		set := func(to time.Time) {
			now = to
			if !restarts {
				e.file.tick(now)
				return
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			if e, err = Open(path, 10000, clock, log.logger()); err != nil {
				t.Fatal(err)
			}
		}
		e.Do(context.Background(), now, []Step{{Op: Touch, Table: "t", Key: "friend", Keep: 100 * day}}, nil)
		e.file.commit()
		set(start.Add(20 * day))
		if !e.Born().Equal(start) {
			t.Errorf("begun %v after twenty days", e.Born())
		}
		set(start.Add(220 * day))
		if !e.Born().Equal(now) || !strings.Contains(log.String(), "the clock has leapt") {
			t.Errorf("begun %v after a leap to %v; the log says %s", e.Born(), now, log.String())
		}
		if e.Do(context.Background(), now, []Step{{Op: Read, Table: "t", Key: "friend"}}, nil)[0].Found {
			t.Error("after the leap what has expired is found")
		}
		set(start.Add(21 * day))
		found := e.Do(context.Background(), now, []Step{{Op: Read, Table: "t", Key: "friend"}}, nil)[0].Found
		if !e.Born().Equal(start) || !found {
			t.Errorf("restarts %v: set right, begun %v, found: %v", restarts, e.Born(), found)
		}
	}
}

// stopTicks ends the writer of a memory, so that a test is the only one that commits.
func stopTicks(e *Embedded) {
	close(e.file.stop)
	<-e.file.ended
	e.file.stop = make(chan struct{}) // for Close
}

// TestWriterPanics: a panic of what writes the memory is said, and the next commit writes what that one did not.
func TestWriterPanics(t *testing.T) {
	var log logBuffer
	e, err := Open(filepath.Join(t.TempDir(), "memory.db"), 10000, atStart, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: "k", Keep: time.Hour}}, nil)
	stopTicks(e)
	db := e.file.db
	e.file.db = nil
	e.file.guarded(e.file.commit)
	if !strings.Contains(e.Status(), "a fault in the writer") || !strings.Contains(log.String(), "stack=") {
		t.Errorf("status %q, log %s", e.Status(), log.String())
	}
	e.file.db = db
	e.file.guarded(e.file.commit)
	if e.Status() != "" || rows(t, e) != 1 {
		t.Errorf("status %q, %d rows", e.Status(), rows(t, e))
	}
}
