package filter

import (
	"io"
	"log/slog"
	"testing"

	"gatepost.example/filter/history"
)

type dropper struct{}

func (dropper) Add(*history.Record, *history.Policy) {}

// sparing lends out one record again and again, as a store whose writer is quick.
type sparing struct {
	dropper
	one *history.Record
}

func (s sparing) Spare() *history.Record {
	s.one.Recipients, s.one.Outcomes, s.one.Readings, s.one.Lines = s.one.Recipients[:0], s.one.Outcomes[:0], s.one.Readings[:0], s.one.Lines[:0]
	return s.one
}

// BenchmarkSessionKept is generated sessions of the shipped policy with and without a history.
func BenchmarkSessionKept(b *testing.B) {
	for name, keep := range map[string]Keeper{"with": sparing{one: &history.Record{}}, "without": nil} {
		b.Run(name, func(b *testing.B) {
			g := newGenerator(b, recordedPolicies(b)["shipped enforcing"], 1, keep)
			before := processorTime()
			b.ReportAllocs()
			for b.Loop() {
				g.session()
			}
			b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// TestLinesLeaveNothing: the room that lines of the log share holds nothing of the message before.
func TestLinesLeaveNothing(t *testing.T) {
	g := newGenerator(t, recordedPolicies(t)["shipped enforcing"], 1, nil)
	g.server.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	for range 50 {
		g.session()
	}
	for range 50 {
		room := g.server.attrs.Get().(*[]slog.Attr)
		for _, a := range (*room)[:cap(*room)] {
			if a.Key != "" || !a.Equal(slog.Attr{}) {
				t.Fatalf("%v is left", a)
			}
		}
	}
}
