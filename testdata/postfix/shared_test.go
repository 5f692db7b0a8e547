package postfix

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	milter "github.com/d--j/go-milter"
)

// startRedis starts a redis-server of one test's own and gives its address.
func startRedis(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("GATEPOST_CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("redis-server", "--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	goFirst(server)
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	for range 200 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("redis-server does not listen")
	return ""
}

// goFirst lets a process run before others of a busy machine: 50 ms are short there. Only root may ask for it.
func goFirst(c *exec.Cmd) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, c.Process.Pid, -15) }

// startSharing starts a daemon that counts in a Redis, and gives its address.
func startSharing(t *testing.T, redis string) string {
	t.Helper()
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), fmt.Sprintf("127.0.0.1:%d", ports[0])
	policy := fmt.Sprintf(`mode = "enforce"
[listen]
milter = ["inet:%s"]
admin = "unix:%s/admin.sock"
[server]
directory = %q
delay_reject = false
[dns]
servers = ["127.0.0.1:1"]
[store]
kind = "redis"
url = "redis://%s/0"
[[limit]]
name = "all"
count = "messages"
per = ["sender.domain"]
rate = "1000/1d"
[[rule]]
name = "too-much"
when = 'over.all'
reply = "421 4.7.0 Too much"
at_once = true
`, address, dir, dir, redis)
	file, logFile := filepath.Join(dir, "policy.toml"), filepath.Join(dir, "log")
	if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	daemon := exec.Command(binary, "serve", "--policy", file)
	daemon.Stderr = out
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Process.Kill(); daemon.Wait() })
	goFirst(daemon)
	for range 200 {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			c.Close()
			return address
		}
		time.Sleep(25 * time.Millisecond)
	}
	text, _ := os.ReadFile(logFile)
	t.Fatalf("gatepost serve does not listen:\n%s", text)
	return ""
}

// storm sends messages through a session and counts those that are let through, until all are sent.
func storm(t *testing.T, address string, domain string, messages int, passed, refused *atomic.Int64) {
	client := milter.NewClient("tcp", address)
	session, err := client.Session(nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer session.Close()
	if _, err := session.Conn("mail.example.org", milter.FamilyInet, 1000, "192.0.2.1"); err != nil {
		t.Error(err)
		return
	}
	session.Helo("mail.example.org")
	for range messages {
		action, err := session.Mail("a@"+domain, "")
		switch {
		case err != nil:
			t.Error(err)
			return
		case action.Type == milter.ActionContinue:
			passed.Add(1)
		case action.SMTPCode == 421:
			refused.Add(1)
		default:
			t.Errorf("%+v", action)
		}
		session.Abort(nil)
	}
}

// TestTwoDaemonsOneLimit: two daemons with one Redis enforce one limit. Of 10,000 messages through both the limit is let through, give or
// take one. On a machine so busy that Redis does not answer a daemon within 50 ms it counts by itself for a while, as it should: Redis then
// was asked less often, and that try says nothing.
func TestTwoDaemonsOneLimit(t *testing.T) {
	const limit, events, sessions, tries = 1000, 10_000, 4, 20
	redis := startRedis(t)
	daemons := []string{startSharing(t, redis), startSharing(t, redis)}
	for try := range tries {
		before := asked(t, redis)
		var passed, refused atomic.Int64
		var group sync.WaitGroup
		for i := range sessions {
			group.Go(func() {
				storm(t, daemons[i%2], fmt.Sprintf("try%d.example", try), events/sessions, &passed, &refused)
			})
		}
		group.Wait()
		if asked(t, redis)-before < events {
			time.Sleep(time.Second)
			continue
		}
		if n := passed.Load(); n < limit-1 || n > limit+1 || n+refused.Load() != events {
			t.Errorf("%d were let through and %d refused of %d, under a limit of %d", n, refused.Load(), events, limit)
		}
		return
	}
	t.Errorf("Redis was away in each of %d tries", tries)
}

// scripts finds how often scripts ran, and how often of them in vain.
var scripts = regexp.MustCompile(`cmdstat_eval(?:sha)?:calls=(\d+),.*failed_calls=(\d+)`)

// asked gives how many steps Redis was asked to carry out.
func asked(t *testing.T, redis string) int {
	t.Helper()
	c, err := net.Dial("tcp", redis)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "INFO commandstats\r\nQUIT\r\n")
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range scripts.FindAllStringSubmatch(string(text), -1) {
		calls, _ := strconv.Atoi(m[1])
		failed, _ := strconv.Atoi(m[2])
		n += calls - failed
	}
	return n
}
