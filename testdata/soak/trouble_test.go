package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// fault is one thing that goes wrong. make lets it happen, waits a moment, and mends what does not mend itself.
type fault struct {
	name string
	make func(*rand.Rand)
}

// aMoment waits for 0.2 to 1 s.
func aMoment(r *rand.Rand) { time.Sleep(time.Duration(200+r.IntN(800)) * time.Millisecond) }

// outside are the faults of what is around the daemon: the clock, DNS, the policy file, who connects.
func (p *place) outside(t *testing.T) []fault {
	dns := func(name string, does resolvetest.Fault) fault {
		return fault{"DNS " + name, func(r *rand.Rand) {
			p.DNS.Misbehave(does)
			aMoment(r)
			p.DNS.Misbehave()
		}}
	}
	was, err := os.ReadFile(p.PolicyFile())
	if err != nil {
		t.Fatal(err)
	}
	policy := func(name, more string) fault {
		return fault{"policy " + name, func(*rand.Rand) {
			p.mu.Lock() // with a mistake it does not begin anew, as it must not
			defer p.mu.Unlock()
			_ = os.WriteFile(p.PolicyFile(), append(append([]byte(nil), was...), more...), 0o644)
			p.Command("reload") // its exit status is the policy's
			_ = os.WriteFile(p.PolicyFile(), was, 0o644)
			p.Command("reload")
		}}
	}
	return append(p.clocks(t), []fault{
		dns("silent", resolvetest.Silent), dns("SERVFAIL", resolvetest.Rcode(2)), dns("REFUSED", resolvetest.Rcode(5)), dns("junk", resolvetest.Junk),
		dns("another's id", resolvetest.WrongID), dns("truncated", resolvetest.Truncate), dns("slow", resolvetest.Delay(300*time.Millisecond)), dns("30 s slow", resolvetest.Delay(30*time.Second)),
		policy("as it was", ""), policy("with a mistake", "\n[[rule]]\nname = 7\n"),
		policy("deeply nested", "\n[[rule]]\nname = \"deep\"\nwhen = '"+strings.Repeat("(", 3000)+"client.trusted"+strings.Repeat(")", 3000)+"'\naction = \"accept\"\n"),
		policy("of a thousand rules", thousand()),
		{"junk at the socket", func(r *rand.Rand) {
			for range 5 {
				throw(t, p.Milter, junk()[r.IntN(len(junk()))])
			}
		}},
		{"a crowd that drips", func(r *rand.Rand) {
			release := hold(t, p.Milter, 50)
			aMoment(r)
			release()
		}},
	}...)
}

// thousand are a thousand rules that never speak.
func thousand() string {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "\n[[rule]]\nname = \"r%d\"\nwhen = 'sender.domain == \"d%d.test\" && sender.domain.matches(\"^(a|b){1,20}c$\")'\naction = \"accept\"\n", i, i)
	}
	return b.String()
}

// inside are the faults of the process, of what it may have, and of its memory and history.
func (p *place) inside(t *testing.T) []fault {
	out := []fault{
		{"kill -9", func(r *rand.Rand) { p.anew(t, func() { p.killed(r) }) }},
		{"SIGTERM", func(*rand.Rand) { p.anew(t, p.terminated) }},
		{"SIGHUP", func(*rand.Rand) {
			p.mu.Lock()
			defer p.mu.Unlock()
			for range 5 {
				p.Signal(syscall.SIGHUP)
			}
		}},
		{"corrupt files", func(*rand.Rand) { p.anew(t, func() { p.terminated(); p.spoil(t) }) }},
		{"folder gone while it is down", func(*rand.Rand) { p.anew(t, func() { p.terminated(); p.vanish(t) }) }},
		{"few descriptors", p.fewDescriptors},
		{"files locked", func(r *rand.Rand) {
			p.mu.Lock()
			defer p.mu.Unlock()
			unlock := lockFiles(t, p.Daemon)
			aMoment(r)
			aMoment(r)
			aMoment(r)
			unlock()
		}},
	}
	if p.disk == "" { // a disk cannot be renamed
		out = append(out, fault{"folder away", func(r *rand.Rand) {
			p.mu.Lock()
			defer p.mu.Unlock()
			_ = os.Rename(p.State(), p.State()+".away")
			aMoment(r)
			aMoment(r)
			_ = os.Rename(p.State()+".away", p.State())
		}})
	}
	if p.disk != "" {
		out = append(out, fault{"disk full", func(r *rand.Rand) {
			p.mu.Lock()
			defer p.mu.Unlock()
			empty := fill(t, p.State())
			defer empty()
			aMoment(r)
			aMoment(r)
		}}, fault{"disk full while it begins", func(r *rand.Rand) {
			var empty func()
			p.anew(t, func() { p.terminated(); empty = fill(t, p.State()) })
			defer empty()
			aMoment(r)
			aMoment(r)
		}})
	}
	if p.redis == nil {
		return out
	}
	server := func(name string, do, undo func()) fault {
		return fault{"Redis " + name, func(r *rand.Rand) {
			p.store.Lock()
			defer p.store.Unlock()
			do()
			aMoment(r)
			undo()
		}}
	}
	stop := func() {}
	return append(out, server("killed", p.redis.kill, p.redis.start), server("paused", p.redis.pause, p.redis.resume),
		server("slow", func() { stop = p.redis.slow(80 * time.Millisecond) }, func() { stop() }),
		server("flushed", func() { p.redis.say("FLUSHALL") }, func() {}), server("read-only", p.redis.readOnly, p.redis.writable))
}

