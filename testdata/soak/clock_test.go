package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// timed has limits whose senders are known by their greeting, and who else greets so is taken: no other rule, and no DNS, speaks with them. The slow
// limit is over after three messages, for a year; the fast one after two, for two seconds.
const timed = `
[[limit]]
name = "slow"
count = "messages"
per = ["client.ip"]
rate = "3/365d"
when = 'helo.name == "slow.example"'
[[limit]]
name = "fast"
count = "messages"
per = ["client.ip"]
rate = "2/4s"
when = 'helo.name == "fast.example"'
[[rule]]
name = "slow"
when = 'helo.name == "slow.example" && over.slow'
reply = "451 4.7.1 Too many messages"
[[rule]]
name = "fast"
when = 'helo.name == "fast.example" && over.fast'
reply = "451 4.7.1 Too many messages"
[[rule]]
name = "timed"
when = 'helo.name in ["slow.example", "fast.example", "any.example"]'
action = "accept"
`

// clocks are what happens to a clock. Each gives how far it is off, one after the other, before it is right again.
func (p *place) clocks(t *testing.T) []fault {
	const day = 24 * time.Hour
	step := func(name string, off func(*rand.Rand) []time.Duration) fault {
		return fault{"clock " + name, func(r *rand.Rand) {
			p.mu.Lock() // no fault of the process, of its files or of its Redis meanwhile
			defer p.mu.Unlock()
			p.store.Lock()
			defer p.store.Unlock()
			p.steps(t, r, "clock "+name, off(r))
		}}
	}
	return []fault{
		step("back an hour", func(*rand.Rand) []time.Duration { return []time.Duration{-time.Hour} }),
		step("forward a day", func(*rand.Rand) []time.Duration { return []time.Duration{day} }),
		step("months ahead", func(r *rand.Rand) []time.Duration { return []time.Duration{time.Duration(31+r.IntN(70)) * day} }),
		step("years back", func(r *rand.Rand) []time.Duration { return []time.Duration{-time.Duration(400+r.IntN(4000)) * day} }),
		step("leap second", func(*rand.Rand) []time.Duration { return []time.Duration{-time.Second, time.Second} }),
		step("summer time", func(*rand.Rand) []time.Duration {
			at := p.clock.change()
			return []time.Duration{at - 2*time.Second, at + time.Second} // before and behind the change
		}),
	}
}

// steps steps the clock, and wants what SMTP clients and the admin are to see then and afterwards.
func (p *place) steps(t *testing.T, r *rand.Rand, name string, off []time.Duration) {
	w := &witness{place: p, t: t, r: r, name: name, when: "before it"}
	away, _ := p.Metric("gatepost_alarms_total", "Redis is away") // before it is seen to be back: whatever comes from here on is counted
	says(t, p.Daemon, "all is well")                              // trouble of earlier faults is over
	before := p.status(t)
	w.over, w.rare, w.quick = w.sender("slow.example"), w.sender("slow.example"), w.sender("fast.example")
	w.wants("who sends too much", w.over(4), "250 250 250 451")
	w.wants("who sends little", w.rare(1), "250")
	first, idle := w.amid(), silent(t, p.Milter)
	for i, by := range off {
		p.clock.set(by)
		w.when = fmt.Sprintf("while it is off by %v", by)
		if i == 0 {
			first("a message that began before")
			w.wants("who sends little", w.rare(1), "250")
			codes := w.quick(8) // on a slow machine a third may come through meanwhile
			w.wants("that two of eight messages at once come through, and one does not", fmt.Sprint(strings.HasPrefix(codes, "250 250 ") && strings.Contains(codes, "451")), "true")
		}
		w.stays()
		w.isLate(by)
		time.Sleep(1100 * time.Millisecond) // the memory looks at the clock each second
		says(t, p.Daemon, "all is well")
	}
	last := w.amid()
	p.clock.set(0)
	w.when = "afterwards"
	last("a message that began under it")
	w.wants("who sends little", w.rare(1), "250")
	w.stays()
	time.Sleep(drained)
	w.wants("who sent too much, some seconds later", w.quick(1), "250")
	if strings.Contains(name, "hour") { // it takes ten seconds
		idle(p.name + ", " + name)
	}
	says(t, p.Daemon, "all is well")
	w.stands(before)
	if again, _ := p.Metric("gatepost_alarms_total", "Redis is away"); again != away {
		t.Logf("%s, %s: Redis was away for a moment, what the limits had counted is on two sides: their answers are not judged", p.name, name)
		return
	}
	for _, one := range w.wrong {
		t.Error(one)
	}
}

