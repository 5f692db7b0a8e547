package soak

import (
	"fmt"
	"strings"
	"testing"
	"time"

	milter "github.com/d--j/go-milter"
)

// twice lets a client send two messages at once, and keeps two open sessions a client.
const twice = `
[[limit]]
name = "mails"
count = "messages"
per = ["client.ip"]
rate = "2/30d"
[[limit]]
name = "open"
count = "sessions"
per = ["client.ip"]
at_most = 4
[[rule]]
name = "crowd"
when = 'over.open'
reply = "421 4.7.0 Too many sessions"
at_once = true
[[rule]]
name = "twice"
when = 'over.mails'
reply = "451 4.7.1 Too many messages"
`

// from is honest mail of another client.
func from(addr string) Mail {
	m := good()
	m.Addr = addr
	return m
}

// answers gives the codes that several messages of a client got, and "-" for one without.
func answers(t *testing.T, d *Daemon, addr string, n int) string {
	t.Helper()
	var out []string
	for range n {
		a, err := d.Send(from(addr))
		if err != nil {
			t.Errorf("mail of %s: %v", addr, err)
			out = append(out, "-")
			continue
		}
		out = append(out, fmt.Sprint(a.Code))
	}
	return strings.Join(out, " ")
}

// TestRedisFaults: while Redis is killed, paused, slow or read-only, no mail is put off for it, the limits go on from this machine's own memory, status,
// metric and log say so, and when it is back all is well by itself. One that was emptied begins anew.
func TestRedisFaults(t *testing.T) {
	r := startRedis(t)
	d := Start(t, Options{Zone: zone, Policy: r.store() + twice})
	says(t, d, "all is well")
	if got := answers(t, d, "192.0.2.10", 3); got != "250 250 451" {
		t.Fatalf("with Redis: %s", got)
	}
	var unslow func()
	for i, c := range []struct {
		name     string
		do, undo func()
	}{
		{"killed", r.kill, r.start},
		{"paused", r.pause, r.resume},
		{"slow", func() { unslow = r.slow(80 * time.Millisecond) }, func() { unslow() }},
		{"read-only", r.readOnly, r.writable},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.do()
			for n := range 100 { // until a request has met it
				m := from(fmt.Sprintf("2001:db8:%d::%x", i+1, n+1))
				if a, err := d.Send(m); err != nil || a.Code != 250 {
					t.Fatalf("a new client's mail got %+v, %v", a, err)
				}
				if trouble, _ := d.Metric("gatepost_memory_trouble", ""); trouble == 1 {
					break
				}
			}
			if trouble, found := d.Metric("gatepost_memory_trouble", ""); !found || trouble != 1 {
				t.Errorf("gatepost_memory_trouble is %v", trouble)
			}
			if out, code := d.Command("status"); code != 1 || !strings.Contains(out, "WRONG    Redis at "+r.at+" is away since ") {
				t.Errorf("gatepost status (exit status %d):\n%s", code, out)
			}
			if got := answers(t, d, fmt.Sprintf("192.0.2.%d", 20+i), 3); got != "250 250 451" && c.name != "slow" { // slow ones may be counted in both
				t.Errorf("from its own memory: %s", got)
			}
			c.undo()
			says(t, d, "all is well")
			if got := answers(t, d, "192.0.2.10", 1); c.name != "killed" && got != "451" || c.name == "killed" && got != "250" { // one that was killed has forgotten
				t.Errorf("%s: who was over the limit before got %s", c.name, got)
			}
			answers(t, d, "192.0.2.10", 2) // over again
		})
	}
	t.Run("flushed", func(t *testing.T) {
		r.say("FLUSHALL")
		if got := answers(t, d, "192.0.2.10", 3); got != "250 250 451" {
			t.Errorf("who was over before it was emptied got %s", got)
		}
		says(t, d, "all is well")
	})
	if n := strings.Count(d.Log(), "Redis is away"); n == 0 || n > 8 {
		t.Errorf("%d lines say that Redis is away", n)
	}
}

// opened holds n SMTP sessions of a client open, past CONNECT, until the test ends, and gives how many were let in. One that was refused hangs up.
func opened(t *testing.T, d *Daemon, addr string, n int) (in int) {
	t.Helper()
	for range n {
		s, err := milter.NewClient("tcp", d.Milter, milter.WithReadTimeout(patience)).Session(milter.NewMacroBag())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		action, err := s.Conn("mail.good.example", milter.FamilyInet, 12345, addr)
		if err != nil {
			t.Fatal(err)
		}
		if action.SMTPCode >= 400 {
			s.Close()
			continue
		}
		in++
	}
	return in
}

// openKey is where Redis has the open sessions of a client that the limit "open" counts, each with the end of its lease.
func openKey(client string) string { return "gatepost:{limit%3Aopen:" + client + "}" }

// counts waits until Redis counts so many open sessions of a client: who hangs up is gone a moment later.
func (s *redisServer) counts(client string, n int) {
	s.t.Helper()
	got := ""
	for range 100 {
		if got = s.say("ZCOUNT", openKey(client), "0", "+inf"); got == fmt.Sprint(n) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Errorf("Redis counts %s open sessions, want %d", got, n)
}

// lease is how long the open sessions of a machine are believed in that tells no more of them.
const lease = 5 * time.Minute

// TestOneOfTwoKilled: two daemons share a Redis, and so a limit; one is killed. The other goes on counting, the sessions of the dead one among them
// until their leases are over.
func TestOneOfTwoKilled(t *testing.T) {
	long, _ := length(t)
	r := startRedis(t)
	a, b := Start(t, Options{Zone: zone, Policy: r.store() + twice}), Start(t, Options{Zone: zone, Policy: r.store() + twice})
	says(t, a, "all is well")
	says(t, b, "all is well")
	const client = "192.0.2.10"
	if got := answers(t, a, client, 1) + " " + answers(t, b, client, 2); got != "250 250 451" {
		t.Errorf("one message by one and two by the other: %s", got)
	}
	r.counts(client, 0)
	if n := opened(t, a, client, 2); n != 2 {
		t.Errorf("%d of 2 sessions were let in by the first", n)
	}
	leases := strings.Fields(strings.Trim(r.say("ZRANGEBYSCORE", openKey(client), "0", "+inf"), "[]"))
	if len(leases) != 2 {
		t.Fatalf("leases of two sessions: %q", leases)
	}
	if n := opened(t, b, client, 3); n != 2 {
		t.Errorf("%d of 3 sessions were let in by the second, beside 2 with the first and at most 4", n)
	}
	r.counts(client, 4)
	a.Kill()
	if n := opened(t, b, client, 1); n != 0 {
		t.Error("the dead machine's sessions count no more, though their leases last")
	}
	if got := answers(t, b, "192.0.2.11", 3); got != "250 250 451" {
		t.Errorf("the other counts on: %s", got)
	}
	r.counts(client, 4)
	if long {
		time.Sleep(lease + time.Second)
	} else {
		for _, session := range leases { // five minutes later
			r.say("ZADD", openKey(client), "1", session)
		}
	}
	if n := opened(t, b, client, 3); n != 2 {
		t.Errorf("%d of 3 sessions were let in when the leases of the dead machine are over, want 2", n)
	}
	says(t, b, "all is well")
}