// anew has the process end in some way and begin again.
func (p *place) anew(t *testing.T, ends func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ends()
	p.Begin()
}

// losses counts what was lost so far, once all is well: nothing is lost then before the process ends. What was held up is written before it counts; it
// gives since when what ended may not be written yet.
func (p *place) losses() (since time.Time) {
	for range 100 {
		if out, _ := p.Command("status"); !strings.Contains(out, "the history cannot") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	since = time.Now().Add(-late)
	if err := p.Flush(); err != nil {
		p.t.Errorf("%s: the history is not written: %v", p.name, err)
	}
	lost, read := p.Metric("gatepost_history_records_total", "lost")
	if !read {
		p.t.Errorf("%s: the daemon does not say what was lost", p.name)
	}
	p.lost += int64(lost)
	return since
}

// late is how long after a session's end, as its client sees it, its record is handed to the history at the latest.
const late = 500 * time.Millisecond

// killed ends the process under load. What it had not committed is gone: at most what ended since the history was written as a whole.
func (p *place) killed(r *rand.Rand) {
	since := p.losses()
	time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond) // somewhere between two commits, or in one
	p.generation.Add(1)
	p.Kill()
	p.unsure += p.recent.since(since)
	p.generation.Add(1) // whoever connects now waits for the next process
}

// terminated ends the process as systemd does, while somebody asks for a reload: nobody loses a connection, but who takes longer than grace.
func (p *place) terminated() {
	p.losses()
	p.terminations.Add(1)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p.Signal(s)
	}
	if err := p.Stop(); err != nil {
		p.t.Errorf("%s: the daemon ended with %v", p.name, err)
	}
}

// grace is how long a session may go on when the daemon is told to end.
const grace = 10 * time.Second

// spoil makes the files of a daemon that is down something else.
func (p *place) spoil(t *testing.T) {
	p.rows += int64(rowsOf(t, p.Daemon))
	for _, name := range databases {
		file := filepath.Join(p.State(), name)
		if _, err := os.Stat(file); err == nil { // else the memory is elsewhere
			_ = os.WriteFile(file, []byte(strings.Repeat("no database ", 5000)), 0o640)
		}
	}
}

// vanish removes what is in the folder of a daemon that is down.
func (p *place) vanish(t *testing.T) {
	p.rows += int64(rowsOf(t, p.Daemon))
	all, err := filepath.Glob(filepath.Join(p.State(), "*"))
	if err != nil {
		t.Error(err)
	}
	for _, file := range all {
		_ = os.RemoveAll(file)
	}
}

// fewDescriptors leaves the process hardly more descriptors than it has, for a moment.
func (p *place) fewDescriptors(r *rand.Rand) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limit := func(n string) {
		_ = exec.Command("prlimit", "--pid", fmt.Sprint(p.cmd.Process.Pid), "--nofile="+n+":").Run()
	}
	p.generation.Add(1) // sessions beyond the limit are closed
	limit(fmt.Sprint(int(p.Use().Descriptors) + 3))
	aMoment(r)
	limit("65536")
	p.generation.Add(1)
}

// fill leaves no room on a disk until the function that it gives is called.
func fill(t *testing.T, folder string) (empty func()) {
	filler := filepath.Join(folder, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Error(err)
		return func() {}
	}
	defer f.Close()
	for size, end := int64(64<<20), int64(0); size >= 4<<10; {
		if syscall.Fallocate(int(f.Fd()), 0, end, size) != nil {
			size /= 2
			continue
		}
		end += size
	}
	return func() { _ = os.Remove(filler) }
}

// diskSize is how large the state's disk of the mix is, where one can be made.
func diskSize(t *testing.T) string {
	if os.Getuid() != 0 {
		if os.Getenv("GATEPOST_CI") != "" {
			t.Fatal("a small disk is made by root only")
		}
		t.Log("NOT TESTED: a full disk in the mix; a small disk is made by root only")
		return ""
	}
	return "512m"
}
