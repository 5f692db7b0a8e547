// Package correspondent knows whom our users write to, and which domains are ours: the checks "correspondent", "own-helo" and "own-author".
//
// Somebody our users write to is no stranger: no limit and no blocklist should stand in the way of the answer. It is learned from what our
// users send, by address, and by domain where the domain is no freemail.
//
// Own domains are learned too: those for which the MTA takes recipients from strangers. There is no list to keep.
package correspondent

import (
	"strings"
	"time"

	"gatepost.example/filter/state"
)

// Tables of the memory.
const (
	TableAddress = "correspondent:address"
	TableDomain  = "correspondent:domain"
	TableUser    = "correspondent:user" // "user|address": whom one user wrote to
)

// Rules is [reputation] as far as it concerns correspondents.
type Rules struct {
	Keep     time.Duration   // how long somebody is a correspondent
	Freemail map[string]bool // domains that count by address only
}

// Wrote gives the steps that learn that a user wrote to a recipient.
func (r Rules) Wrote(user, recipient string) []state.Step {
	address := strings.ToLower(recipient)
	steps := []state.Step{{Op: state.Touch, Table: TableAddress, Key: address, Keep: r.Keep}}
	if domain := r.domain(address); domain != "" {
		steps = append(steps, state.Step{Op: state.Touch, Table: TableDomain, Key: domain, Keep: r.Keep})
	}
	if user != "" {
		steps = append(steps, r.Named(user, recipient))
	}
	return steps
}

// Named gives the step that notes that a user named a recipient that was taken. Where the message then does not go, nobody is a correspondent,
// but who tries again names nobody for the first time.
func (r Rules) Named(user, recipient string) state.Step {
	return state.Step{Op: state.Touch, Table: TableUser, Key: userKey(user, recipient), Keep: r.Keep}
}

// LookUser gives the step that tells whether a user wrote to a recipient before.
func LookUser(user, recipient string) state.Step {
	return state.Step{Op: state.Read, Table: TableUser, Key: userKey(user, recipient)}
}

func userKey(user, address string) string { return strings.ToLower(user + "|" + address) }

// domain gives the domain of an address as far as it counts by itself: "" for freemail.
func (r Rules) domain(address string) string {
	domain := address[strings.LastIndexByte(address, '@')+1:]
	if domain == address || r.Freemail[domain] {
		return ""
	}
	return domain
}
