package filter

import (
	"context"
	"slices"
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// A stage asks the memory in one go, because a shared one is a round trip away: what its checks read, what its limits read and count, and
// what was put off until now. A second one needs a limit that waits for what a check finds, greylisting, whom a user never wrote to, and
// at the end of a user's message what is learned from it.

// enter starts the checks of a stage and asks the limits.
func (s *Session) enter(o occasion, into *runs) {
	if s.past != nil {
		s.begin(o.at, into, nil)
		s.askLimits(o, nil, nil)
		return
	}
	s.enterRoom()
	in := s.input(s.clock())
	s.room.steps = s.appendRecalls(s.room.steps[:0], o.at, in)
	reads := len(s.room.steps)
	asked := s.readyLimits(o)
	s.room.steps = s.appendSteps(s.room.steps, asked)
	results := s.remember(s.room.steps)
	s.room.recalled = recalled{s.server.store, s.room.steps[:reads:reads], results[:reads]}
	in.Memory = &s.room.recalled
	s.begin(o.at, into, in)
	s.askLimits(o, asked, results[reads:])
}

// remember carries out steps, and before them those that were put off. The time is that of the event, not of the message: a slow session
// must not turn the time of a bucket back.
func (s *Session) remember(steps []state.Step) []state.Result {
	before := len(s.conn.putOff)
	if before+len(steps) == 0 {
		return nil
	}
	all := steps
	if before > 0 {
		all = append(s.conn.putOff, steps...)
		s.conn.putOff = all[:0]
	}
	return s.server.store.Do(context.Background(), s.present(), all)[before:]
}

// maxPutOff bounds the steps that wait for the next time the memory is asked.
const maxPutOff = 100

// rememberLater keeps steps whose results nobody needs until the session asks the memory again or ends.
func (s *Session) rememberLater(steps []state.Step) {
	s.conn.putOff = append(s.conn.putOff, steps...)
	if len(s.conn.putOff) > maxPutOff {
		s.remember(nil)
	}
}

// appendRecalls adds what the checks that start at a stage read first.
func (s *Session) appendRecalls(out []state.Step, at policy.Stage, in *check.Input) []state.Step {
	for _, i := range s.settings.starting[at] {
		if r, ok := s.settings.checks[i].check.(check.Recaller); ok && s.wants(i) {
			s.guarded(s.settings.checks[i].recall, func() { out = r.AppendRecalls(out, in) }) // without it the check asks by itself
		}
	}
	return out
}

// recalled is the memory as the checks of a stage see it: what was read for them is there.
type recalled struct {
	store   state.Store
	reads   []state.Step
	results []state.Result
}

// Do implements check.Memory.
func (r *recalled) Do(ctx context.Context, now time.Time, steps []state.Step) []state.Result {
	if len(steps) == 0 {
		return nil
	}
	// What one check reads stands together.
	if at := slices.Index(r.reads, steps[0]); at >= 0 && at+len(steps) <= len(r.reads) && slices.Equal(r.reads[at:at+len(steps)], steps) {
		return slices.Clip(r.results[at : at+len(steps)])
	}
	out := make([]state.Result, 0, len(steps))
	for _, step := range steps {
		i := slices.Index(r.reads, step)
		if i < 0 {
			return r.store.Do(ctx, now, steps)
		}
		out = append(out, r.results[i])
	}
	return out
}
