package soak

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// tally is what the clients of a mixed load saw.
type tally struct {
	sessions, ended, refusals, broken atomic.Int64
}

// TestMix: load of all kinds with faults at random. Nothing is lost: what the clients saw is what the log, the metrics and the history
// have; and nothing grows.
func TestMix(t *testing.T) {
	long, duration := length(t)
	r := seed(t)
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	for range 50 {
		serves(t, d, "at first")
	}
	d.Settles(Use{Goroutines: 1000, Descriptors: 1000})
	before, sentBefore := d.Use(), int64(50)
	ctx, cancel := context.WithTimeout(context.Background(), duration)
	defer cancel()
	var all sync.WaitGroup
	var seen tally
	for range 8 {
		own := rand.New(rand.NewPCG(r.Uint64(), 2))
		all.Go(func() { load(ctx, d, own, &seen) })
	}
	all.Go(func() { trouble(ctx, t, d, rand.New(rand.NewPCG(r.Uint64(), 3))) })
	all.Wait()
	d.DNS.Misbehave()
	d.Signal(syscall.SIGHUP)
	m := good() // a user of ours: no limit of strangers is over for one
	m.User, m.Port = "alice", "587"
	if a, err := d.Send(m); err != nil || a.Code != 250 {
		t.Errorf("at the end a user's mail got %+v, %v", a, err)
	}
	sentBefore++
	d.Settles(before)
	account(t, d, &seen, sentBefore)
	if now := d.Use(); long && now.Resident > 2*before.Resident+100<<20 {
		t.Errorf("%.0f MiB are resident, %.0f before", now.Resident/(1<<20), before.Resident/(1<<20))
	}
	t.Logf("%d sessions, %d messages ended, %d refusals, %d sessions broken off by us; %+v", seen.sessions.Load(), seen.ended.Load(), seen.refusals.Load(), seen.broken.Load(), d.Use())
}

// load sends mail of any kind until ctx ends.
func load(ctx context.Context, d *Daemon, r *rand.Rand, seen *tally) {
	for ctx.Err() == nil {
		m := random(r)
		a, err := d.Send(m)
		if err != nil {
			seen.broken.Add(1)
			continue
		}
		seen.sessions.Add(1)
		if a.Ended {
			seen.ended.Add(1)
		}
		seen.refusals.Add(int64(a.Refusals))
	}
}

// trouble makes a fault of DNS, of the policy file or at the socket every now and then.
func trouble(ctx context.Context, t *testing.T, d *Daemon, r *rand.Rand) {
	good, err := os.ReadFile(d.PolicyFile())
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = os.WriteFile(d.PolicyFile(), good, 0o644) }()
	faults := []resolvetest.Fault{resolvetest.Silent, resolvetest.Rcode(2), resolvetest.Junk, resolvetest.Truncate, resolvetest.Delay(300 * time.Millisecond)}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Duration(100+r.IntN(400)) * time.Millisecond):
		}
		switch r.IntN(6) {
		case 0:
			d.DNS.Misbehave(faults[r.IntN(len(faults))])
		case 1, 2:
			d.DNS.Misbehave()
		case 3:
			text := append([]byte(nil), good...)
			if r.IntN(3) == 0 {
				text = append(text, "\n[[rule]]\nname = 7\n"...)
			}
			_ = os.WriteFile(d.PolicyFile(), text, 0o644)
			d.Signal(syscall.SIGHUP)
		case 4:
			throw(t, d.Milter, junk()[r.IntN(len(junk()))])
		case 5:
			hold(t, d.Milter, 20)()
		}
	}
}

// account compares what the clients saw with what the daemon says.
func account(t *testing.T, d *Daemon, seen *tally, sentBefore int64) {
	t.Helper()
	if seen.broken.Load() > 0 {
		t.Errorf("%d sessions were broken off by the daemon", seen.broken.Load())
	}
	if messages, _ := d.Metric("gatepost_messages_total", ""); int64(messages) != seen.ended.Load()+sentBefore {
		t.Errorf("%.0f messages are counted, %d ended", messages, seen.ended.Load()+sentBefore)
	}
	spoken, ended := 0, int64(0)
	for _, line := range d.Lines("decision") {
		if line["spoken"] == "none" {
			continue
		}
		if code, _ := line["action"].(string); len(code) == 3 && (code[0] == '4' || code[0] == '5') {
			spoken++
		} else {
			ended++
		}
	}
	if int64(spoken) != seen.refusals.Load() {
		t.Errorf("%d refusals are logged, the clients saw %d", spoken, seen.refusals.Load())
	}
	refusedAtEnd, _ := d.Metric("gatepost_messages_total", `xx"`)
	if ended+int64(refusedAtEnd) != seen.ended.Load()+sentBefore {
		t.Errorf("%d messages are logged, %d ended", ended+int64(refusedAtEnd), seen.ended.Load()+sentBefore)
	}
	want, kept, lost := seen.sessions.Load()+sentBefore, 0.0, 0.0 // a session without a message is a record too
	for range 20 {                                                // a commit a second
		kept, _ = d.Metric("gatepost_history_records_total", "kept")
		lost, _ = d.Metric("gatepost_history_records_total", "lost")
		if int64(kept+lost) >= want {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if int64(kept+lost) != want {
		t.Errorf("the history has %.0f records and lost %.0f; %d were to be", kept, lost, want)
	}
}
