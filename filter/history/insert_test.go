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
