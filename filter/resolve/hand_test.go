package resolve

import (
	"context"
	"testing"
)

// brokenResolver is a resolver that panics.
type brokenResolver struct{}

func (brokenResolver) Lookup(context.Context, string, Type) *Answer { panic("broken") }

// TestAllPanicsWhereItIsWaitedFor: of questions asked at once, a panic is the caller's, who makes a finding of it; on a goroutine without an
// owner it would end the program.
func TestAllPanicsWhereItIsWaitedFor(t *testing.T) {
	defer func() {
		if reason := recover(); reason != "broken" {
			t.Errorf("the caller saw %v", reason)
		}
	}()
	var g Group
	g.Go(func() { All(context.Background(), brokenResolver{}, []string{"a.example"}, TXT) })
	g.Wait()
}
