package filter

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gatepost.example/filter/limit"
	"gatepost.example/filter/reputation"
	"gatepost.example/filter/state"
)

// This file is what an admin asks of the memory and changes in it, by commands.

// maxShown bounds the entries of one answer to an admin.
const maxShown = 1000

// Level is one key of a limit as it stands now.
type Level struct {
	Key     string        `json:"key"`
	Level   float64       `json:"level"` // events, or open sessions
	Burst   float64       `json:"burst"` // events that fit for a neutral client, or open sessions that may be
	Over    bool          `json:"over"`
	Latched bool          `json:"latched,omitempty"`
	Retry   time.Duration `json:"retry_ns,omitempty"`
}

// Levels gives the keys of a limit that begin with prefix, or with it as keys write an address of a host in it, the fullest first. The error names the
// limits that there are.
func (s *Server) Levels(ctx context.Context, name, prefix string) ([]Level, error) {
	l, err := s.limitNamed(name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	var entries []state.Entry
	for _, key := range keysOf(prefix) {
		if entries, err = s.store.Entries(ctx, now, limit.Table(name), key, maxShown); err != nil {
			return nil, fmt.Errorf("the memory does not answer: %w", err)
		}
		if len(entries) > 0 {
			break
		}
	}
	out := make([]Level, 0, len(entries))
	neutral := limit.Band(reputation.Neutral, true)
	for _, e := range entries {
		a := l.arithmetic
		one := Level{Key: e.Key, Level: e.Cell.A, Burst: float64(a.AtMost), Over: e.Cell.A > float64(a.AtMost)}
		if a.AtMost == 0 {
			v := a.Read(state.Result{Found: true, Cell: e.Cell}, neutral, 1, now)
			one = Level{Key: e.Key, Level: e.Cell.Level(a.Rate[neutral], now), Burst: a.Burst[neutral], Over: v.Over, Latched: e.Cell.Mark, Retry: v.Retry}
		}
		out = append(out, one)
	}
	return out, nil
}

// ResetLimit empties one key of a limit, as it stands there or with an address of a host in it. It reports whether the key was there.
func (s *Server) ResetLimit(ctx context.Context, name, key string) (bool, error) {
	if _, err := s.limitNamed(name); err != nil {
		return false, err
	}
	var steps []state.Step
	for _, key := range keysOf(key) {
		steps = append(steps, state.Step{Op: state.Read, Table: limit.Table(name), Key: key}, state.Step{Op: state.Clear, Table: limit.Table(name), Key: key})
	}
	results := s.store.Do(ctx, s.now(), steps, nil)
	return slices.ContainsFunc(results, func(r state.Result) bool { return r.Found }), nil
}

// keysOf gives the keys that somebody may mean: the text as it is, and with addresses of hosts in it as keys have them, where that differs.
func keysOf(text string) []string {
	return slices.Compact([]string{strings.ToLower(text), limit.Written(text)})
}

// LimitNames gives the names of the policy's limits, in its order.
func (s *Server) LimitNames() []string {
	var names []string
	for _, l := range s.settings.Load().limits {
		names = append(names, l.Name)
	}
	return names
}

func (s *Server) limitNamed(name string) (*boundLimit, error) {
	set := s.settings.Load()
	for i := range set.limits {
		if set.limits[i].Name == name {
			return &set.limits[i], nil
		}
	}
	return nil, fmt.Errorf("there is no limit %q; the policy has %s", name, cmp.Or(strings.Join(s.LimitNames(), ", "), "none"))
}

// Repute is what the memory knows of an address, a network or a domain.
type Repute struct {
	Kind     string    `json:"kind"` // ip, network or domain
	Name     string    `json:"name"`
	Band     string    `json:"band"`
	Low      float64   `json:"low"`
	High     float64   `json:"high"`
	Wanted   float64   `json:"wanted"`
	Unwanted float64   `json:"unwanted"`
	Since    time.Time `json:"since"`
}

// kinds are the tables of reputations by the words that commands use.
func kinds() map[string]string {
	return map[string]string{"ip": reputation.TableIP, "network": reputation.TableNetwork, "domain": reputation.TableDomain}
}

// Reputes gives what is known of those of a kind (ip, network, domain; "" for all) whose names begin with prefix.
func (s *Server) Reputes(ctx context.Context, kind, prefix string) ([]Repute, error) {
	var out []Repute
	for _, k := range []string{"ip", "network", "domain"} {
		if kind != "" && kind != k {
			continue
		}
		now, set := s.now(), s.settings.Load()
		entries, err := s.store.Entries(ctx, now, kinds()[k], strings.ToLower(prefix), maxShown)
		if err != nil {
			return nil, fmt.Errorf("the memory does not answer: %w", err)
		}
		for _, e := range entries {
			c := e.Cell.Decayed(set.Reputation.HalfLife, now)
			o := reputation.Judge(c, state.Cell{})
			out = append(out, Repute{Kind: k, Name: e.Key, Band: o.Band, Low: o.Low, High: o.High, Wanted: c.A, Unwanted: c.B, Since: c.First})
		}
	}
	return out, nil
}

// ForgetRepute drops what is known of an address, a network or a domain. It reports whether there was anything.
func (s *Server) ForgetRepute(ctx context.Context, name string) bool {
	name = strings.ToLower(name)
	var steps []state.Step
	for _, table := range []string{reputation.TableIP, reputation.TableNetwork, reputation.TableDomain, reputation.TableAsked, reputation.TableKnown} {
		steps = append(steps, state.Step{Op: state.Read, Table: table, Key: name}, state.Step{Op: state.Clear, Table: table, Key: name})
	}
	results := s.store.Do(ctx, s.now(), steps, nil)
	return slices.ContainsFunc(results, func(r state.Result) bool { return r.Found })
}

// Lesson is who sent a message that somebody found wanted or not.
type Lesson struct {
	ID      string   `json:"id,omitempty"` // of a message that the daemon remembers, where the rest is not known
	IP      string   `json:"ip,omitempty"`
	Domains []string `json:"domains,omitempty"`
}

// Learn takes lessons: spam counts as much as a content filter's verdict, ham as much as a correspondent's mail. Undo takes them back. It gives
// how many it could take: of an id alone, the message must still be remembered. What is remembered of a message counts, not what its
// header says, and one message teaches once: who moves it to and fro between two folders changes nothing.
func (s *Server) Learn(ctx context.Context, lessons []Lesson, spam, undo bool) (learned int) {
	said := wanted
	if spam {
		said = unwanted
	}
	for _, told := range lessons {
		l, former, now := s.recent.teach(told, said, undo)
		if l.IP == "" && l.Domains == nil {
			continue
		}
		learned++
		s.teach(ctx, l, former, -1)
		s.teach(ctx, l, now, 1)
	}
	return learned
}

// verdict is what somebody said of a message.
type verdict uint8

const (
	untaught verdict = iota
	wanted
	unwanted
)

// teach learns a verdict, or takes it back where sign is -1.
func (s *Server) teach(ctx context.Context, l Lesson, v verdict, sign float64) {
	set, e := s.settings.Load(), reputation.Evidence{Domains: l.Domains}
	if addr, err := netip.ParseAddr(l.IP); err == nil {
		e.IP, e.Network = addr.String(), set.networkOf(addr)
	}
	switch v {
	case wanted:
		e.Wanted = sign * max(set.Signals.Correspondent, 1)
	case unwanted:
		e.Unwanted = sign * max(set.Signals.SpamWeight, 1)
	}
	if steps := set.Reputation.Steps(e); len(steps) > 0 {
		s.store.Do(ctx, s.now(), steps, nil)
	}
}

// Born gives when the memory began, and whether it is settled.
func (s *Server) Born() (born time.Time, settled bool) {
	born = s.store.Born()
	return born, s.now().Sub(born) >= s.settings.Load().Settle
}

// Memory says in words how the memory is; "" when there is nothing to say.
func (s *Server) Memory() string { return s.store.Status() }
