package state

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// openFileTest opens a memory in a file; the test's end closes it.
func openFileTest(t testing.TB, path string, most int, now func() time.Time) *Embedded {
	t.Helper()
	e, err := Open(path, most, now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func atStart() time.Time { return start }

func rows(t *testing.T, e *Embedded) int {
	t.Helper()
	var n int
	if err := e.file.db.QueryRow("SELECT count(*) FROM cell").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReopen finds what was there, keys of any bytes, and when it all began; sessions are closed.
func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%41", "memory.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	e := openFileTest(t, path, 10000, atStart)
	keys := []string{"", "a", "a\x00b", "\xff\xfe", "a'b\"", "ä", strings.Repeat("x", MaxKey+5)}
	for i, key := range keys {
		e.Do(context.Background(), start, []Step{
			{Op: Weigh, Table: "w", Key: key, A: float64(i) + 1.0/3, B: 0.1, HalfLife: time.Hour},
			{Op: Leak, Table: "latched", Key: key, N: 2, Burst: 1, Latch: true},
			{Op: Enter, Table: "open", Key: key, Session: "s", Keep: time.Hour},
		}, nil)

	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	e = openFileTest(t, path, 10000, func() time.Time { return start.Add(time.Minute) })
	if !e.Born().Equal(start) || e.Len() != 2*len(keys) {
		t.Errorf("born %v, %d cells", e.Born(), e.Len())
	}
	for i, key := range keys {
		r := e.Do(context.Background(), start, []Step{
			{Op: Read, Table: "w", Key: key}, {Op: Read, Table: "latched", Key: key}, {Op: Read, Table: "open", Key: key},
		}, nil)

		c := r[0].Cell
		if c.A != float64(i)+1.0/3 || c.B != 0.1 || !c.At.Equal(start) || !c.First.Equal(start) || !c.Until.Equal(start.Add(10*time.Hour)) {
			t.Errorf("%q: %+v", key, c)
		}
		if !r[1].Cell.Mark || r[2].Found {
			t.Errorf("%q: %+v", key, r)
		}
	}
}

// TestSessionsAreNotKept closes a session and opens another before the next commit: after a restart there is none.
func TestSessionsAreNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	e := openFileTest(t, path, 1000, atStart)
	enter, leave := Step{Op: Enter, Table: "open", Key: "k", Keep: time.Hour}, Step{Op: Leave, Table: "open", Key: "k"}
	e.Do(context.Background(), start, []Step{enter, leave, enter, enter}, nil)
	e.Do(context.Background(), start, []Step{{Op: Enter, Table: "open", Key: "old", Keep: time.Second}}, nil)
	later := start.Add(time.Minute)
	for i := range shards {
		e.sweep(i, later)
	}
	e.Do(context.Background(), later, []Step{{Op: Enter, Table: "open", Key: "old", Keep: time.Hour}}, nil)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if e = openFileTest(t, path, 1000, atStart); e.Len() != 0 {
		t.Errorf("%d open sessions after a restart", e.Len())
	}
}

// TestLatchedAreLoadedFirst opens a file that holds more than may be.
func TestLatchedAreLoadedFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	e := openFileTest(t, path, 100000, atStart)
	for i := range 2000 {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "a", Key: fmt.Sprint(i), Keep: time.Hour}}, nil)
	}
	for i := range 100 {
		e.Do(context.Background(), start, []Step{{Op: Leak, Table: "z", Key: fmt.Sprint(i), N: 2, Burst: 1, Latch: true}}, nil)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openFileTest(t, path, 64*20, atStart)
	entries, _ := e.Entries(context.Background(), start, "z", "", 1000)
	if len(entries) != 100 {
		t.Errorf("%d of 100 latched limits were loaded", len(entries))
	}
}

// TestExpiredRows vanish from the file: when they are read, when they are swept, when it is opened.
func TestExpiredRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	e := openFileTest(t, path, 1000, atStart)
	for _, key := range []string{"read", "swept", "opened"} {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: key, Keep: time.Minute}}, nil)
	}
	e.file.commit()
	if n := rows(t, e); n != 3 {
		t.Fatalf("%d rows", n)
	}
	later := start.Add(time.Hour)
	e.Do(context.Background(), later, []Step{{Op: Read, Table: "t", Key: "read"}}, nil)
	e.file.commit()
	if n := rows(t, e); n != 2 {
		t.Errorf("%d rows after an expired cell was read", n)
	}
	p := e.part(cellKey{"t", "swept"})
	for i := range e.parts {
		if &e.parts[i] == p {
			e.sweep(i, later)
		}
	}
	e.file.commit()
	if n := rows(t, e); n > 1 {
		t.Errorf("%d rows after the sweep", n)
	}
	e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: "opened", Keep: time.Minute}}, nil)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openFileTest(t, path, 1000, func() time.Time { return later })
	if rows(t, e) != 0 || e.Len() != 0 {
		t.Errorf("%d rows, %d cells", rows(t, e), e.Len())
	}
}

