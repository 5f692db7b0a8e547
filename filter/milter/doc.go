// Package milter listens to the MTA: it speaks the milter protocol and hides it behind a Handler.
//
//	MTA --bytes--> conn --whole frames--> session --checked events in order--> Handler
//	MTA <--one write for each answer-- conn <--frames-- session <--Response, Editor--
//
// A milter serves an MTA that it must not trust with its life. So each accepted connection gets a conn (frame.go) that reads whole
// frames into bounded memory and sets every deadline, and a session (session.go) that refuses frames of a wrong form, puts the events
// in order, keeps a panic to its own connection and speaks the Handler's words. negotiate.go agrees with the MTA on what is said and
// answered at all, macro.go keeps what the MTA says beside its events. server.go accepts, bounds the number of sessions and stops them;
// listen.go opens sockets; edit.go and reply.go are the only writers of text that comes from mail.
//
// The codec is our own because it is on the way of every header field. The library go-milter (github.com/d--j/go-milter) plays the MTA
// in tests and is the oracle there: the same session through both must end alike, byte for byte.
//
// The protocol is Sendmail's milter protocol, version 6, as Postfix and Sendmail speak it; no RFC describes it. RFCs cited here:
// RFC 2034 (enhanced codes on each line), RFC 3463 (enhanced status codes), RFC 4291 (IPv6 addresses), RFC 5321 (SMTP), RFC 5322 (header fields).
package milter
