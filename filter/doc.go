// Package filter answers "what happened?": it listens to the MTA, starts the checks, keeps what they find, asks package policy what
// the rules say about it, and tells the MTA.
//
//	MTA --milter--> session --facts--> collect --findings--> evidence --> decide --> decision --> reply --milter--> MTA
//	                (what the          (checks, started       (grows       (package       |         (the only
//	                 MTA said)          early, awaited late)   only)        policy)       |          encoder)
//	                                                                                       `-> log, metrics, history
//
// server.go holds what all sessions share, session.go turns milter events into facts, collect.go runs the checks, registry.go lists
// them, room.go is the memory that sessions use one after the other, reply.go turns a decision into replies and header edits. trail.go
// notes what the history keeps; past.go and replay.go have the session decide a record again, explain.go says why it ended as it did. A
// newcomer reads on in policy/decide.go, registry.go and iprev/check.go.
package filter
