package limit_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/state"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// twenty lets 20 events come at once and 20 an hour after that, whatever the band.
func twenty() *limit.Limit {
	l := &limit.Limit{Name: "twenty"}
	for i := range limit.Bands {
		l.Rate[i], l.Burst[i] = 20.0/3600, 20
	}
	return l
}

func pour(s state.Store, l *limit.Limit, n float64, at time.Time) limit.Verdict {
	return l.Counted(s.Do(context.Background(), at, []state.Step{l.Pour("k", 0, n)}, nil)[0], 0, n)
}

func look(s state.Store, l *limit.Limit, at time.Time) limit.Verdict {
	return l.Read(s.Do(context.Background(), at, []state.Step{l.Look("k")}, nil)[0], 0, 1, at)
}

// TestTwentyAtOnceThenTwentyAnHour: what "20/1h" means by the contract of policy.toml.
func TestTwentyAtOnceThenTwentyAnHour(t *testing.T) {
	s, l := state.NewEmbedded(1000, noon), twenty()
	for i := range 20 {
		if v := pour(s, l, 1, noon); v.Over {
			t.Fatalf("event %d exceeds", i+1)
		}
	}
	if v := look(s, l, noon); !v.Over || v.Retry != 3*time.Minute {
		t.Errorf("the 21st: %+v, want over, and room in 3 minutes", v)
	}
	for range 500 { // a storm of retries
		if v := pour(s, l, 1, noon); !v.Over {
			t.Fatal("let through")
		}
	}
	if v := look(s, l, noon.Add(6*time.Minute)); v.Over {
		t.Errorf("6 minutes after the storm: %+v; a storm costs one event", v)
	}
	for minutes := 6; minutes < 66; minutes += 4 { // slower than it drains, one in three minutes
		if pour(s, l, 1, noon.Add(time.Duration(minutes)*time.Minute)).Over {
			t.Errorf("minute %d: refused", minutes)
		}
	}
}

// TestClock: a clock that goes back neither opens nor locks a limit.
func TestClock(t *testing.T) {
	s, l := state.NewEmbedded(1000, noon), twenty()
	for range 20 {
		pour(s, l, 1, noon)
	}
	if v := look(s, l, noon.Add(-24*time.Hour)); !v.Over {
		t.Error("a clock set back opens the limit")
	}
	pour(s, l, 1, noon.Add(-24*time.Hour))
	if v := look(s, l, noon.Add(-24*time.Hour+10*time.Minute)); v.Over {
		t.Error("a clock set back locks the limit")
	}
}

func TestLatch(t *testing.T) {
	s, l := state.NewEmbedded(1000, noon), twenty()
	l.Latch = true
	for range 20 {
		pour(s, l, 1, noon)
	}
	if v := look(s, l, noon.Add(300*24*time.Hour)); v.Over {
		t.Error("latched without being over")
	}
	for range 21 {
		pour(s, l, 1, noon.Add(24*time.Hour))
	}
	if v := look(s, l, noon.Add(60*24*time.Hour)); !v.Over || v.Retry != 0 {
		t.Errorf("%+v: once over, over until reset", v)
	}
	s.Do(context.Background(), noon, []state.Step{{Op: state.Clear, Table: limit.Table("twenty"), Key: "k"}}, nil)
	if v := look(s, l, noon.Add(60*24*time.Hour)); v.Over {
		t.Error("a reset does not help")
	}
}

// TestSessions: open sessions are counted up and down.
func TestSessions(t *testing.T) {
	s, l := state.NewEmbedded(1000, noon), &limit.Limit{Name: "open", AtMost: 2}
	enter := func(id string) bool {
		return l.Counted(s.Do(context.Background(), noon, []state.Step{l.Enter("k", id)}, nil)[0], 0, 1).Over
	}
	if enter("a") || enter("b") || !enter("c") {
		t.Error("two sessions fit, the third does not")
	}
	s.Do(context.Background(), noon, []state.Step{l.Leave("k", "c"), l.Leave("k", "a")}, nil)
	if enter("d") || !enter("e") {
		t.Error("a session that left makes room for one")
	}
}

func TestBands(t *testing.T) {
	for _, test := range []struct {
		word    string
		settled bool
		want    int
	}{
		{"good", true, 0}, {"neutral", true, 1}, {"new", true, 2}, {"poor", true, 3}, {"bad", true, 4},
		{"new", false, 1}, {"bad", false, 4}, {"", true, 2}, {"", false, 1},
	} {
		if got := limit.Band(test.word, test.settled); got != test.want {
			t.Errorf("%s, settled %v: %d, want %d", test.word, test.settled, got, test.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for ip, want := range map[string]string{"192.0.2.1": "192.0.2.1", "2001:db8:0:1:2::3": "2001:db8:0:1::/64", "2001:db8::/56": "2001:db8::/56", "": "", "alice": "alice"} {
		if got := limit.Host(ip); got != want {
			t.Errorf("%q stands as %q in keys, want %q", ip, got, want)
		}
	}
	if got := limit.Key([]string{"Alice", "192.0.2.0/24"}); got != "alice|192.0.2.0/24" {
		t.Error(got)
	}
	if limit.Key([]string{"a|b", "c"}) == limit.Key([]string{"a", "b|c"}) || limit.Key([]string{"a%7cb", "c"}) == limit.Key([]string{"a|b", "c"}) {
		t.Error("a sender may write another's key")
	}
	if got := limit.Key([]string{"", "192.0.2.0/24"}); got != "" {
		t.Errorf("%q: without a user there is nobody to count", got)
	}
	for key, want := range map[string]string{
		"192.0.2.0/24": "192.0.0.0/16", "192.0.0.0/16": "192.0.0.0/8", "192.0.0.0/8": "*", "192.0.2.1": "192.0.2.0/24",
		"2001:db8::/56": "2001:db8::/48", "2001:db8::1": "2001:db8::/56", "alice": "*", "alice|192.0.2.0/24": "*",
	} {
		if got := limit.Wider(key); got != want {
			t.Errorf("%s: %s, want %s", key, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "", time.Second: "1s", 90 * time.Second: "90s", 3 * time.Minute: "3m", 179 * time.Second: "3m", 5 * time.Hour: "5h"} {
		if got := limit.Text(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// FuzzLimit: however events come, no more are let through than burst plus what drains.
func FuzzLimit(f *testing.F) {
	f.Add([]byte{1, 2, 3, 200, 0, 0, 0}, uint8(5))
	f.Fuzz(func(t *testing.T, gaps []byte, burst uint8) {
		if burst == 0 || len(gaps) > 2000 {
			return
		}
		l := &limit.Limit{Name: "f"}
		l.Rate[0], l.Burst[0] = 0.5, float64(burst)
		s, at, through := state.NewEmbedded(1000, noon), noon, 0
		for _, gap := range gaps {
			at = at.Add(time.Duration(gap) * time.Second)
			if !pour(s, l, 1, at).Over {
				through++
			}
		}
		if most := float64(burst) + at.Sub(noon).Seconds()*0.5; float64(through) > most+1e-6 {
			t.Errorf("%d of %d let through, at most %v may", through, len(gaps), most)
		}
	})
}

func BenchmarkPour(b *testing.B) {
	s, l := state.NewEmbedded(1_000_000, noon), twenty()
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("10.%d.%d.0/24", i/256, i%256)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Do(context.Background(), noon, []state.Step{l.Pour(keys[i%len(keys)], 0, 1)}, nil)
	}
}
