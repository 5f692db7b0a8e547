package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"gatepost.example/filter/state"
)

// earlierVersion makes of a history what an earlier version wrote: three indexes, and no sums of names.
const earlierVersion = `
DROP TRIGGER block_gone; DROP TABLE name;
CREATE INDEX record_id ON record (id);
CREATE INDEX record_queue ON record (queue) WHERE queue <> '';
CREATE INDEX record_message ON record (message) WHERE message <> '';`

// change runs SQL on the history of a store that is closed.
func change(t *testing.T, c Config, sql string) {
	t.Helper()
	db, err := state.Database{Path: c.Path, What: "history", Shrinks: true}.Open(c.Now(), c.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(sql); err != nil {
		t.Fatal(err)
	}
}

// namesFound reports which of the records with these numbers are found, each by all of its names.
func namesFound(t *testing.T, path string, numbers ...int) string {
	t.Helper()
	r, found := reader(t, path), []string{}
	for _, n := range numbers {
		ids := map[string]bool{}
		for _, name := range []string{fmt.Sprintf("AAAA-%04d", n), fmt.Sprintf("4fQ%04d", n), fmt.Sprintf("<m%d@example.org>", n)} {
			row, err := r.Find(context.Background(), name)
			if err != nil && !errors.Is(err, ErrNone) {
				t.Fatal(err)
			}
			if row != nil {
				ids[row.ID] = true
			} else {
				ids[""] = true
			}
		}
		for id := range ids {
			found = append(found, id)
		}
	}
	return strings.Join(found, " ")
}

// TestHistoryOfAnEarlierVersion: what a version wrote that had indexes of the names is found by its names, before and after this one wrote into it, and
// once more after the earlier one came back for a while.
func TestHistoryOfAnEarlierVersion(t *testing.T) {
	s, path, _ := openTest(t, nil)
	add := func(s *Store, from, to int) {
		for n := from; n < to; n++ {
			s.Add(fullRecord(n), nil)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	again := func() *Store {
		s, err := Open(s.config)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	add(s, 0, 600)
	change(t, s.config, earlierVersion)
	if got := namesFound(t, path, 0, 300, 599, 600); got != "AAAA-0000 AAAA-0300 AAAA-0599 " {
		t.Errorf("as it was: %q", got)
	}
	add(again(), 600, 610)
	if got := namesFound(t, path, 0, 300, 599, 600, 610); got != "AAAA-0000 AAAA-0300 AAAA-0599 AAAA-0600 " {
		t.Errorf("written by this version: %q", got)
	}
	add(again(), 610, 620)
	change(t, s.config, "DELETE FROM name WHERE row > 600; CREATE INDEX record_id ON record (id)") // the earlier version knows no names
	add(again(), 620, 630)
	if got := namesFound(t, path, 0, 599, 605, 615, 625, 630); got != "AAAA-0000 AAAA-0599 AAAA-0605 AAAA-0615 AAAA-0625 " {
		t.Errorf("after the earlier version: %q", got)
	}
	var indexes, blocks int
	if err := reader(t, path).db.QueryRow("SELECT (SELECT count(*) FROM sqlite_master WHERE name LIKE 'record/_%' ESCAPE '/'), (SELECT count(*) FROM name)").Scan(&indexes, &blocks); err != nil || indexes != 0 || blocks != 6 {
		t.Errorf("%d indexes, %d blocks with sums, %v", indexes, blocks, err)
	}
}

// TestTakeoverWithoutRoom: where there is no room for the sums of what an earlier version wrote, the history is written all the same, which the status
// and the log say, and all is found by its names; the next start takes over what is left.
func TestTakeoverWithoutRoom(t *testing.T) {
	s, path, log := openTest(t, nil)
	for n := range 600 {
		s.Add(fullRecord(n), nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, s.config, `DELETE FROM name WHERE block < 3; CREATE INDEX record_id ON record (id);
CREATE TRIGGER no_room BEFORE INSERT ON name WHEN new.block = 2 BEGIN SELECT RAISE(ABORT, 'no room'); END;`)
	again, err := Open(s.config)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Flush(context.Background()); err != nil { // nothing, behind the takeover
		t.Fatal(err)
	}
	if got := again.Status(); !strings.Contains(got, "no room") || !strings.Contains(log.text(), "cannot be taken over") {
		t.Errorf("status %q, log %s", got, log.text())
	}
	again.Add(fullRecord(600), nil)
	if err := again.Close(); err != nil || again.Status() != "" {
		t.Errorf("%v, status %q", err, again.Status())
	}
	const all = "AAAA-0000 AAAA-0300 AAAA-0599 AAAA-0600 "
	if got := namesFound(t, path, 0, 300, 599, 600, 601); got != all {
		t.Errorf("without room: %q", got)
	}
	change(t, s.config, "DROP TRIGGER no_room")
	if again, err = Open(s.config); err != nil || again.Close() != nil || again.Status() != "" {
		t.Fatal(err)
	}
	if has, err := hasSums(reader(t, path).db); err != nil || !has {
		t.Errorf("with room: sums %v, %v", has, err)
	}
	if got := namesFound(t, path, 0, 300, 599, 600, 601); got != all {
		t.Errorf("with room: %q", got)
	}
}

// TestEarlierVersionGoesOn: the daemon of an earlier version that still runs, as an upgrade may leave it, adds records to a block that has sums by now, as
// of gatepost try --store; they are found, and the next start gives them theirs.
func TestEarlierVersionGoesOn(t *testing.T) {
	s, path, _ := openTest(t, nil)
	for n := range 300 {
		s.Add(fullRecord(n), nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, s.config, fmt.Sprintf("UPDATE name SET sums = substr(sums, 1, %d) WHERE block = 2", 10*recordSums))
	const all = "AAAA-0000 AAAA-0260 AAAA-0299 "
	for _, when := range []string{"before the next start", "after it"} {
		if got := namesFound(t, path, 0, 260, 299, 300); got != all {
			t.Errorf("%s: %q", when, got)
		}
		if again, err := Open(s.config); err != nil || again.Close() != nil {
			t.Fatal(err)
		}
	}
	if has, err := hasSums(reader(t, path).db); err != nil || !has {
		t.Errorf("sums %v, %v", has, err)
	}
}

// TestNamesGoWithTheirBlock: a block that is deleted leaves no sums.
func TestNamesGoWithTheirBlock(t *testing.T) {
	s, path, _ := openTest(t, nil)
	for n := range 600 {
		s.Add(fullRecord(n), nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, s.config, "DELETE FROM block WHERE id = 1")
	var left int
	if err := reader(t, path).db.QueryRow("SELECT count(*) FROM name").Scan(&left); err != nil || left != 2 {
		t.Errorf("of three blocks the sums of %d are left, %v", left, err)
	}
}

// TestNewestOfANameFirst: a name that many records have stands for the newest, and names some others; also names that only have the same sum.
func TestNewestOfANameFirst(t *testing.T) {
	s, path, _ := openTest(t, nil)
	twin := sameSum(t, "m1@example.org")
	for n := range 600 {
		r := fullRecord(n)
		r.Message.MessageID = "m1@example.org"
		if n%2 == 1 {
			r.Message.MessageID = twin
		}
		s.Add(r, nil)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	r, ctx := reader(t, path), context.Background()
	row, err := r.Find(ctx, "m1@example.org")
	if err != nil || row.ID != "AAAA-0598" {
		t.Fatalf("%+v, %v", row, err)
	}
	others, err := r.Namesakes(ctx, row, "<m1@example.org>")
	if got := strings.Join(others, " "); err != nil || got != "AAAA-0596 AAAA-0594 AAAA-0592 AAAA-0590 AAAA-0588" {
		t.Errorf("others: %q, %v", got, err)
	}
}

// sameSum gives another name with the sum of a name.
func sameSum(t *testing.T, name string) string {
	t.Helper()
	for n := range 1_000_000 {
		if other := fmt.Sprintf("other%d@example.net", n); sumOf(other) == sumOf(name) {
			return other
		}
	}
	t.Fatal("there is none")
	return ""
}
