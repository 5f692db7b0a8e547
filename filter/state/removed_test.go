package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFolderRemoved: SQLite goes on writing to a file that has no name any more; the status says it, and when its folder is back all that is known is
// written into a new one, also what had not changed.
func TestFolderRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "memory.db")
	folder := filepath.Dir(path)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	e := openFileTest(t, path, 1000, atStart)
	stopTicks(e)
	touch := func(key string) float64 {
		return e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: key, Keep: time.Hour}}, nil)[0].Cell.A
	}
	touch("k")
	touch("unchanged")
	e.file.tick(start)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		e.file.tick(start)
		if s := e.Status(); !strings.HasPrefix(s, "the memory cannot be written: ") || !strings.Contains(s, path) {
			t.Errorf("status %q", s)
		}
	}
	if n := touch("k"); n != 2 {
		t.Errorf("seen %v times", n)
	}
	for range 2 { // the second time, the files alone
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		e.file.tick(start)
		e.file.tick(start)
		if e.Status() != "" || rows(t, e) != 2 || !e.Born().Equal(start) {
			t.Errorf("status %q, %d rows, born %v", e.Status(), rows(t, e), e.Born())
		}
		all, err := filepath.Glob(path + "*")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range all {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		e.file.tick(start)
	}
}

// TestCutWhileOpen: a file that somebody cuts while it is open is taken for what it is, and all that is known is written anew.
func TestCutWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	e := openFileTest(t, path, 1000, atStart)
	stopTicks(e)
	for n := range 10 {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: fmt.Sprint(n), Keep: time.Hour}}, nil)
		if e.file.tick(start); n != 5 {
			continue
		}
		for _, tail := range []string{"", "-wal", "-shm"} {
			if err := os.Truncate(path+tail, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	if e.Status() != "" || rows(t, e) != 10 {
		t.Errorf("status %q, %d rows", e.Status(), rows(t, e))
	}
}
