package filter

import "slices"

// maxBehind bounds the recipients of a message about whom the rules are asked later.
const maxBehind = 100

// fallsBehind reports whether a recipient is taken at once and the rules are asked about it when the message has come: no answer rests on
// them, and checks of the envelope still wait for DNS. What the header brings to ask is so asked while their answers come.
func (s *Session) fallsBehind() bool {
	return s.mustTake() && len(s.msg.behind) < maxBehind &&
		(slices.ContainsFunc(s.conn.tasks, (*task).runs) || slices.ContainsFunc(s.msg.tasks, (*task).runs))
}

// runs reports whether the task has a goroutine that has not ended.
func (t *task) runs() bool { return t != nil && t.done != nil && !t.over() }

// catchUp asks the rules about the recipients of whom they have not heard, in order.
func (s *Session) catchUp() {
	behind := s.msg.behind
	s.msg.behind = nil
	for _, r := range behind {
		s.meet(r)
	}
}
