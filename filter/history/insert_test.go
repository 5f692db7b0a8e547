package history

import (
	"context"
	"strings"
	"testing"
	"time"
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
	s.writing.cancel() // as its timeout does
	for range 100 {    // until package sql may have seen it
		time.Sleep(time.Millisecond)
	}
	_ = s.write([]added{{fullRecord(2), nil}}) // it says that the time is over
	if err := s.write([]added{{fullRecord(3), nil}}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	if err := reader(t, path).Rows(context.Background(), Filter{Oldest: true}, func(r *Row) bool { ids = append(ids, r.ID); return true }); err != nil {
		t.Fatal(err)
	}
	kept, lost := s.Counts()
	if got := strings.Join(ids, " "); got != "AAAA-0003" || kept != 1 || lost != 2 {
		t.Errorf("rows of %q, %d kept, %d lost", got, kept, lost)
	}
}
