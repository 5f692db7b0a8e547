package state

import "time"

// age is what a memory knows of its own time: whether what it does not know is new depends on how long it has listened, and a clock may leap.
type age struct {
	born time.Time // when it began
	seen time.Time // when it was last awake
	was  time.Time // born as it was before the last leap; zero without one
}

// leap is how far a memory's time may move between two looks: a machine that was off for so long has forgotten what its neighbours do, and of
// what the memory holds much has expired or is about to.
const leap = 30 * 24 * time.Hour

// on gives the age at a later look. After a leap ahead, of a clock that was set or of a machine that was off for long, the memory begins anew:
// it must not call all those new whom it forgot at once. After a leap back it is as old as nothing. A leap in the other direction takes the last one
// back: it was the clock that was wrong.
func (a age) on(now time.Time) age {
	moved := now.Sub(a.seen)
	a.seen = now
	if moved.Abs() <= leap {
		return a
	}
	wentAhead := a.was.Before(a.born)
	if !a.was.IsZero() && wentAhead == (moved < 0) && !a.was.After(now) {
		a.born, a.was = a.was, time.Time{}
		return a
	}
	a.born, a.was = now, a.born
	return a
}

// leaps reports whether the time has leapt when somebody looks again.
func (a age) leaps(now time.Time) bool { return !a.on(now).born.Equal(a.born) }
