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

// commit is how old what a kill -9 costs may be: a commit a second (DESIGN.md section 8), and the time that a busy machine takes for one.
const commit = 1500 * time.Millisecond

// TestKilled: kill -9 under load. Each time the daemon starts clean, what was counted is at most a second old, the history can be read, and those who
// come meanwhile are served by the next process.
func TestKilled(t *testing.T) {
	long, _ := length(t)
	rounds := 4
	if long {
		rounds = 100
	}
	d := Start(t, Options{Zone: zone, Policy: counting, Handover: true})
	counted, lost, worst := 0, 0, 0
	for round := range rounds {
		var answered recent
		ctx, cancel := context.WithCancel(context.Background())
		var load sync.WaitGroup
		for range 4 {
			load.Go(func() {
				for ctx.Err() == nil {
					if a, err := d.Send(good()); err == nil && a.Ended {
						answered.add(time.Now())
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		time.Sleep(commit + time.Duration(round%7)*150*time.Millisecond)
		cancel() // those under way come to their end
		killed := time.Now()
		d.Kill()
		d.Begin()
		load.Wait()
		sure, all := int(answered.until(killed.Add(-commit))), int(answered.until(time.Now()))
		level := int(levelOf(t, d))
		if level < counted+sure || level > counted+all+8 {
			t.Fatalf("round %d: %d were counted; %d were answered more than a second before the kill, %d in all", round, level, counted+sure, counted+all)
		}
		if rows := rowsOf(t, d); rows < counted+sure-lost {
			t.Fatalf("round %d: the history has %d records, %d messages were answered more than a second before the kill", round, rows, counted+sure)
		}
		gone := counted + all - level
		lost, worst = lost+gone, max(worst, gone)
		counted = level
	}
	if strings.Contains(d.Log(), "corrupt") {
		t.Error("a file was corrupt")
	}
	t.Logf("%d kills, %d messages counted; at most %d, and %.1f on average, were not, of those answered in the last moment", rounds, counted, worst, float64(lost)/float64(rounds))
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
	step := 500 * time.Millisecond
	if long, _ := length(t); long {
		step = 2 * time.Second
	}
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t)})
	var all sync.WaitGroup
	inside := make(chan struct{}, 50)
	for i := range 50 {
		all.Go(func() {
			if err := slowly(d, inside, time.Duration(i%5)*step); err != nil {
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

// TestHandover: while sockets that systemd hands over stay open, a restart under load loses no connection: each message gets its answer, from this
// process or from the next.
func TestHandover(t *testing.T) {
	long, _ := length(t)
	rounds := 3
	if long {
		rounds = 50
	}
	d := Start(t, Options{Zone: zone, Policy: counting, Handover: true}) // no limit of the shipped rules is over for one client
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var load sync.WaitGroup
	var taken atomic.Int64
	for range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				if a, err := d.Send(good()); err != nil || a.Code != 250 {
					t.Errorf("a message got %+v, %v", a, err)
				}
				taken.Add(1)
			}
		})
	}
	for range rounds {
		time.Sleep(300 * time.Millisecond)
		if err := d.Stop(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		d.Begin()
	}
	cancel()
	load.Wait()
	n := int64(len(d.Lines("decision")))
	if n != taken.Load() {
		t.Errorf("%d decisions are logged, %d messages were taken", n, taken.Load())
	}
	t.Logf("%d messages over %d restarts", n, rounds)
}

// TestMemoryLimited: in a control group with little memory, sessions beyond it are told 421 4.3.2 or closed, nobody kills the daemon, and it is well
// afterwards.
func TestMemoryLimited(t *testing.T) {
	group := inCgroup(t, "limited", 96<<20)
	if group == nil {
		return // said
	}
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Before: group})
	serves(t, d, "at first")
	large := strings.Repeat("a line of a large message, as long as most\r\n", 50_000)
	var load sync.WaitGroup
	var taken, refused, closed atomic.Int64
	for i := range 200 {
		load.Go(func() {
			m := from(fmt.Sprintf("2001:db8:%x::1", i+1))
			m.Body = large
			for range 40 {
				m.Header = append(m.Header, [2]string{"X-Large", " " + strings.Repeat("x", 20_000)})
			}
			a, err := d.Send(m)
			switch {
			case err != nil:
				closed.Add(1)
			case a.Code == 421 && strings.Contains(a.Text, "4.3.2"):
				refused.Add(1)
			default:
				taken.Add(1)
			}
		})
	}
	load.Wait()
	if !d.Alive() {
		t.Fatal("the daemon was killed")
	}
	if refused.Load() == 0 || taken.Load() == 0 {
		t.Errorf("%d were told 421 4.3.2, %d had their decision: want both", refused.Load(), taken.Load())
	}
	for range 50 {
		if a, err := d.Send(good()); err == nil && a.Code == 250 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	serves(t, d, "afterwards")
	t.Logf("200 sessions at once: %d had their decision, %d were told 421 4.3.2, %d were closed; %.0f MiB are resident", taken.Load(), refused.Load(), closed.Load(), d.Use().Resident/(1<<20))
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