// TestCorrupt sets a broken file aside and begins anew.
func TestCorrupt(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"no database": func([]byte) []byte { return []byte(strings.Repeat("this is no database\n", 1000)) },
		"cut":         func(b []byte) []byte { return b[:len(b)/2+100] },
		"pages":       func(b []byte) []byte { copy(b[len(b)/2:], bytes.Repeat([]byte{0xa5}, len(b)/2)); return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory.db")
			e := openFileTest(t, path, 10000, atStart)
			for i := range 2000 {
				e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: fmt.Sprint(i), Keep: time.Hour}}, nil)
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			broken := damage(content)
			if err := os.WriteFile(path, broken, 0o600); err != nil {
				t.Fatal(err)
			}
			var log logBuffer
			e, err = Open(path, 10000, atStart, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			aside, err := os.ReadFile(path + ".corrupt-20231114-221320")
			if err != nil || !bytes.Equal(aside, broken) || !strings.Contains(log.String(), "set aside") {
				t.Errorf("set aside: %v, %d bytes; log %s", err, len(aside), log.String())
			}
			touch := []Step{{Op: Touch, Table: "t", Key: "1", Keep: time.Hour}}
			if r := e.Do(context.Background(), start, touch, nil)[0]; r.Found || e.Len() != 1 {
				t.Errorf("%+v", r)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOtherVersion: a file whose table lacks a column, or has one more, is set aside whole and a new one begins; one with a table more is used.
func TestOtherVersion(t *testing.T) {
	for name, c := range map[string]struct {
		change string
		aside  bool
	}{
		"an older one":             {"ALTER TABLE cell DROP COLUMN mark", true},
		"a later one":              {"ALTER TABLE cell ADD COLUMN weight REAL", true},
		"another type":             {"ALTER TABLE meta RENAME TO old; CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT)", true},
		"a table that is not ours": {"CREATE TABLE note (text TEXT)", false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory.db")
			touch := []Step{{Op: Touch, Table: "t", Key: "1", Keep: time.Hour}}
			e := openFileTest(t, path, 100, atStart)
			e.Do(context.Background(), start, touch, nil)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(c.change); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			var log logBuffer
			e, err = Open(path, 100, atStart, log.logger())
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			_, err = os.Stat(path + ".other-version-20231114-221320")
			if aside := err == nil; aside != c.aside || strings.Contains(log.String(), "the memory is that of another version; it was set aside and begins anew") != c.aside {
				t.Errorf("set aside: %v; log %s", err, log.String())
			}
			if r := e.Do(context.Background(), start, touch, nil)[0]; r.Found == c.aside || e.Status() != "" {
				t.Errorf("%+v; %s", r, e.Status())
			}
		})
	}
}

// TestNoFolder: a folder that is not there is an error, and nothing is set aside.
func TestNoFolder(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none", "memory.db"), 10, atStart, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "none/memory.db") {
		t.Error(err)
	}
}

// TestDiskFull: decisions go on, the status says it, and what was not written is written when there is room again.
func TestDiskFull(t *testing.T) {
	var log logBuffer
	path := filepath.Join(t.TempDir(), "memory.db")
	e, err := Open(path, 10000, atStart, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if _, err := e.file.db.Exec("PRAGMA max_page_count = 4"); err != nil {
		t.Fatal(err)
	}
	const keys = 3000
	for i := range keys {
		e.Do(context.Background(), start, []Step{{Op: Touch, Table: "t", Key: fmt.Sprint(i), Keep: time.Hour}}, nil)
	}
	e.file.commit()
	if !strings.Contains(e.Status(), "full (13); see that its disk has room") || !strings.Contains(log.String(), "cannot be written") {
		t.Errorf("status %q, log %s", e.Status(), log.String())
	}
	if r := do1(e, Step{Op: Read, Table: "t", Key: "7"}); e.Len() == 0 || r.Full {
		t.Errorf("%+v", r)
	}
	if _, err := e.file.db.Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	e.file.commit()
	if e.Status() != "" || !strings.Contains(log.String(), "written again") || rows(t, e) != e.Len() {
		t.Errorf("status %q, %d rows of %d", e.Status(), rows(t, e), e.Len())
	}
}

// TestKilled ends a child process with SIGKILL under load: at most the last second is lost.
func TestKilled(t *testing.T) {
	if path := os.Getenv("GATEPOST_TEST_STATE"); path != "" {
		writeForever(t, path)
	}
	path := filepath.Join(t.TempDir(), "memory.db")
	child := exec.Command(os.Args[0], "-test.run=^TestKilled$")
	child.Env = append(os.Environ(), "GATEPOST_TEST_STATE="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	// The child says which count is older than a commit.
	sure := 0
	lines := bufio.NewScanner(out)
	for lines.Scan() && sure < 1000 {
		if text, ok := strings.CutPrefix(lines.Text(), "sure "); ok {
			sure, _ = strconv.Atoi(text)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = child.Wait()
	if sure < 1000 {
		t.Fatalf("the child came only to %d", sure)
	}
	e := openFileTest(t, path, 100000, time.Now)
	if r := do1(e, Step{Op: Read, Table: "t", Key: "count"}); r.Cell.A < float64(sure) {
		t.Errorf("%v of at least %d are left", r.Cell.A, sure)
	}
	if n := e.Len(); n < sure {
		t.Errorf("%d keys of at least %d", n, sure)
	}
	if found, _ := filepath.Glob(path + ".corrupt*"); len(found) > 0 {
		t.Errorf("set aside: %v", found)
	}
}

// writeForever counts, and tells the count that is in the file for sure: the one of before a commit that has ended.
func writeForever(t *testing.T, path string) {
	e, err := Open(path, 100000, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	counted := 0
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		before := counted
		for rows := -1; rows < before; {
			counted++
			e.Do(context.Background(), time.Now(), []Step{
				{Op: Touch, Table: "t", Key: strconv.Itoa(counted), Keep: time.Hour}, {Op: Touch, Table: "t", Key: "count", Keep: time.Hour},
			}, nil)

			if counted%50 == 0 {
				time.Sleep(10 * time.Millisecond)
				if err := e.file.db.QueryRow("SELECT count(*) FROM cell").Scan(&rows); err != nil {
					t.Fatal(err)
				}
			}
		}
		fmt.Printf("sure %d\n", before)
	}
}