// drained is more than the fast limit takes to let one message more through: four seconds.
const drained = 5 * time.Second

// witness sends mail around the steps of a clock, and notes which answers are wrong.
type witness struct {
	*place
	t                 *testing.T
	r                 *rand.Rand
	name, when        string             // the fault, and how far it is
	over, rare, quick func(n int) string // senders: one over its limit, one that never is, one that is for some seconds
	wrong             []string           // answers of limits
}

// stays wants what holds at any time: who is over a limit is stopped, also one who is new, and DNS has its results.
func (w *witness) stays() {
	w.wants("who was over the limit", w.over(1), "451")
	w.wants("a new sender who sends too much", w.sender("slow.example")(4), "250 250 250 451")
	w.resolves()
}

// stands waits until status says again what it said before: the memory looks at the clock each second. One in a Redis has a clock of its own.
func (w *witness) stands(before standing) {
	now := before
	for range 20 {
		if now = w.status(w.t); now == before || w.redis != nil {
			return
		}
		time.Sleep(250 * time.Millisecond)
	}
	w.t.Errorf("%s, %s: status was %+v and is %+v", w.place.name, w.name, before, now)
}

func (w *witness) wants(what, have, want string) {
	if have != want {
		w.wrong = append(w.wrong, fmt.Sprintf("%s, %s, %s: %s got %q, want %q", w.place.name, w.name, w.when, what, have, want))
	}
}

// sender gives a new client: called with a number, it sends so many messages, and gives the codes of the answers.
func (w *witness) sender(helo string) func(n int) string {
	m := timedMail(fmt.Sprintf("2001:db8:%x:%x::%x", w.r.IntN(1<<16), w.r.IntN(1<<16), 1+w.r.IntN(1<<15)), helo)
	return func(n int) string {
		var codes []string
		for range n {
			codes = append(codes, fmt.Sprint(w.sends(m).Code))
		}
		return strings.Join(codes, " ")
	}
}

// timedMail is mail of a client that no rule and no limit speaks with but those of timed.
func timedMail(addr, helo string) Mail {
	m := from(addr)
	m.Helo = helo
	return m
}

// sends sends a mail while nothing may break it off, and counts it for the account.
func (w *witness) sends(m Mail) Answer {
	a, err := w.Send(m)
	if err != nil {
		w.t.Errorf("%s, %s, %s: a session was broken off: %v", w.place.name, w.name, w.when, err)
	}
	w.sessions.Add(1)
	w.refusals.Add(int64(a.Refusals))
	if a.Ended {
		w.ended.Add(1)
	}
	w.recent.add(time.Now())
	return a
}

// amid begins a message and stays in its midst until the function that it gives is called, which wants it taken.
func (w *witness) amid() (end func(what string)) {
	there, goOn, code := make(chan struct{}), make(chan struct{}), make(chan uint16, 1)
	var once sync.Once
	reached := func() { once.Do(func() { close(there) }) }
	m := timedMail("2001:db8::1", "any.example")
	m.Pause = func() {
		reached()
		<-goOn
	}
	go func() { // it ends with end, which is always called
		defer reached()
		code <- w.sends(m).Code
	}()
	<-there
	return func(what string) {
		close(goOn)
		if got := <-code; got != 250 {
			w.t.Errorf("%s, %s, %s: %s got %d", w.place.name, w.name, w.when, what, got)
		}
	}
}

// silent opens a connection that says nothing, and gives a function that wants it closed by then or soon: the daemon gives it ten seconds.
func silent(t *testing.T, address string) func(name string) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Error(err)
		return func(string) {}
	}
	t.Cleanup(func() { c.Close() })
	return func(name string) {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%s: a connection that says nothing is not closed: %d bytes, %v", name, n, err)
		}
	}
}

// resolves wants results out of DNS, once what earlier faults left in the cache is over (trouble is remembered for 5 s), and then for good.
func (w *witness) resolves() {
	right := func() (string, bool) {
		got := results(w.sends(timedMail("192.0.2.77", "any.example")))
		return got, strings.Contains(got, "spf=pass") && strings.Contains(got, "dmarc=pass")
	}
	got, is := right()
	for n := 0; n < 60 && !is; n++ {
		time.Sleep(250 * time.Millisecond)
		got, is = right()
	}
	for range 5 {
		if is {
			got, is = right()
		}
	}
	if !is {
		w.t.Errorf("%s, %s, %s: %s", w.place.name, w.name, w.when, got)
	}
}

