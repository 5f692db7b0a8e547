package filter

import (
	"context"
	"slices"

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
	r := s.room
	r.steps = s.appendRecalls(r.steps[:0], o.at, in)
	reads := len(r.steps)
	asked := s.readyLimits(o)
	r.steps = s.appendSteps(r.steps, asked)
	results := s.remember(r.steps, &r.recalled)
	for i := range r.recalls {
		one := &r.recalls[i]
		one.results = slices.Clip(results[one.from:one.to])
	}
	s.begin(o.at, into, in)
	r.recalls = wiped(r.recalls)
	s.askLimits(o, asked, results[reads:])
}

// remember carries out steps, and before them those that were put off. The results are in the memory that is named, until that is used again.
// The time is that of the event, not of the message: a slow session must not turn the time of a bucket back.
func (s *Session) remember(steps []state.Step, into *[]state.Result) []state.Result {
	before := len(s.conn.putOff)
	if before+len(steps) == 0 {
		return nil
	}
	all := steps
	if before > 0 {
		all = append(s.conn.putOff, steps...)
		s.conn.putOff = all[:0]
	}
	*into = s.server.store.Do(context.Background(), s.present(), all, (*into)[:0])
	return (*into)[before:]
}

// maxPutOff bounds the steps that wait for the next time the memory is asked.
const maxPutOff = 100

// rememberLater keeps steps whose results nobody needs until the session asks the memory again or ends.
func (s *Session) rememberLater(steps []state.Step) {
	s.conn.putOff = append(s.conn.putOff, steps...)
	if len(s.conn.putOff) > maxPutOff {
		s.remember(nil, &s.room.results)
	}
}

// recall is what one check reads first.
type recall struct {
	check    int
	from, to int // among the steps of the stage
	results  []state.Result
}

// appendRecalls adds what the checks that start at a stage read first.
func (s *Session) appendRecalls(out []state.Step, at policy.Stage, in *check.Input) []state.Step {
	reader := s.reader()
	for _, i := range s.settings.starting[at] {
		entry := &s.settings.checks[i]
		if entry.recaller == nil || !reader.wants(s.settings, i) {
			continue
		}
		s.guarded(entry.recall, func() { // without it the check asks by itself
			from := len(out)
			out = entry.recaller.AppendRecalls(out, in)
			s.room.recalls = append(s.room.recalls, recall{check: i, from: from, to: len(out)})
		})
	}
	return out
}

// recalled gives what was read for a check that starts now; nil for none.
func (s *Session) recalled(check int) []state.Result {
	for i := range s.room.recalls {
		if one := &s.room.recalls[i]; one.check == check {
			return one.results
		}
	}
	return nil
}
