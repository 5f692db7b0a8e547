package history

import (
	"strings"
	"testing"

	"gatepost.example/filter/state/statetest"
)

// TestOpenedLate: a history whose file is locked at the start loses records, which is counted and said; when the file is free it is written by itself,
// behind what it held.
func TestOpenedLate(t *testing.T) {
	before, path, _ := openTest(t, nil)
	before.Add(fullRecord(0), nil)
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	unlock := statetest.Lock(t, path)
	s, _, log := openTest(t, func(c *Config) { c.Path = path })
	for i := range 40 { // more than are entered at once
		s.Add(fullRecord(100+i), nil)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if kept, lost := s.Counts(); kept != 0 || lost != 40 || !strings.Contains(s.Status(), "40 records are lost") || !strings.Contains(s.Status(), "locked") {
		t.Errorf("%d kept, %d lost; %s", kept, lost, s.Status())
	}
	unlock()
	if err := s.Flush(t.Context()); err != nil || s.Status() != "" {
		t.Errorf("%v; without a new record: %s", err, s.Status())
	}
	s.Add(fullRecord(1), nil)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if kept, lost := s.Counts(); kept != 1 || lost != 40 || s.Status() != "" {
		t.Errorf("%d kept, %d lost; %s", kept, lost, s.Status())
	}
	r, err := OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range 2 {
		if _, err := r.Find(t.Context(), fullRecord(i).ID); err != nil {
			t.Error(err)
		}
	}
	if said := log.text(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "the history is written again") {
		t.Errorf("log:\n%s", said)
	}
}
