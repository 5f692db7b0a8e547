package filter

import "time"

// A pause takes all mail for a while: everything is decided and recorded as ever, and nothing is refused, discarded or held. It belongs to
// the server, not to the policy, so that a reload does not end it. A message is in the pause or not from MAIL to its end.

// Pause makes messages that begin before a moment be accepted. A moment that is past ends a pause.
func (s *Server) Pause(until time.Time) { s.pause.Store(&until) }

// Paused gives until when everything is accepted, and whether that is so now.
func (s *Server) Paused() (until time.Time, paused bool) {
	if p := s.pause.Load(); p != nil {
		until = *p
	}
	return until, s.now().Before(until)
}

func (s *Server) isPaused(now time.Time) bool {
	p := s.pause.Load()
	return p != nil && now.Before(*p)
}

// paused reports whether the message, or before MAIL the connection, is accepted for a pause.
func (s *Session) paused() bool {
	if s.msg != nil {
		return s.msg.paused
	}
	return s.conn.paused
}

// onlyWatches reports whether what the rules decide is only recorded: in observe mode and in a pause.
func (s *Session) onlyWatches() bool { return s.settings.Policy.Observes() || s.paused() }
