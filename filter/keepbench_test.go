package filter

import (
	"io"
	"log/slog"
	"testing"

	"gatepost.example/filter/history"
)

type dropper struct{}

func (dropper) Add(*history.Record, *history.Policy) {}

// BenchmarkSessionKept is generated sessions of the shipped policy with and without a history.
func BenchmarkSessionKept(b *testing.B) {
	for name, keep := range map[string]Keeper{"with": dropper{}, "without": nil} {
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
