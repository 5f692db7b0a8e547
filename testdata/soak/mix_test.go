package soak

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost.example/filter/history"
)

// place is a daemon of the mix, what its clients saw, and what is known of its earlier lives.
type place struct {
	*Daemon
	name  string
	redis *redisServer // nil for one that keeps its memory in a file

	sessions, ended, refusals, broken, excused atomic.Int64

	clock        *clock
	store        sync.Mutex   // one fault of the Redis at a time, and none while the clock is stepped
	mu           sync.Mutex   // one fault of its process or its files at a time
	generation   atomic.Int64 // of the process; odd while sessions may be broken off
	terminations atomic.Int64 // SIGTERMs
	rows, lost   int64        // of files and lives that are over; under mu
	unsure       int64        // sessions that ended just before a kill: their rows may be missing
	recent       recent
}

// recent counts what happened in the last moment.
type recent struct {
	mu sync.Mutex
	at []time.Time
}

// remembered is how long it is known at least when a session ended.
const remembered = time.Minute

func (r *recent) add(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = append(r.at, now)
	if len(r.at) > 10_000 && now.Sub(r.at[len(r.at)/2]) > remembered {
		r.at = append(r.at[:0], r.at[len(r.at)/2:]...)
	}
}

// until gives how often it happened before a time; of what is not forgotten, as short loads are.
func (r *recent) until(then time.Time) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.at {
		if at.Before(then) {
			n++
		}
	}
	return n
}

func (r *recent) since(then time.Time) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.at {
		if at.After(then) {
			n++
		}
	}
	return n
}

