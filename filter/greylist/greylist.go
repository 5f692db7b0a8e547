// Package greylist puts off a sender that was never seen, once: an honest one comes back, much abuse does not.
//
// A rule asks for it (action = "greylist"), at RCPT. What is remembered is who sent, the sender and the recipient. Who sent is the client's
// network, or the sender's domain where SPF passes: large senders come back from another machine, and are the same to us.
package greylist

import (
	"strings"
	"time"

	"gatepost.example/filter/state"
)

// Rules is [greylist].
type Rules struct {
	Delay  time.Duration // a retry before it is put off again
	Window time.Duration // a retry after it is a first try
	MaxAge time.Duration // how long somebody who came back is known
}

const table = "greylist"

// Key gives what is remembered of one recipient's mail: domain is the sender's where SPF passes, else "".
func Key(network, domain, sender, recipient string) string {
	who := network
	if domain != "" {
		who = domain
	}
	return strings.ToLower(who + "|" + strings.ReplaceAll(sender, "|", "||") + "|" + recipient) // no sender writes the end of its part
}

// Look gives the step that reads a key.
func Look(key string) state.Step { return state.Step{Op: state.Read, Table: table, Key: key} }

// Judge says, from the result of Look, whether the sender is to wait and how long still, and gives the step that remembers the visit.
// A key that was seen twice, the delay apart, has come back in time: two first tries at one moment both find nobody there, and are no retry.
func (r Rules) Judge(key string, seen state.Result, now time.Time) (wait time.Duration, remember []state.Step) {
	touch := state.Step{Op: state.Touch, Table: table, Key: key, Keep: r.Window}
	age := now.Sub(seen.Cell.First)
	switch {
	case !seen.Found:
		return r.Delay, []state.Step{touch}
	case seen.Cell.A >= 2 && seen.Cell.At.Sub(seen.Cell.First).Abs() >= r.Delay: // known
		touch.Keep = r.MaxAge
		return 0, []state.Step{touch}
	case age < -r.Delay: // the clock was set back since: nobody waits until it has caught up
		return r.Delay, []state.Step{{Op: state.Clear, Table: table, Key: key}, touch}
	case age < r.Delay:
		return r.Delay - age, nil
	case age > r.Window:
		return r.Delay, []state.Step{{Op: state.Clear, Table: table, Key: key}, touch}
	}
	touch.Keep = r.MaxAge
	return 0, []state.Step{touch}
}
