package filter

import (
	"context"
	"time"
)

// Written is that one of our users wrote to somebody, as a folder with sent mail tells.
type Written struct {
	To string    `json:"to"`
	At time.Time `json:"at"`
}

// LearnWritten makes those whom our users wrote to correspondents, as if they had written through us. It gives how many it took: what is longer
// ago than [reputation] correspondent says nothing any more.
func (s *Server) LearnWritten(ctx context.Context, all []Written) int {
	rules, learned := s.settings.Load().Correspondents, 0
	for _, w := range all {
		if s.now().Sub(w.At) < rules.Keep {
			s.store.Do(ctx, w.At, rules.Wrote("", w.To), nil)
			learned++
		}
	}
	return learned
}
