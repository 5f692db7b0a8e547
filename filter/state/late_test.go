package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lockFile locks a database as a program that has it for itself does, until the function that it gives is called.
func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, words := range []string{"PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "CREATE TABLE other (x)"} {
		if _, err := db.Exec(words); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if _, err := db.Exec("ROLLBACK"); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpenedLate: a memory whose file is locked at the start goes on without it, and says so. When the file is free it takes in what that holds: who was
// known is known again, what came meanwhile counts too, and so it stands in the file.
func TestOpenedLate(t *testing.T) {
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

	unlock := lockFile(t, path)
	var log logBuffer
	now := start.Add(time.Hour)
	e, err := Open(path, 10000, func() time.Time { return now }, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const remedy = "see that its disk has room and takes writes, and that no other program locks it"
	if s := e.Status(); !strings.Contains(s, "the memory cannot be written") || !strings.Contains(s, "locked") || !strings.Contains(s, remedy) {
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
		have := fmt.Sprint(read[0].Cell.A, read[1].Cell.Mark, read[2].Cell.A, read[2].Cell.First.Equal(start), read[3].Found, read[4].Found)
		if want := "4 true 2 true true true"; have != want {
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

// TestNeverOpened: a daemon that ends before its file was free says what is lost.
func TestNeverOpened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	if err := openFileTest(t, path, 100, atStart).Close(); err != nil {
		t.Fatal(err)
	}
	defer lockFile(t, path)()
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
