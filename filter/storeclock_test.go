package filter

import (
	"context"
	"testing"
	"time"

	"gatepost.example/filter/state"
)

// elsewhere is a memory on a machine whose clock is ahead.
type elsewhere struct {
	state.Store
	ahead time.Duration
}

func (e elsewhere) Do(ctx context.Context, now time.Time, steps []state.Step, out []state.Result) []state.Result {
	return e.Store.Do(ctx, now.Add(e.ahead), steps, out)
}

// TestClockOfTheStore: what a shared memory holds is judged by its clock, however far that of this machine is from it.
func TestClockOfTheStore(t *testing.T) {
	for _, ahead := range []time.Duration{0, time.Hour, -time.Hour, 100 * 24 * time.Hour} {
		s := newSite(t, `[[limit]]
name = "harvest"
count = "unknown_recipients"
per = ["client.ip"]
rate = "2/10m"
[[rule]]
name = "harvest"
when = 'over.harvest'
reply = "450 4.7.0 Too many unknown recipients; try again in {over.harvest.retry}"
[[rule]]
name = "grey"
when = 'client.ip == "192.0.2.2"'
action = "greylist"
`)
		s.server.store = elsewhere{s.store, ahead}
		s.want(s.visit("192.0.2.2", "", "u@example.net"), "451 rcpt", "a first try")
		s.want(s.visit("192.0.2.1", "", "?x@example.net", "?y@example.net"), "0", "two that do not exist")
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "450 rcpt", "a third may be one too many")
		s.now = s.now.Add(4 * time.Minute)
		s.want(s.visit("192.0.2.2", "", "u@example.net"), "451 rcpt", "too early")
		s.now = s.now.Add(2 * time.Minute)
		s.want(s.visit("192.0.2.2", "", "u@example.net"), "0", "back in time")
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "drained")
		s.now = s.now.Add(20 * time.Minute)
		s.want(s.visit("192.0.2.2", "", "u@example.net"), "0", "known")
	}
}
