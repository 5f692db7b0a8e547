package play

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
)

// kept keeps records as they are handed over.
type kept []*history.Record

func (k *kept) Add(r *history.Record, _ *history.Policy) { *k = append(*k, r) }

// TestEverySessionDecidesTheSameAgain: under the policy that it was decided under, each recorded session gives its decisions again, bit for bit.
func TestEverySessionDecidesTheSameAgain(t *testing.T) {
	records := 0
	err := filepath.WalkDir("../../testdata/sessions", func(path string, _ fs.DirEntry, err error) error {
		if !strings.HasSuffix(path, ".txtar") || err != nil {
			return err
		}
		t.Run(filepath.Base(path), func(t *testing.T) { records += replayCase(t, path) })
		return nil
	})
	if err != nil || records < 80 {
		t.Errorf("%d records, %v", records, err)
	}
}

func replayCase(t *testing.T, path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ReadCase(path, text)
	if err != nil {
		t.Fatal(err)
	}
	load := func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(filepath.Dir(path), name)) }
	var records kept
	policies := Policies{Keep: &records}
	if _, err := policies.Play(c, load, time.Date(2026, 5, 5, 10, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	file, err := policies.of(c, load)
	if err != nil {
		t.Fatal(err)
	}
	given, err := values(c.Name, "memory", c.Memory, file.Vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	if c.Facts != nil {
		if _, err := c.ordinary(file.Vocabulary, given); err != nil {
			t.Fatal(err)
		}
	}
	r := filter.NewReplayer(filter.SettingsOf(file), given, false)
	for _, record := range records {
		got := r.Decide(record)
		if got.Unknown != "" || got.Further || got.Ended || !history.SameLines(got.Lines, record.Lines) {
			t.Errorf("record %s: unknown %q, further %v, ended %v\ngot  %+v\nwant %+v", record.ID, got.Unknown, got.Further, got.Ended, got.Lines, record.Lines)
		}
	}
	return len(records)
}
