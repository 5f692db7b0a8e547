package filter

import (
	"gatepost.example/filter/check"
	"gatepost.example/filter/history"
	"gatepost.example/filter/state"
)

// room is memory that sessions use one after the other. What is handed to somebody who may still read it when the session has ended (the
// history, a check that was cut off) is none of it.
type room struct {
	lent bool // to work on a goroutine of its own, which reads it for as long as it likes: no other session gets it

	// For no longer than the function that fills them.
	steps   []state.Step
	asked   []question
	ready   []question
	results []state.Result
	input   check.Input
	recalls []recall

	// For the stage, and for the work that began there.
	recalled []state.Result

	// For the connection.
	connection connection
	runs       runs
	putOff     []state.Step
	leaving    []state.Step
	readings   []history.Reading
}

// enterRoom makes sure that the session has a room that nobody else reads.
func (s *Session) enterRoom() {
	if s.room == nil || s.room.lent {
		s.room = s.server.rooms.Get().(*room)
	}
}

// endMessage gives the memory of a message to one to come, of whatever session. It is not for an idle session to hold.
func (s *Session) endMessage(t *transaction) {
	if !s.room.lent {
		t.wipe()
		s.server.transactions.Put(t)
	}
}

// leaveRoom gives the room to a session to come, with nothing in it of this one.
func (s *Session) leaveRoom() {
	r, c := s.room, s.conn
	s.room, s.conn = nil, nil
	if r.lent {
		return
	}
	r.runs.wipe()
	r.putOff, r.leaving, r.readings = wiped(c.putOff), wiped(c.leaving), wiped(c.trail.readings)
	r.connection = connection{}
	r.steps, r.asked, r.ready = wiped(r.steps), wiped(r.asked), wiped(r.ready)
	r.results, r.recalled, r.recalls = wiped(r.results), wiped(r.recalled), wiped(r.recalls)
	s.server.rooms.Put(r)
}

// maxRoom bounds the memory of one kind that is kept for sessions to come, in pieces: a session can make it grow.
const maxRoom = 100

// wiped gives the memory of a slice with nothing in it.
func wiped[T any](s []T) []T {
	if cap(s) > maxRoom {
		return nil
	}
	clear(s[:cap(s)])
	return s[:0]
}

// runs are the tasks of a connection or a message, and the memory for them.
type runs struct {
	tasks
	places []task // one for each check
}

// of gives the memory for n checks.
func (r *runs) of(n int) runs {
	if len(r.places) < n {
		*r = runs{make(tasks, n), make([]task, n)}
	}
	return runs{r.tasks[:n], r.places[:n]}
}

// place gives the memory for a task of check i: of its own where an earlier one may still be read.
func (r *runs) place(i int) *task {
	if r.tasks[i] == nil {
		return &r.places[i]
	}
	return new(task)
}

func (r *runs) wipe() {
	for i, t := range r.tasks {
		if t != nil {
			r.tasks[i] = nil
			r.places[i].wipe()
		}
	}
}
