// Package resolve asks DNS for the checks: a caching stub resolver that trusts nothing it is sent.
//
// The checks see only the Resolver interface and immutable Answers; resolvetest feeds the same interface from zone text.
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
	Age    time.Duration // how long it had been in the cache; 0 for a fresh answer
	Detail string        // for trouble: what happened, with the server's address ("SERVFAIL from 192.0.2.53:53")
}

// Mailserver is one MX record. A null MX (RFC 7505) has Host "" .
type Mailserver struct {
	Preference uint16
	Host       string // lower case, no trailing dot
}

// Trouble reports whether the question got no answer, so that asking again later may help.
func (a *Answer) Trouble() bool { return a.Status == Timeout || a.Status == ServFail }
