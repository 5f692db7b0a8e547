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
// turn, and goes back where a constraint cannot be fulfilled any more. It turns first to constraints that failed often, and goes back as
// far as what failed has something to do with (conflict-directed backjumping), so that what does not matter costs nothing.
type search struct {
	look
	constraints []constraint
	reads       []varSet // the variables of each constraint
	failed      []int    // how often each could not be fulfilled
	limit       int
}

// varSet is a set of variables.
type varSet []uint64

func (v varSet) has(i int) bool { return v[i/64]>>(i%64)&1 == 1 }

func (v varSet) add(other varSet) {
	for i := range v {
		v[i] |= other[i]
	}
}

func (s *space) varSet(f *formula) varSet {
	out := make(varSet, len(s.vars)/64+1)
	for i := range variables(f) {
		out[i/64] |= 1 << (i % 64)
	}
	return out
}

// solve gives the answer and, where one is possible, a state: variables that do not matter stay open.
func (s *space) solve(used *int, constraints ...constraint) (answer, state) {
	run := &search{look: look{space: s, state: s.open()}, constraints: constraints, limit: min(maxSteps, maxAllSteps-*used)}
	run.failed = make([]int, len(constraints))
	for _, c := range constraints {
		run.reads = append(run.reads, s.varSet(c.f))
	}
	out, _ := run.solve()
	*used += run.steps + len(constraints)
	if out != possible {
		return out, nil
	}
	run.shorten()
	return out, run.state
}

// solve gives the answer and, where it is impossible, the variables whose values are to blame.
func (s *search) solve() (answer, varSet) {
	next := -1
	for i, c := range s.constraints {
		out := s.ask(c)
		switch {
		case out&c.allow == 0:
			s.failed[i]++
			return impossible, s.reads[i]
		case out&^c.allow != 0 && (next < 0 || s.failed[i] > s.failed[next]):
			next = i
		}
	}
	if s.steps > s.limit {
		return undecided, nil
	}
	branch := -1
	if next >= 0 {
		branch = s.undecided(s.constraints[next])
	}
	if branch < 0 {
		return s.settled(), make(varSet, len(s.state)/64+1)
	}
	return s.branch(branch)
}

// branch sets a variable to each of its values in turn.
func (s *search) branch(v int) (answer, varSet) {
	blame, given := make(varSet, len(s.state)/64+1), impossible
	for i := range s.space.vars[v].values {
		s.state[v] = int16(i)
		out, blamed := s.solve()
		if out == possible {
			return out, nil
		}
		if out == impossible && !blamed.has(v) {
			s.state[v] = open
			return impossible, blamed // whatever v is
		}
		if out == undecided {
			given = undecided
		} else {
			blame.add(blamed)
		}
		if s.steps > s.limit {
			given = undecided
			break
		}
	}
	s.state[v] = open
	blame[v/64] &^= 1 << (v % 64)
	return given, blame
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
