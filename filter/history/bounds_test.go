package history

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestBounds: what is older than keep goes, and the oldest of what is beyond the size; the newest stays.
func TestBounds(t *testing.T) {
	now := atStart
	s, path, _ := openTest(t, func(c *Config) { c.Size, c.Keep, c.Now = 400_000, time.Hour, func() time.Time { return now } })
	s.Close() // the test writes by itself
	db, err := Open(s.config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	close(db.stop)
	<-db.ended
	db.stop, db.ended = make(chan struct{}), closedChannel()
	var batch []added
	for i := range 3000 {
		r := fullRecord(i)
		r.Message.MessageID = strings.Repeat(fmt.Sprint(i*7919), 30) // hard to compress
		batch = append(batch, added{r, nil})
	}
	for range 5 {
		now = now.Add(2 * time.Minute)
		if err := db.write(batch[:600]); err != nil {
			t.Fatal(err)
		}
		batch = batch[600:]
	}
	r := reader(t, path)
	if _, err := r.Find(context.Background(), "AAAA-0000"); err != ErrNone {
		t.Errorf("the oldest is still there: %v", err)
	}
	if _, err := r.Find(context.Background(), "AAAA-2999"); err != nil {
		t.Errorf("the newest: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > 1_500_000 {
		t.Errorf("the file has %d bytes", info.Size())
	}
	now = now.Add(3 * time.Hour)
	db.block = nil
	if err := db.write(nil); err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := r.Rows(context.Background(), Filter{}, func(*Row) bool { n++; return true }); err != nil || n != 0 {
		t.Errorf("%d rows when all are too old, %v", n, err)
	}
}

// TestClockYearsAhead: a daemon that begins under a clock that is years ahead deletes nothing for its age before somebody can have set it right; later
// it does.
func TestClockYearsAhead(t *testing.T) {
	now := atStart
	s, path, _ := openTest(t, func(c *Config) { c.Now = func() time.Time { return now } })
	s.Add(fullRecord(1), nil)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r := reader(t, path)
	for _, c := range []struct {
		after time.Duration
		err   error
	}{{0, nil}, {59 * time.Minute, nil}, {2 * time.Hour, ErrNone}} {
		now = atStart.Add(1000 * 24 * time.Hour)
		s := halted(t, s.config)
		now = now.Add(c.after)
		if err := s.write(nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Find(context.Background(), "AAAA-0001"); err != c.err {
			t.Errorf("%v after the start: %v, want %v", c.after, err, c.err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClockWasAhead: of what was recorded behind a clock that was weeks ahead for a while everything goes that is older than keep, rows too; what seems
// to be from the future waits for it.
func TestClockWasAhead(t *testing.T) {
	const day = 24 * time.Hour
	now := atStart
	s, path, _ := openTest(t, func(c *Config) { c.Now = func() time.Time { return now } })
	s.Close()
	for i, at := range []time.Duration{60 * day, 0, 40 * day} {
		recordAt(t, s.config, &now, atStart.Add(at), i)
	}
	left := idsIn(t, path)
	if want := []string{"AAAA-0000", "AAAA-0002"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

// TestClockWasBack: what was recorded under a clock that was years back, as after a start without a battery, stays as long as what was recorded before it.
func TestClockWasBack(t *testing.T) {
	const day = 24 * time.Hour
	now := atStart
	s, path, _ := openTest(t, func(c *Config) { c.Now = func() time.Time { return now } })
	s.Close()
	for i, step := range []struct {
		at   time.Duration
		left []string
	}{
		{0, []string{"AAAA-0000"}},
		{-4000 * day, []string{"AAAA-0000", "AAAA-0001"}},
		{1 * day, []string{"AAAA-0000", "AAAA-0001", "AAAA-0002"}},
		{29 * day, []string{"AAAA-0000", "AAAA-0001", "AAAA-0002", "AAAA-0003"}},
		{30*day + time.Hour, []string{"AAAA-0002", "AAAA-0003", "AAAA-0004"}},
		{32 * day, []string{"AAAA-0003", "AAAA-0004", "AAAA-0005"}},
	} {
		recordAt(t, s.config, &now, atStart.Add(step.at), i)
		left := idsIn(t, path)
		slices.Sort(left) // by time the one of long ago is the first
		if !slices.Equal(left, step.left) {
			t.Errorf("after %v: left are %v, want %v", step.at, left, step.left)
		}
	}
}

// recordAt begins a store under a clock, records number i there, and ends it two hours later, when nothing is spared any more.
func recordAt(t *testing.T, config Config, now *time.Time, at time.Time, i int) {
	t.Helper()
	*now = at
	s := halted(t, config)
	record := fullRecord(i)
	record.Time = at
	*now = at.Add(2 * time.Hour)
	if err := s.write([]added{{record, nil}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// idsIn gives the ids of all rows of a file, the oldest first.
func idsIn(t *testing.T, path string) (ids []string) {
	t.Helper()
	if err := reader(t, path).Rows(context.Background(), Filter{Oldest: true}, func(row *Row) bool { ids = append(ids, row.ID); return true }); err != nil {
		t.Fatal(err)
	}
	return ids
}

func closedChannel() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// halted opens a store whose writer has ended: the test commits by itself.
func halted(t *testing.T, config Config) *Store {
	t.Helper()
	s, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	close(s.stop)
	<-s.ended
	s.stop, s.ended, s.expired = make(chan struct{}), closedChannel(), time.Time{}
	return s
}
