package play

import (
	"context"
	"io"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/policy"
)

// Judge plays delivered messages one after the other, each as the first of its kind: nothing that one brings is remembered for the next, so that
// they may come in any order. One goroutine owns a judge; several may share what it rests on.
type Judge struct{ player *player }

// Rests is what judges rest on.
type Rests struct {
	Resolver resolve.Resolver
	Watch    *dnsbl.Watch  // which blocklists work
	Memory   state.Store   // read, never written
	History  filter.Keeper // gets every message with its evidence; nil for nobody
}

// NewJudge gives a judge under settings, which must be its own.
func NewJudge(set *filter.Settings, on Rests) *Judge {
	given := map[string]policy.Value{"greylist.wait": policy.BoolOf(false)} // who was delivered has come back
	p := newPlayerWith(set, time.Time{}, filter.Deps{Resolver: on.Resolver, Watch: on.Watch, Store: frozen{on.Memory}, Given: given, History: on.History})
	return &Judge{p}
}

// Message plays one message as it came at a moment, from connect to its end or to the first refusal.
func (j *Judge) Message(at time.Time, said Envelope, header *message.Header, body io.Reader) (*Result, error) {
	p := j.player
	p.now, p.result, p.last = at, Result{}, nil
	p.session = p.server.NewSession()
	err := p.whole(said, header, body)
	p.session.Close()
	result := p.result
	return &result, err
}

// frozen is a memory that answers and learns nothing.
type frozen struct{ state.Store }

// Do reads what the steps name, and changes nothing.
func (f frozen) Do(ctx context.Context, now time.Time, steps []state.Step, out []state.Result) []state.Result {
	reads := make([]state.Step, len(steps))
	for i, s := range steps {
		reads[i] = state.Step{Op: state.Read, Table: s.Table, Key: s.Key}
	}
	return f.Store.Do(ctx, now, reads, out)
}

// Born is so long ago that the memory counts as settled.
func (f frozen) Born() time.Time { return time.Time{} }
