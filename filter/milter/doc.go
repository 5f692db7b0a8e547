// Package milter listens to the MTA: it is the only package that knows go-milter, and it hides it behind a Handler of its own.
//
//	MTA --bytes--> guard --whole, checked frames--> go-milter --callbacks--> session --events in order--> Handler
//	MTA <--one write for each reply-- guard <--frames-- go-milter <--replies, header edits-- session <--Response, Editor--
//
// A milter serves an MTA that it must not trust with its life: a frame of length 0 ends a process built on go-milter alone. So each
// accepted connection gets a guard (guard.go, frame.go) that reads whole frames, refuses what is none, sets every deadline and bounds
// memory; a go-milter server of its own behind a listener that gives this one connection, so that each session has its own policy,
// negotiation and context; and a session (session.go) that puts the events in order, keeps a panic to its own connection and speaks
// the Handler's words. server.go accepts, bounds the number of sessions and stops them; listen.go opens sockets; edit.go and reply.go
// are the only writers of text that comes from mail.
//
// The protocol is Sendmail's milter protocol, version 6, as Postfix and Sendmail speak it; no RFC describes it. RFCs cited here:
// RFC 3463 (enhanced status codes), RFC 4291 (IPv6 addresses), RFC 5321 (SMTP), RFC 5322 (header fields).
package milter
