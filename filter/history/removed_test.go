package history

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRemovedWhileOpen: files that somebody removes while they are open, as to make room, or cuts, cost the records of a moment, which are counted; the
// next second has new ones, and nothing holds the room of the old.
func TestRemovedWhileOpen(t *testing.T) {
	for name, spoil := range map[string]func(string) error{
		"removed": os.Remove,
		"cut":     func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			s, path, log := openTest(t, nil)
			add := func(n int) {
				s.Add(fullRecord(n), nil)
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			add(0)
			all, err := filepath.Glob(path + "*")
			if err != nil || len(all) != 3 {
				t.Fatal(all, err)
			}
			for _, file := range all {
				if err := spoil(file); err != nil {
					t.Fatal(err)
				}
			}
			add(1)
			if s := s.Status(); !strings.Contains(s, "the history cannot be written, 1 records are lost") {
				t.Errorf("status %q", s)
			}
			add(2)
			if kept, lost := s.Counts(); kept != 2 || lost != 1 || s.Status() != "" {
				t.Errorf("%d kept, %d lost; %s", kept, lost, s.Status())
			}
			r, err := OpenReader(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := r.Find(t.Context(), fullRecord(2).ID); err != nil {
				t.Error(err)
			}
			if held, _ := filepath.Glob("/proc/self/fd/*"); len(held) > 0 { // where the system tells
				for _, fd := range held {
					if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, path) && strings.HasSuffix(to, " (deleted)") {
						t.Errorf("%s is still held", to)
					}
				}
			}
			if said := log.text(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, "the history is written again") {
				t.Errorf("log:\n%s", said)
			}
		})
	}
}
