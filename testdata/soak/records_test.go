package soak

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/history"
)

// wantedRecords is how many records the day is to grow to before it is replayed once more; 0 where GATEPOST_RECORDS does not ask for it.
func wantedRecords(t *testing.T) int {
	text := os.Getenv("GATEPOST_RECORDS")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("GATEPOST_RECORDS: %q is no number", text)
	}
	return n
}

// replayMany has a daemon's history hold many records, those that it has again and again with other ids at other times, and decides them again under
// the policy that was in force. How long that takes is printed.
func replayMany(t *testing.T, d *Daemon, wanted int) {
	state := filepath.Join(d.Dir, "state")
	all := wholeRecords(t, state)
	began := time.Now()
	store, err := history.Open(history.Config{
		Path: filepath.Join(state, "history.db"), Keep: 365 * 24 * time.Hour, Size: 1 << 40, Now: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	const waiting = 4000 // fewer than the store lets wait
	for i := range max(0, wanted-len(all)) {
		r := *all[i%len(all)]
		earlier := time.Duration(1+i/len(all)) * time.Minute
		r.ID, r.Conn, r.Time, r.ConnTime = fmt.Sprintf("%05X-%04X", i>>16, i&0xffff), fmt.Sprintf("C%04X-%04X", i>>16, i&0xffff), r.Time.Add(-earlier), r.ConnTime.Add(-earlier)
		for kept, lost := store.Counts(); i-int(kept+lost) > waiting; kept, lost = store.Counts() {
			time.Sleep(10 * time.Millisecond)
		}
		store.Add(&r, nil)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, lost := store.Counts(); lost > 0 {
		t.Fatalf("%d records were lost", lost)
	}
	t.Logf("%d records written in %s", wanted, time.Since(began).Round(time.Second))
	out, status := d.Command("replay", "--since", "60d", "--directory", state)
	t.Logf("under the policy that was in force:\n%s", out)
	if status != 0 || !strings.Contains(out, fmt.Sprintf("\n%d the same, 0 changed, 0 would go further, 0 unknown", max(wanted, len(all)))) {
		t.Errorf("exit status %d", status)
	}
}

// wholeRecords gives the records of a history with their findings.
func wholeRecords(t *testing.T, state string) (all []*history.Record) {
	t.Helper()
	r, err := history.OpenReader(filepath.Join(state, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rows []history.Row
	if err := r.Rows(context.Background(), history.Filter{Oldest: true}, func(row *history.Row) bool { rows = append(rows, *row); return true }); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		one, err := r.Record(context.Background(), &rows[i])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	return all
}
