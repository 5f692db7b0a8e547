package filter

import (
	"time"

	"gatepost.example/filter/check"
	"gatepost.example/policy"
)

// This file is what a session tells the metrics.

// measureRecord counts a decision and what would have been done.
func (s *Server) measureRecord(r Record) {
	s.metrics.Decision(r.Decision.Rule, r.Spoken, r.What())
	for _, w := range r.Woulds {
		s.metrics.Would(w.Rule, w.Spoken.String(), w.What)
	}
}

// measureFindings counts what checks found that somebody read.
func (s *Server) measureFindings(ts tasks) {
	for _, t := range ts {
		if t == nil || t.read == nil {
			continue
		}
		for i := range t.read.Findings {
			f := &t.read.Findings[i]
			s.metrics.Finding(f.Check, f.Result, f.Took)
			if f.Code == check.CodePanic {
				s.metrics.Panic()
			}
		}
	}
}

// measureMessage counts a message that came to its end.
func (s *Session) measureMessage(t *transaction, r Response, edits Edits) {
	action := "accept"
	switch {
	case r.Verb == Discard:
		action = "discard"
	case r.Verb == Refuse && r.Code >= 500:
		action = "5xx"
	case r.Verb == Refuse:
		action = "4xx"
	case edits.Hold != "":
		action = "quarantine"
	}
	s.server.metrics.Message(s.conn.role, action, s.conn.evidence.Text("client.reputation"), t.header.Size()+t.size)
}

// measureStage notes how long the MTA waited since began; to be deferred.
func (s *Server) measureStage(at policy.Stage, began time.Time) {
	s.metrics.Stage(at.String(), time.Since(began))
}
