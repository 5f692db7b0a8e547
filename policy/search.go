package policy

import "slices"

// constraint demands that a formula comes to one of some outcomes, perhaps with some variables set otherwise than the rest sees them.
type constraint struct {
	f     *formula
	allow outcomes
	force map[int]int16
}

func matches(f *formula) constraint { return constraint{f: f, allow: canBeTrue} }

func misses(f *formula) constraint { return constraint{f: f, allow: noMatch} }

// answer is what a search comes to.
type answer uint8

const (
	impossible answer = iota // no values fulfill the constraints: proven
	possible                 // some do, as far as the analysis sees
	undecided                // the search was given up
)

// Bounds on the work of an analysis, in steps of formulas looked at.
const (
	maxSteps    = 200_000    // of one question
	maxAllSteps = 20_000_000 // of all questions of one analysis
)

// search looks for values of variables that fulfill constraints: it sets a variable that an undecided constraint needs, each value in
// turn, and goes back where a constraint cannot be fulfilled any more.
type search struct {
	look
	constraints []constraint
	limit       int
}

// solve gives the answer and, where one is possible, a state: variables that do not matter stay open.
func (s *space) solve(used *int, constraints ...constraint) (answer, state) {
	run := &search{look: look{space: s, state: s.open()}, constraints: constraints, limit: min(maxSteps, maxAllSteps-*used)}
	out := run.solve()
	*used += run.steps
	if out != possible {
		return out, nil
	}
	run.shorten()
	return out, run.state
}

func (s *search) solve() answer {
	branch := -1
	for _, c := range s.constraints {
		out := s.ask(c)
		switch {
		case out&c.allow == 0:
			return impossible
		case out&^c.allow != 0 && branch < 0:
			branch = s.undecided(c)
		}
	}
	if s.steps > s.limit {
		return undecided
	}
	if branch < 0 {
		return s.settled()
	}
	given := impossible
	for i := range s.space.vars[branch].values {
		s.state[branch] = int16(i)
		switch s.solve() {
		case possible:
			return possible
		case undecided:
			given = undecided
		}
		if s.steps > s.limit {
			given = undecided
			break
		}
	}
	s.state[branch] = open
	return given
}

// settled is the answer when no variable is left to set: what is still undecided then hangs on variables that cannot be searched.
func (s *search) settled() answer {
	for _, c := range s.constraints {
		if s.ask(c)&^c.allow != 0 {
			return undecided
		}
	}
	return possible
}

// ask gives what the formula of a constraint can come to.
func (s *search) ask(c constraint) outcomes {
	s.swap(c)
	defer s.swap(c)
	return s.at(c.f)
}

// swap sets the variables that a constraint sees otherwise, or sets them back.
func (s *search) swap(c constraint) {
	for i, v := range c.force {
		s.state[i], c.force[i] = v, s.state[i]
	}
}

// undecided gives a variable on which the outcome of a constraint hangs, or -1.
func (s *search) undecided(c constraint) int {
	found := -1
	s.swap(c)
	defer s.swap(c)
	c.f.each(func(f *formula) bool {
		if found >= 0 || f.op == constOp {
			return false
		}
		if f.op == testOp {
			if s.state[f.variable] == open && !s.space.vars[f.variable].crowd {
				found = f.variable
			}
			return false
		}
		out := s.at(f)
		return out&(out-1) != 0 // one outcome only: nothing hangs on what is in it
	})
	return found
}

// shorten opens again what does not matter, and gives the usual value, which stands first, to what can have it.
func (s *search) shorten() {
	for i := range s.state {
		was := s.state[i]
		if was == open {
			continue
		}
		if s.state[i] = open; s.fulfilled() {
			continue
		}
		if s.state[i] = 0; was == 0 || s.fulfilled() {
			continue
		}
		s.state[i] = was
	}
}

func (s *search) fulfilled() bool {
	return !slices.ContainsFunc(s.constraints, func(c constraint) bool { return s.ask(c)&^c.allow != 0 })
}
