package history

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatepost.example/policy"
)

// writer gives a store whose writer is the test, and where its file is.
func writer(t *testing.T) (*Store, string) {
	t.Helper()
	s, path, _ := openTest(t, nil)
	close(s.stop)
	<-s.ended
	s.stop, s.ended = make(chan struct{}), closedChannel()
	return s, path
}

// TestNoRowWithoutBlock: a disk that hangs until the time of a transaction is over loses its records whole. A row that got into the file all the same
// would lead to a record of a later block.
func TestNoRowWithoutBlock(t *testing.T) {
	s, path := writer(t)
	if err := s.enter([]added{{fullRecord(1), nil}}); err != nil {
		t.Fatal(err)
	}
	s.writing.cancel()                         // as its timeout does
	time.Sleep(100 * time.Millisecond)         // until package sql may have seen it
	_ = s.write([]added{{fullRecord(2), nil}}) // it says that the time is over
	if err := s.write([]added{{fullRecord(3), nil}}); err != nil {
		t.Fatal(err)
	}
	ids := idsIn(t, path)
	kept, lost := s.Counts()
	if got := strings.Join(ids, " "); got != "AAAA-0003" || kept != 1 || lost != 2 {
		t.Errorf("rows of %q, %d kept, %d lost", got, kept, lost)
	}
}

// TestErrorAmongRows: where one of the rows that are added together cannot be, all records of the transaction are lost, each counted once, and those of
// the next are whole and found.
func TestErrorAmongRows(t *testing.T) {
	s, path := writer(t)
	batch := func(from, to int) (all []added) {
		for n := from; n < to; n++ {
			all = append(all, added{fullRecord(n), nil})
		}
		return all
	}
	for _, at := range []int{0, 5, 15, 16, 37, 39} { // in a full statement, at its ends, among the rest
		if _, err := s.db.Exec(fmt.Sprintf("CREATE TRIGGER wrong BEFORE INSERT ON record WHEN new.id = 'AAAA-%04d' BEGIN SELECT RAISE(ABORT, 'wrong'); END", at)); err != nil {
			t.Fatal(err)
		}
		if err := s.enter(batch(0, 10)); err != nil {
			t.Error(err)
		}
		if err := s.write(batch(10, 40)); err == nil || !strings.Contains(err.Error(), "wrong") {
			t.Errorf("at %d: %v", at, err)
		}
		if _, err := s.db.Exec("DROP TRIGGER wrong"); err != nil {
			t.Fatal(err)
		}
	}
	if kept, lost := s.Counts(); kept != 0 || lost != 6*40 || len(idsIn(t, path)) != 0 {
		t.Errorf("%d kept, %d lost, rows of %q", kept, lost, idsIn(t, path))
	}
	if err := s.write(batch(100, 137)); err != nil {
		t.Fatal(err)
	}
	if kept, lost := s.Counts(); kept != 37 || lost != 6*40 || len(idsIn(t, path)) != 37 {
		t.Errorf("%d kept, %d lost, rows of %q", kept, lost, idsIn(t, path))
	}
	if got := namesFound(t, path, 100, 115, 116, 136, 20); got != "AAAA-0100 AAAA-0115 AAAA-0116 AAAA-0136 " {
		t.Errorf("found by their names: %q", got)
	}
}

// TestTwoWriters: gatepost try --store writes into the history of a daemon that runs. Neither loses a record to the other, and each row leads to its own.
func TestTwoWriters(t *testing.T) {
	daemon, path := writer(t)
	try, err := Open(daemon.config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { try.Close() })
	close(try.stop)
	<-try.ended
	try.stop, try.ended = make(chan struct{}), closedChannel()
	const rounds = 5
	for n := range 2 * rounds {
		if err := []*Store{daemon, try}[n%2].write([]added{{fullRecord(2 * n), nil}, {fullRecord(2*n + 1), nil}}); err != nil {
			t.Error(err)
		}
	}
	if err := try.enter([]added{{fullRecord(4 * rounds), nil}}); err != nil { // and commits in a while
		t.Fatal(err)
	}
	committed := make(chan error)
	time.AfterFunc(200*time.Millisecond, func() { committed <- try.write(nil) })
	if err := daemon.write([]added{{fullRecord(4*rounds + 1), nil}}); err != nil {
		t.Error(err)
	}
	if err := <-committed; err != nil {
		t.Error(err)
	}
	rows, r := 0, reader(t, path)
	if err := r.Rows(context.Background(), Filter{}, func(row *Row) bool {
		rows++
		if got, err := r.Record(context.Background(), row); err != nil || got.ID != row.ID {
			t.Errorf("the row of %s leads to %+v, %v", row.ID, got, err)
		}
		return true
	}); err != nil || rows != 4*rounds+2 {
		t.Errorf("%d of %d records, %v", rows, 4*rounds+2, err)
	}
}

// TestKnownEntriesHoldNoMessage: what a list was asked is a part of a header field, and so is the entry that was found. The writer remembers which
// entries the file has, and nothing else of these.
func TestKnownEntriesHoldNoMessage(t *testing.T) {
	const entries, field = 30, 1 << 20
	s, _ := writer(t)
	before := heap()
	for i := range entries {
		header := strings.Repeat("x", field) + fmt.Sprintf("d%d.example", i)
		p := &Policy{Identity: "0011223344556677-89abcdef", Matches: func(*Record) []Match {
			return []Match{{List: "block", Kind: policy.KindDomain, Text: header[field:]}}
		}}
		if err := s.write([]added{{&Record{ID: fmt.Sprint(i), Time: atStart}, p}}); err != nil {
			t.Fatal(err)
		}
	}
	if held := heap() - before; held > entries*field/4 {
		t.Errorf("%d entries hold %d bytes", entries, held)
	}
	runtime.KeepAlive(s)
}

// heap gives the bytes that are in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
