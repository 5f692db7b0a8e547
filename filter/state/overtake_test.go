package state

import (
	"context"
	"testing"
	"time"
)

// TestOvertaking: steps whose times come in the wrong order drain nothing twice.
func TestOvertaking(t *testing.T) {
	start := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	e := NewEmbedded(1000, start)
	through := 0
	for i := range 200 {
		at := start.Add(30 * time.Second)
		if i%2 == 0 {
			at = start
		}
		if r := e.Do(context.Background(), at, []Step{{Op: Leak, Table: "t", Key: "k", N: 1, Rate: 0.1, Burst: 5}}, nil); !r[0].Over {
			through++
		}
	}
	if through > 8 { // 5, and 3 that drain in half a minute
		t.Errorf("%d let through, want 8 at most", through)
	}
}
