package state

import (
	"math"
	"time"
)

// joined gives one cell of two of one key: this one, which an operation made without knowledge of the earlier one. Both count, as if they had been one all
// the time: the earlier one drains or decays until this one's time, as fast as its end tells.
func (c Cell) joined(earlier Cell, op Op) Cell {
	passed, whole := c.At.Sub(earlier.At), earlier.Until.Sub(earlier.At)
	switch op {
	case Leak:
		whole -= drainedFor
		left := part01(1 - passed.Seconds()/whole.Seconds())
		earlier.A *= left
		if c.Over {
			c.A = math.Max(c.A, earlier.A) // refused events add nothing
		} else {
			c.A += earlier.A
			c.Until = c.Until.Add(time.Duration(left * float64(whole))) // one drains after the other
		}
	case Weigh:
		left := part01(math.Exp2(-passed.Seconds() / (whole.Seconds() / keptHalfLives)))
		c.A, c.B = c.A+earlier.A*left, c.B+earlier.B*left
	default:
		c.A, c.At = c.A+earlier.A, last(earlier.At, c.At)
	}
	c.First, c.Until = first(earlier.First, c.First), last(earlier.Until, c.Until)
	c.Mark = c.Mark || earlier.Mark
	c.Over = c.Over || c.Mark
	return c
}

// part01 bounds a part of a whole: of a clock that was set back, or of no time at all, there is none that says anything.
func part01(x float64) float64 {
	if x >= 0 {
		return math.Min(x, 1)
	}
	return 0
}

func first(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func last(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
