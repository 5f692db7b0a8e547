package greylist_test

import (
	"context"
	"testing"
	"time"

	"gatepost.example/filter/greylist"
	"gatepost.example/filter/state"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

var rules = greylist.Rules{Delay: 5 * time.Minute, Window: day, MaxAge: 36 * day}

// visit gives how long a sender is to wait who comes at a time.
func visit(s state.Store, key string, at time.Time) time.Duration {
	wait, remember := rules.Judge(key, s.Do(context.Background(), at, []state.Step{greylist.Look(key)}, nil)[0], at)
	s.Do(context.Background(), at, remember, nil)
	return wait
}

// TestVisits: each case is one sender that comes again and again.
func TestVisits(t *testing.T) {
	type step struct{ after, want time.Duration } // after noon
	for name, steps := range map[string][]step{
		"comes back in time":        {{0, 5 * time.Minute}, {10 * time.Minute, 0}, {11 * time.Minute, 0}},
		"exactly as it was told":    {{0, 5 * time.Minute}, {5 * time.Minute, 0}},
		"too early waits the rest":  {{0, 5 * time.Minute}, {time.Minute, 4 * time.Minute}, {4 * time.Minute, time.Minute}, {5 * time.Minute, 0}},
		"at the end of the window":  {{0, 5 * time.Minute}, {day, 0}},
		"too late starts again":     {{0, 5 * time.Minute}, {day + time.Second, 5 * time.Minute}, {day + 6*time.Minute, 0}},
		"a clock set back by hours": {{0, 5 * time.Minute}, {-10 * time.Hour, 5 * time.Minute}, {-10*time.Hour + 6*time.Minute, 0}},
		"a clock set back a little": {{0, 5 * time.Minute}, {-time.Minute, 6 * time.Minute}, {6 * time.Minute, 0}},
		"early does not count as late": {
			{0, 5 * time.Minute}, {time.Minute, 4 * time.Minute}, {day + time.Second, 5 * time.Minute},
		},
		"known for max_age":       {{0, 5 * time.Minute}, {time.Hour, 0}, {36 * day, 0}, {70 * day, 0}, {107 * day, 5 * time.Minute}},
		"a retry before it knows": {{0, 5 * time.Minute}, {time.Hour, 0}, {37*day + 2*time.Hour, 5 * time.Minute}},
	} {
		s := state.NewEmbedded(1000, noon)
		key := greylist.Key("192.0.2.0/24", "", "a@example.org", "u@example.net")
		for _, step := range steps {
			if got := visit(s, key, noon.Add(step.after)); got != step.want {
				t.Errorf("%s: after %s it is to wait %s, want %s", name, step.after, got, step.want)
			}
		}
	}
}

// TestTwoFirstTries: a sender that tries twice at one moment, over two connections, waits as others do.
func TestTwoFirstTries(t *testing.T) {
	s, key := state.NewEmbedded(1000, noon), greylist.Key("192.0.2.0/24", "", "a@example.org", "u@example.net")
	look := func() state.Result {
		return s.Do(context.Background(), noon, []state.Step{greylist.Look(key)}, nil)[0]
	}
	for _, seen := range []state.Result{look(), look()} {
		_, remember := rules.Judge(key, seen, noon)
		s.Do(context.Background(), noon, remember, nil)
	}
	for _, step := range []struct{ after, want time.Duration }{{time.Second, 5*time.Minute - time.Second}, {5 * time.Minute, 0}, {36 * day, 0}} {
		if got := visit(s, key, noon.Add(step.after)); got != step.want {
			t.Errorf("after %s it is to wait %s, want %s", step.after, got, step.want)
		}
	}
}

// TestKey: another machine is the same sender where SPF passes for the same domain, or in the same network.
func TestKey(t *testing.T) {
	key := greylist.Key
	if key("192.0.2.0/24", "example.org", "a@example.org", "u@x.test") != key("198.51.100.0/24", "example.org", "A@example.org", "u@X.test") {
		t.Error("another machine of the domain is a stranger")
	}
	seen := map[string]bool{}
	for _, k := range []string{
		key("192.0.2.0/24", "", "a@example.org", "u@x.test"), key("198.51.100.0/24", "", "a@example.org", "u@x.test"),
		key("192.0.2.0/24", "", "b@example.org", "u@x.test"), key("192.0.2.0/24", "", "a@example.org", "v@x.test"),
		key("192.0.2.0/24", "example.org", "a@example.org", "u@x.test"),
	} {
		if seen[k] {
			t.Errorf("%s stands for two", k)
		}
		seen[k] = true
	}
}

// FuzzVisits: nobody gets through at a first try, nor less than the delay after it; and who does as told does get through.
func FuzzVisits(f *testing.F) {
	f.Add([]byte{0, 1, 2, 10, 200, 255})
	f.Fuzz(func(t *testing.T, gaps []byte) {
		s, at, key := state.NewEmbedded(1000, noon), noon, "k"
		visit(s, key, at)
		for _, gap := range gaps {
			at = at.Add(time.Duration(gap) * 10 * time.Second)
			if early := at.Sub(noon) < rules.Delay; early != (visit(s, key, at) > 0) {
				t.Fatalf("%s after the first try: early is %v", at.Sub(noon), early)
			}
			if at.Sub(noon) > rules.Window {
				return
			}
		}
	})
}
