package filter

import (
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
