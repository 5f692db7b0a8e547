package soak

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	milter "github.com/d--j/go-milter"
)

// counting is a policy whose limit shows what was counted.
const counting = `
[[limit]]
name = "all"
count = "messages"
per = ["server.role"]
rate = "1000000/365d"
[[rule]]
name = "never"
when = 'over.all'
reply = "451 4.7.0 Never"
`

// TestKilled: kill -9 under load. Each time the daemon starts clean, what was counted is at most a second old, and the history can be read.
func TestKilled(t *testing.T) {
	long, _ := length(t)
	rounds := 4
	if long {
		rounds = 100
	}
	d := Start(t, Options{Zone: zone, Policy: counting})
	sent := 0
	for round := range rounds {
		for range 30 {
			serves(t, d, "before a kill")
			sent++
		}
		time.Sleep(1500 * time.Millisecond) // more than a commit a second
		ctx, cancel := context.WithCancel(context.Background())
		var load sync.WaitGroup
		var more atomic.Int64
		for range 4 {
			load.Go(func() {
				for ctx.Err() == nil {
					if a, err := d.Send(good()); err == nil && a.Ended {
						more.Add(1)
					}
				}
			})
		}
		time.Sleep(300 * time.Millisecond)
		d.Kill()
		cancel()
		load.Wait()
		d.Begin()
		if level := levelOf(t, d); level < float64(sent)-1 || level > float64(sent)+float64(more.Load())+8 {
			t.Fatalf("round %d: %.0f were counted; %d were sent a second before the kill, and %d after that", round, level, sent, more.Load())
		}
		if rows := rowsOf(t, d); rows < sent {
			t.Fatalf("round %d: the history has %d records, %d messages were sent a second before the kill", round, rows, sent)
		}
		sent = int(levelOf(t, d))
	}
	if strings.Contains(d.Log(), "corrupt") {
		t.Error("a file was corrupt")
	}
}

// levelOf gives what the limit of the policy counting has counted.
func levelOf(t *testing.T, d *Daemon) float64 {
	t.Helper()
	out, code := d.Command("limit", "show", "all")
	if code != 0 {
		t.Fatalf("gatepost limit show: exit status %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "mx" {
			level := 0.0
			if _, err := fmt.Sscan(fields[1], &level); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			return level
		}
	}
	t.Fatalf("gatepost limit show says nothing of mx:\n%s", out)
	return 0
}

// TestTerm: SIGTERM under load cuts no message that ends within 10 s.
func TestTerm(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	var all sync.WaitGroup
	inside := make(chan struct{}, 50)
	for i := range 50 {
		all.Go(func() {
			if err := slowly(d, inside, time.Duration(i%5)*time.Second/2); err != nil {
				t.Errorf("a message was cut: %v", err)
			}
		})
	}
	for range 50 {
		<-inside
	}
	if err := d.Stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	all.Wait()
	if lines := len(d.Lines("decision")); lines != 50 {
		t.Errorf("%d decisions are logged, want 50", lines)
	}
}

// slowly sends a message and waits in the midst of it.
func slowly(d *Daemon, inside chan<- struct{}, wait time.Duration) error {
	told := false
	tell := func() {
		if !told {
			inside <- struct{}{}
		}
		told = true
	}
	defer tell()
	client := milter.NewClient("tcp", d.Milter, milter.WithReadTimeout(patience))
	s, err := client.Session(milter.NewMacroBag())
	if err != nil {
		return err
	}
	defer s.Close()
	m := good()
	for _, say := range []func() (*milter.Action, error){
		func() (*milter.Action, error) { return s.Conn(m.Name, milter.FamilyInet, 12345, m.Addr) },
		func() (*milter.Action, error) { return s.Helo(m.Helo) },
		func() (*milter.Action, error) { return s.Mail(m.Sender, "") },
		func() (*milter.Action, error) { return s.Rcpt(m.Recipients[0], "") },
		s.DataStart,
		func() (*milter.Action, error) { return s.HeaderField(m.Header[0][0], m.Header[0][1], nil) },
		s.HeaderEnd,
	} {
		if _, err := say(); err != nil {
			return err
		}
	}
	tell()
	time.Sleep(wait)
	if _, err := s.BodyChunk([]byte(m.Body)); err != nil {
		return err
	}
	_, action, err := s.End()
	if err == nil && action.Type != milter.ActionAccept && action.Type != milter.ActionContinue {
		err = fmt.Errorf("the message was not taken: %+v", action)
	}
	return err
}

// TestDescriptors: with few descriptors sessions beyond them are told to come again or closed; the daemon lives, and is well afterwards.
func TestDescriptors(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Before: []string{"prlimit", "--nofile=60:60"}})
	serves(t, d, "at first")
	release := hold(t, d.Milter, 150)
	time.Sleep(500 * time.Millisecond)
	release()
	for range 50 {
		if a, err := d.Send(good()); err == nil && a.Code == 250 {
			if !d.Alive() {
				t.Error("the daemon is dead")
			}
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("the daemon does not recover")
}

// TestSessionsBound: a session beyond listen.sessions is told 421 4.3.2 and comes back.
func TestSessionsBound(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Listen: "sessions = 5\n"})
	inside := make(chan struct{}, 5)
	var held sync.WaitGroup
	for range 5 {
		held.Go(func() {
			if err := slowly(d, inside, 3*time.Second); err != nil {
				t.Error(err)
			}
		})
	}
	for range 5 {
		<-inside
	}
	a, err := d.Send(good())
	if err != nil || a.Code != 421 || !strings.Contains(a.Text, "4.3.2") {
		t.Errorf("the sixth got %+v, %v", a, err)
	}
	held.Wait()
	for range 50 { // until the daemon has seen that they hung up
		if a, err = d.Send(good()); err != nil || a.Code != 421 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil || a.Code != 250 {
		t.Errorf("when there is room: %+v, %v", a, err)
	}
}