// TestMix: load of all kinds on two daemons, one with its memory in a file and one with a Redis, with all faults in an order of the seed, again and
// again. Nothing is lost: what the clients saw is what the log and the history have, but for what a kill may cost; and nothing grows.
func TestMix(t *testing.T) {
	long, duration := length(t)
	r := seed(t)
	places := []*place{filed(t), shared(t)}
	for _, p := range places {
		for range 50 {
			p.send(good())
		}
		p.Settles(Use{Goroutines: 1000, Descriptors: 1000})
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var load, faults sync.WaitGroup
	for i := range 8 {
		own := rand.New(rand.NewPCG(r.Uint64(), 2))
		load.Go(func() { places[i%len(places)].load(ctx, own, long) })
	}
	var before []Use
	for _, p := range places {
		time.Sleep(time.Second)
		before = append(before, p.Use())
	}
	end := time.Now().Add(duration)
	for _, p := range places {
		for _, list := range [][]fault{p.outside(t), p.inside(t)} {
			own := rand.New(rand.NewPCG(r.Uint64(), 3))
			faults.Go(func() { p.trouble(t, own, list, end, long) })
		}
	}
	faults.Wait()
	cancel()
	load.Wait()
	for i, p := range places {
		p.closes(t, before[i], long)
	}
}

// filed gives a daemon with its memory in a file.
func filed(t *testing.T) *place {
	c := newClock(t)
	return &place{name: "file", clock: c, Daemon: Start(t, Options{Zone: zone, Policy: timed + shippedRules(t), Handover: true, Disk: diskSize(t), Clock: c})}
}

// shared gives a daemon with its memory in a Redis.
func shared(t *testing.T) *place {
	r, c := startRedis(t), newClock(t)
	return &place{name: "redis", redis: r, clock: c,
		Daemon: Start(t, Options{Zone: zone, Policy: r.store() + timed + shippedRules(t), Handover: true, Before: inCgroup(t, "mix", 512<<20), Clock: c})}
}

// load sends mail of any kind until ctx ends.
func (p *place) load(ctx context.Context, r *rand.Rand, long bool) {
	nasty := hostileList()
	for ctx.Err() == nil {
		m := random(r)
		if pick(r, 300) == 0 {
			m = nasty[pick(r, len(nasty))]
		}
		p.send(m)
		if long { // an hour of it is not to need the whole machine
			time.Sleep(time.Duration(r.IntN(160)) * time.Millisecond)
		}
	}
}

// send sends one mail and counts what came of it. A session that is broken off while the daemon is killed is excused: there the MTA does what its
// default action says.
func (p *place) send(m Mail) {
	before, terminations, began := p.generation.Load(), p.terminations.Load(), time.Now()
	a, err := p.Send(m)
	after := p.generation.Load()
	p.refusals.Add(int64(a.Refusals))
	switch {
	case err == nil:
		p.sessions.Add(1)
		if a.Ended {
			p.ended.Add(1)
		}
		p.recent.add(time.Now())
	case before%2 == 1 || before != after || p.terminations.Load() != terminations && time.Since(began) > grace:
		p.excused.Add(1)
	default:
		p.broken.Add(1)
		p.t.Logf("%s: broken off after %v: %v", p.name, time.Since(began), err)
	}
}

// trouble makes the faults of a list in a random order, again and again until the end, and each at least once.
func (p *place) trouble(t *testing.T, r *rand.Rand, list []fault, end time.Time, long bool) {
	made, between := map[string]int{}, 300
	if long {
		between = 3000
	}
	for first := true; first || time.Now().Before(end); first = false {
		for _, i := range r.Perm(len(list)) {
			if !first && time.Now().After(end) {
				break
			}
			time.Sleep(time.Duration(50+r.IntN(between)) * time.Millisecond)
			list[i].make(r)
			made[list[i].name]++
		}
	}
	t.Logf("%s: faults made: %v", p.name, made)
}

// closes ends the load's account: the daemon is well again and holds what it held before, and nothing was lost.
func (p *place) closes(t *testing.T, before Use, long bool) {
	p.DNS.Misbehave()
	p.Command("reload")
	m := good() // a user of ours: no limit of strangers is over for one
	m.User, m.Port = "alice", "587"
	if a, err := p.Send(m); err != nil || a.Code != 250 {
		t.Errorf("%s: at the end a user's mail got %+v, %v", p.name, a, err)
	}
	p.sessions.Add(1)
	p.ended.Add(1)
	says(t, p.Daemon, "all is well")
	p.Settles(before)
	now := p.Use()
	if long && now.Resident > before.Resident+64<<20 {
		t.Errorf("%s: %.0f MiB are resident, %.0f before", p.name, now.Resident/(1<<20), before.Resident/(1<<20))
	}
	p.losses()
	if err := p.Stop(); err != nil {
		t.Errorf("%s: the daemon ended with %v", p.name, err)
	}
	p.rows += int64(rowsOf(t, p.Daemon))
	p.account(t)
	t.Logf("%s: %d sessions, %d messages ended, %d refusals, %d sessions broken off by kills; %d rows in the history, %d counted as lost, at most %d lost by kills; before %+v, after %+v",
		p.name, p.sessions.Load(), p.ended.Load(), p.refusals.Load(), p.excused.Load(), p.rows, p.lost, p.unsure, before, now)
}

// account compares what the clients saw with what the log and the history say.
func (p *place) account(t *testing.T) {
	t.Helper()
	if n := p.broken.Load(); n > 0 {
		t.Errorf("%s: %d sessions were broken off by the daemon", p.name, n)
	}
	spoken, ended := p.logged()
	excused := p.excused.Load()
	within := func(what string, have, least, most int64) {
		if have < least || have > most {
			t.Errorf("%s: %d %s, want %d to %d", p.name, have, what, least, most)
		}
	}
	within("refusals are logged", spoken, p.refusals.Load(), p.refusals.Load()+excused)
	within("ends of messages are logged", ended, p.ended.Load(), p.ended.Load()+excused)
	within("records are in the history or counted as lost", p.rows+p.lost, p.sessions.Load()-p.unsure, p.sessions.Load()+excused)
}

// logged counts the decisions in the log: refusals that were spoken, and messages that came to their end.
func (p *place) logged() (spoken, ended int64) {
	p.EachLine("decision", func(line map[string]any) {
		if line["spoken"] == "none" {
			return
		}
		code, _ := line["action"].(string)
		refused := len(code) == 3 && (code[0] == '4' || code[0] == '5')
		if refused {
			spoken++
		}
		if !refused || line["spoken"] == "data" {
			ended++
		}
	})
	return spoken, ended
}

// rowsOf counts the records of the history.
func rowsOf(t *testing.T, d *Daemon) int {
	t.Helper()
	r, err := history.OpenReader(filepath.Join(d.Dir, "state", "history.db"))
	if err != nil {
		t.Error(err)
		return 0
	}
	defer r.Close()
	n := 0
	if err := r.Rows(context.Background(), history.Filter{}, func(*history.Row) bool { n++; return true }); err != nil {
		t.Error(err)
	}
	return n
}
