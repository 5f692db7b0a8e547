package state

import (
	"testing"
	"time"
)

// suiteRenewal: a session that is renewed goes on beyond the time for which it entered, and counts once; one that is not is gone.
func suiteRenewal(t *testing.T, s *clocked) {
	step := func(op Op, name string, keep time.Duration) Result {
		return s.do(Step{Op: op, Table: "renewal", Key: name, Session: name, Keep: keep})[0]
	}
	step(Enter, "lives", 300*time.Millisecond)
	step(Enter, "dies", 300*time.Millisecond)
	if r := step(Renew, "lives", time.Hour); r.Before.A != 1 || r.Cell.A != 1 || r.Cell.Until.Sub(r.Cell.At) != time.Hour {
		t.Errorf("renewed: %+v", r)
	}
	s.sleep(400 * time.Millisecond)
	if r := step(Read, "lives", 0); r.Cell.A != 1 {
		t.Errorf("who was renewed is gone: %+v", r)
	}
	if r := step(Read, "dies", 0); r.Found {
		t.Errorf("who was not renewed is there: %+v", r)
	}
	if r := step(Leave, "lives", 0); r.Cell.A != 0 {
		t.Errorf("left: %+v", r)
	}
}

func suiteSessions(t *testing.T, s *clocked) {
	enter := func(name string) Step {
		return Step{Op: Enter, Table: "open", Key: "k", Keep: time.Hour, Session: name}
	}
	leave := func(name string) Step { return Step{Op: Leave, Table: "open", Key: "k", Session: name} }
	read := Step{Op: Read, Table: "open", Key: "k"}
	r := s.do(leave("z"), enter("a"), enter("b"), leave("a"), read, enter(""), leave("b"), leave(""), read)
	for i, want := range []struct {
		found         bool
		before, after float64
	}{{false, 0, 0}, {false, 0, 1}, {true, 1, 2}, {true, 2, 1}, {true, 1, 1}, {true, 1, 2}, {true, 2, 1}, {true, 1, 0}, {false, 0, 0}} {
		if r[i].Found != want.found || r[i].Before.A != want.before || r[i].Cell.A != want.after {
			t.Errorf("step %d: %+v, not %+v", i, r[i], want)
		}
	}
	if got := r[2].Cell.Until.Sub(r[2].Cell.At); got != time.Hour || r[2].Cell.First != r[1].Cell.First {
		t.Errorf("%+v", r[2])
	}
}

// suiteAnotherKind: a limit that counted events counts sessions under the same name after a reload, and the reverse; neither number is the other's.
func suiteAnotherKind(t *testing.T, s *clocked) {
	pour := Step{Op: Leak, Table: "limit:x", Key: "k", N: 600, Rate: 1, Burst: 600}
	enter := Step{Op: Enter, Table: "limit:x", Key: "k", Session: "s", Keep: time.Hour}
	leave := Step{Op: Leave, Table: "limit:x", Key: "k", Session: "s"}
	one := pour
	one.N = 1
	r := s.do(pour, enter, leave, pour, leave, one, enter, one)
	for i, want := range map[int]float64{0: 600, 1: 1, 2: 0, 3: 600, 5: 601, 6: 1, 7: 1} {
		near(t, "A after step "+number(float64(i)), r[i].Cell.A, want, 2*s.loose)
	}
}
