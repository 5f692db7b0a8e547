// Package limit says how many events may come from one key: a leaky bucket for each, and the number of open sessions.
//
// A bucket has a level in events and the time at which it held. It drains at the rate in force now; an event pours into it. The next event
// exceeds when it would no longer fit (level + n > burst). An event that exceeds raises the level to at most one event over the burst, so
// that a storm of retries costs one. The step itself is state.Leak, atomic in every store; here are the keys, the rates by reputation and
// what is read from a level. All of it is pure: time is passed in.
package limit

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"

	"gatepost.example/filter/state"
)

// Limit is one limit. Rate and Burst have a value for each band of reputation, in the order of Band.
type Limit struct {
	Name   string
	Rate   [Bands]float64 // events that drain in a second
	Burst  [Bands]float64 // events that fit at once
	AtMost int            // open sessions; 0 for a limit of events
	Latch  bool           // once over, over until reset

	kept string // its table, where that was made once
}

// New makes a limit that is asked often.
func New(l Limit) *Limit {
	l.kept = Table(l.Name)
	return &l
}

// Bands is the number of bands of reputation that rates tell apart.
const Bands = 5

// Band gives the index of a band by its word. While the memory is not settled, who is new counts as neutral: everybody is new then. An
// unknown word is new.
func Band(word string, settled bool) int {
	for i, name := range [Bands]string{"good", "neutral", "new", "poor", "bad"} {
		if name == word && (name != "new" || settled) {
			return i
		}
	}
	if settled {
		return 2
	}
	return 1
}

// table is where a limit's levels are kept.
func (l *Limit) table() string {
	if l.kept != "" {
		return l.kept
	}
	return Table(l.Name)
}

// Table gives the name of the table in which the levels of a limit are kept.
func Table(name string) string { return "limit:" + name }

// Look gives the step that reads a key's level.
func (l *Limit) Look(key string) state.Step {
	return state.Step{Op: state.Read, Table: l.table(), Key: key}
}

// Pour gives the step that counts n events, and reads whether they exceed.
func (l *Limit) Pour(key string, band int, n float64) state.Step {
	return state.Step{Op: state.Leak, Table: l.table(), Key: key, N: n, Rate: l.Rate[band], Burst: l.Burst[band], Latch: l.Latch}
}

// Widen gives the step that counts n events under a wider key, for one that found no room.
func (l *Limit) Widen(wider string, band int, n float64) state.Step {
	step := l.Pour(wider, band, n)
	step.Wide = true
	return step
}

// lease is how long an open session is believed in where its end is not told, as when a machine dies that shares its memory with others.
const lease = 5 * time.Minute

// RenewEach is how often an open session is to be renewed, so that it goes on counting though an attempt or two fail.
const RenewEach = lease / 5

// Enter gives the step that counts an open session.
func (l *Limit) Enter(key, session string) state.Step {
	return state.Step{Op: state.Enter, Table: l.table(), Key: key, Session: session, Keep: lease}
}

// Renew gives the step that says that a session is still open, from the one that ends it.
func Renew(leave state.Step) state.Step {
	leave.Op, leave.Keep = state.Renew, lease
	return leave
}

// Leave gives the step that ends it.
func (l *Limit) Leave(key, session string) state.Step {
	return state.Step{Op: state.Leave, Table: l.table(), Key: key, Session: session}
}

// Verdict is what a limit says of the next event.
type Verdict struct {
	Over  bool
	Retry time.Duration // until one more fits; 0 when it fits now, or when nobody knows (a latch, open sessions)
}

// Read gives the verdict over n more events from the result of Look.
func (l *Limit) Read(r state.Result, band int, n float64, now time.Time) Verdict {
	return l.verdict(r.Cell.Level(l.Rate[band], now), r.Cell.Mark, band, n)
}

// Counted gives the verdict from the result of Pour or Enter: over the event that was counted.
func (l *Limit) Counted(r state.Result, band int, n float64) Verdict {
	if l.AtMost > 0 {
		return Verdict{Over: r.Cell.A > float64(l.AtMost)}
	}
	level := r.Before.A
	if r.Over { // it counts all the same: the next try must wait for it too
		level = r.Cell.A
	}
	v := l.verdict(level, r.Before.Mark, band, n)
	v.Over = r.Over
	return v
}

func (l *Limit) verdict(level float64, latched bool, band int, n float64) Verdict {
	excess := level + n - l.Burst[band]
	v := Verdict{Over: latched || excess > 0}
	if excess > 0 && !latched && l.Rate[band] > 0 {
		v.Retry = time.Duration(math.Ceil(math.Min(excess/l.Rate[band], 1e6))) * time.Second
	}
	return v
}

// Wider gives the key under which events count when no room is left for their own: the wider network, at last state.Everybody.
func Wider(key string) string {
	network, err := netip.ParsePrefix(key)
	if addr, isAddr := netip.ParseAddr(key); isAddr == nil {
		network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	if err != nil {
		return state.Everybody
	}
	steps := []int{24, 16, 8}
	if network.Addr().Is6() {
		steps = []int{56, 48, 32, 16}
	}
	for _, bits := range steps {
		if bits < network.Bits() {
			if wide, err := network.Addr().Prefix(bits); err == nil {
				return wide.String()
			}
		}
	}
	return state.Everybody
}

// Host gives an address as it stands in keys: of IPv6 its /64, for a host has as many addresses as it likes within one (RFC 4291 2.5.1).
func Host(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is6() {
		return ip
	}
	return netip.PrefixFrom(addr, 64).Masked().String()
}

// Key joins the values of the facts that make a key; "" when one of them is empty: then nobody is counted. A sender cannot write the bar that
// stands between two values: "a|b" and "c" is another key than "a" and "b|c".
func Key(values []string) string {
	switch {
	case len(values) == 1 && values[0] == state.Everybody: // who calls himself so is not everybody
		return "%2a"
	case len(values) == 1:
		return strings.ToLower(values[0])
	}
	parts := make([]string, len(values))
	for i, v := range values {
		if v == "" {
			return ""
		}
		parts[i] = strings.ReplaceAll(strings.ReplaceAll(v, "%", "%25"), "|", "%7C")
	}
	return strings.ToLower(strings.Join(parts, "|"))
}

// Written gives the key that somebody means who writes an address of a host in it, as it stands in the log.
func Written(key string) string {
	parts := strings.Split(strings.ToLower(key), "|")
	for i := range parts {
		parts[i] = Host(parts[i])
	}
	return strings.Join(parts, "|")
}

// Text gives a time as replies say it: "40s", "5m", "3h".
func Text(t time.Duration) string {
	switch {
	case t <= 0:
		return ""
	case t < 2*time.Minute:
		return fmt.Sprintf("%ds", int(math.Ceil(t.Seconds())))
	case t < 2*time.Hour:
		return fmt.Sprintf("%dm", int(math.Ceil(t.Minutes())))
	}
	return fmt.Sprintf("%dh", int(math.Ceil(t.Hours())))
}