// isLate wants the log's last line to bear the time of a clock that is so far off, in its time zone.
func (w *witness) isLate(by time.Duration) {
	text, err := tailOf(filepath.Join(w.Dir, "log"), 1<<16)
	if err != nil {
		w.t.Error(err)
	}
	lines := strings.Split(text[:strings.LastIndexByte(text, '\n')+1], "\n") // behind the last is a line that is just being written, or nothing
	lines = lines[:len(lines)-1]
	var line struct{ Time time.Time }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		w.t.Errorf("the log's last line: %q: %v", lines[len(lines)-1], err)
	}
	off := line.Time.Sub(time.Now().Add(by))
	if want := line.Time.In(w.clock.zone).Format(time.RFC3339); off.Abs() > time.Minute || line.Time.Format(time.RFC3339) != want {
		w.t.Errorf("%s, %s, %s: the log's last line is of %v: off by %v, in the zone it is %v", w.place.name, w.name, w.when, line.Time, off, want)
	}
}

// tailOf gives the end of a file.
func tailOf(path string, most int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-most), most))
	return string(text), err
}

// standing is what status says that no clock may change for good.
type standing struct {
	Born    time.Time `json:"memory_since"`
	Settled bool      `json:"memory_settled"`
}

func (d *Daemon) status(t *testing.T) (s standing) {
	out, _ := d.Command("status", "--json") // what is wrong is seen elsewhere
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	s.Born = s.Born.UTC().Truncate(time.Second)
	return s
}

// TestMonthsAhead: under a clock that is months ahead, from the start or all at once, the history stays, the memory does not pass for one that has
// listened for months, and who is blocked for a day is let in; when the clock is right again, all is as it was.
func TestMonthsAhead(t *testing.T) {
	const months = 60 * 24 * time.Hour
	c := newClock(t)
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Clock: c})
	bad := good()
	bad.Addr, bad.Sender = "203.0.113.50", ""
	becomes := func(when, what, want string, get func() string) {
		t.Helper()
		got := ""
		for range 80 {
			if got = get(); got == want {
				return
			}
			time.Sleep(250 * time.Millisecond)
		}
		t.Errorf("%s: %s is %q, want %q", when, what, got, want)
	}
	blocked := func() string {
		a, err := d.Send(bad)
		return fmt.Sprint(a.Code, err)
	}
	for range 20 {
		serves(t, d, "at first")
	}
	if out, code := d.Command("list", "add", "block", bad.Addr, "--for", "1d"); code != 0 {
		t.Fatalf("gatepost list add: %s", out)
	}
	becomes("at first", "who is blocked", "554 <nil>", blocked)
	was := d.status(t)
	begins := func() string { return fmt.Sprint(time.Since(d.status(t).Born.Add(-months)).Abs() < time.Minute) }
	stands := func() string { return fmt.Sprint(d.status(t) == was) }
	rows := func(when string) {
		time.Sleep(2500 * time.Millisecond) // two commits
		if n := rowsOf(t, d); n < 20 {
			t.Errorf("%s: the history has %d records", when, n)
		}
	}

	c.set(months)
	becomes("all at once", "that the memory begins anew", "true", begins)
	becomes("all at once", "who is blocked for a day", "250 <nil>", blocked)
	if long, _ := length(t); long {
		time.Sleep(65 * time.Second) // old records are looked for each minute
	}
	rows("all at once")
	c.set(0)
	becomes("set right", "that the memory is as it was", "true", stands)
	becomes("set right", "who is blocked", "554 <nil>", blocked)
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
	c.set(months)
	d.Begin()
	becomes("from the start", "that the memory begins anew", "true", begins)
	serves(t, d, "from the start")
	rows("from the start")
	c.set(0)
	becomes("set right again", "that the memory is as it was", "true", stands)
	becomes("set right again", "who is blocked", "554 <nil>", blocked)
	serves(t, d, "set right again")
	says(t, d, "all is well")
	if out, code := d.Command("explain", "--last"); code != 0 {
		t.Errorf("gatepost explain --last: exit status %d\n%s", code, out)
	}
}
