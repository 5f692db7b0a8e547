// Package resolve asks DNS for the checks: a caching stub resolver that trusts nothing it is sent.
//
// The checks see only the Resolver interface and immutable Answers; resolvetest feeds the same interface from zone text.
//
// The way of a question, and the files along it:
//
//	client.go    Lookup: from the cache, or together with others who ask the same, or asked anew
//	cache.go     what is kept, and for how long
//	ask.go       one server after the other until one answers, all within one timeout
//	servers.go   which servers: configured, or those of resolv.conf; which are set aside
//	try.go       one server: UDP, TCP when truncated, plainer where it does not understand
//	query.go     the packet out, and whether a packet in is its reply
//	exchange.go  sockets
//	answer.go    from a message to an Answer
//	ledger.go    what one run of a check asked
//	hand.go      what is known without asking, and what is asked ahead
//
// Standards: RFC 1034 and 1035 (names, messages), RFC 2181 (TTL, truncation), RFC 2308 and 8020 (negative answers), RFC 3596 (IPv6),
// RFC 3597 (types without a name), RFC 4343 (case), RFC 5452 (forged answers), RFC 6604 (codes behind a CNAME), RFC 6891 (EDNS),
// RFC 7505 (null MX), RFC 7766 (TCP), RFC 9520 (failures), RFC 9715 (size over UDP); for TXT records RFC 6376 and RFC 7208.
package resolve

import (
	"context"
	"net/netip"
	"time"
)

// Type is a DNS record type, with its number on the wire.
type Type uint16

// The types that mail authentication asks for.
const (
	A    Type = 1
	PTR  Type = 12
	MX   Type = 15
	TXT  Type = 16
	AAAA Type = 28
)

// Status says how a question ended.
type Status uint8

// The ways a question ends. The first three are answers, the rest is trouble: asking again may help.
const (
	Found    Status = iota // there are records of the type
	NoData                 // the name exists, without records of the type (RFC 2308 2.2)
	NXDomain               // the name does not exist, and nothing below it (RFC 8020)
	Timeout                // no server answered in time
	ServFail               // the servers answered SERVFAIL, REFUSED or the like, or nothing usable
	BadName                // the name cannot be asked: a label over 63 bytes, a name over 255, an empty label
)

// Resolver answers one question. It never returns nil and ends soon after ctx does.
// The name is given with or without trailing dot, in any case; labels are raw bytes except that a dot always separates.
type Resolver interface {
	Lookup(ctx context.Context, name string, t Type) *Answer
}

// Answer is the outcome of one question. It is shared between sessions: never change it.
type Answer struct {
	Name   string        // as asked: lower case, no trailing dot
	Type   Type          // as asked
	Status Status        // how it ended
	Addrs  []netip.Addr  // A and AAAA records, never v4-mapped
	Texts  []string      // TXT records: raw bytes, each record's character-strings joined without separator
	MXs    []Mailserver  // MX records in the order of the answer
	Hosts  []string      // PTR targets, lower case, no trailing dot
	TTL    time.Duration // what was left of it when it was answered
	Age    time.Duration // how long it had been in the cache, in whole seconds; 0 for a fresh answer
	Detail string        // for trouble: what happened, with the server's address ("SERVFAIL from 192.0.2.53:53")

	notes *notes // of an answer that is kept in the cache, shared by all its copies
}

// Mailserver is one MX record. A null MX (RFC 7505) has Host "" .
type Mailserver struct {
	Preference uint16
	Host       string // lower case, no trailing dot
}

// Trouble reports whether the question got no answer, so that asking again later may help.
func (a *Answer) Trouble() bool { return a.Status == Timeout || a.Status == ServFail }
