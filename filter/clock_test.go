package filter

import (
	"testing"
	"time"
)

// leaps are what happens to clocks. Summer time and leap seconds do not happen to ours, which count seconds: somebody who sets a clock by hand, and a
// machine that repeats a second or leaves one out, make them leaps like these.
var leaps = map[string]time.Duration{
	"three months ahead": 90 * 24 * time.Hour, "three months back": -90 * 24 * time.Hour, "back to 1970": -56 * 365 * 24 * time.Hour, "ten years ahead": 3650 * 24 * time.Hour,
	"an hour ahead, for summer time": time.Hour, "an hour back, for winter": -time.Hour, "a leap second": -time.Second, "a second left out": time.Second, "none": 0,
}

// TestLimitsAfterAClockLeapt: wherever the clock leaps, and when it is set right again, nobody gets more at once than the burst, and who is over gets on
// when it has waited as long as it was told.
func TestLimitsAfterAClockLeapt(t *testing.T) {
	for name, leap := range leaps {
		s := newSite(t, threeMessages)
		for range 3 {
			s.visit("192.0.2.1", "", "u@example.net")
		}
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "421 rcpt", "over")
		for _, to := range []time.Duration{leap, -leap} {
			s.now = s.now.Add(to)
			taken := 0
			for range 10 {
				if s.visit("192.0.2.1", "", "u@example.net") == "0" {
					taken++
				}
			}
			if taken > 3 {
				t.Errorf("%s: %d messages taken at once after a leap of %v", name, taken, to)
			}
			s.now = s.now.Add(41 * time.Minute)
			s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", name+": when it has waited")
		}
	}
}

// TestSessionsAfterAClockLeapt: open sessions count as long as they are open, and no longer. A leap ahead that is longer than a lease forgets them: a
// client may have its number once more, and when those are closed that count it holds to it again.
func TestSessionsAfterAClockLeapt(t *testing.T) {
	for name, leap := range leaps {
		s := newSite(t, "[[limit]]\nname = \"open\"\ncount = \"sessions\"\nper = [\"client.ip\"]\nat_most = 2\n"+
			"[[rule]]\nname = \"crowd\"\nwhen = 'over.open'\nreply = \"421 4.7.0 Too many\"\nat_once = true\n")
		var open []*Session
		enter := func() (let bool) {
			session, r := s.open("192.0.2.1")
			if r.Verb == Refuse {
				session.Close()
				return false
			}
			open = append(open, session)
			return true
		}
		for enter() {
		}
		s.now = s.now.Add(leap)
		s.server.renewLeases(t.Context()) // as every minute
		for enter() {
		}
		if most := 2; len(open) > most && (leap <= 5*time.Minute || len(open) > 2*most) {
			t.Errorf("%s: %d sessions are open, at most %d may be", name, len(open), most)
		}
		for _, session := range open {
			session.Close()
		}
		open = nil
		for enter() {
		}
		if len(open) != 2 {
			t.Errorf("%s: %d sessions were let in when all were closed", name, len(open))
		}
	}
}

// TestGreylistAfterAClockLeapt: a sender that comes back gets in, within two tries of the delay, wherever the clock went between.
func TestGreylistAfterAClockLeapt(t *testing.T) {
	for name, leap := range leaps {
		s := newSite(t, "[[rule]]\nname = \"later\"\nwhen = 'true'\naction = \"greylist\"\n")
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "451 rcpt", name+": at first")
		s.now = s.now.Add(leap)
		got := ""
		for range 2 {
			s.now = s.now.Add(10 * time.Minute)
			if got = s.visit("192.0.2.1", "", "u@example.net"); got == "0" {
				break
			}
		}
		s.want(got, "0", name+": when it came back")
		s.now = s.now.Add(-leap)
		s.now = s.now.Add(10 * time.Minute)
		if got = s.visit("192.0.2.1", "", "u@example.net"); got != "0" {
			s.now = s.now.Add(10 * time.Minute)
			s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", name+": when the clock is right again")
		}
	}
}

// TestReputationAfterAClockLeapt: who was bad is bad after a leap, unless what is known of it has lost its weight by then, and who is unknown is
// never taken for bad.
func TestReputationAfterAClockLeapt(t *testing.T) {
	const policy = `
[[rule]]
name = "bad"
when = 'client.reputation == "bad"'
reply = "550 5.7.1 Bad"
[[rule]]
name = "new"
when = 'client.reputation == "new" && memory.settled'
reply = "450 4.7.1 New"
`
	for name, leap := range leaps {
		s := newSite(t, policy)
		for range 20 {
			s.visit("192.0.2.1", "", "?a@example.net", "?b@example.net", "?c@example.net", "?d@example.net", "?e@example.net")
		}
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "550 rcpt", name+": a guesser")
		s.now = s.now.Add(leap)
		if got := s.visit("192.0.2.1", "", "u@example.net"); got != "550 rcpt" && leap < 80*24*time.Hour {
			t.Errorf("%s: the guesser got %s", name, got)
		}
		if got := s.visit("203.0.113.7", "", "u@example.net"); got != "0" && leap < 80*24*time.Hour {
			t.Errorf("%s: somebody unknown got %s", name, got)
		}
	}
}
