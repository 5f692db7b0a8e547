package soak

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a Redis of one test's own, on the loopback.
type redisServer struct {
	t   testing.TB
	at  string
	dir string
	cmd *exec.Cmd
}

// startRedis starts a redis-server; the test's end ends it.
func startRedis(t testing.TB) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		unless(t, "redis-server is not installed: apt-get install redis-server")
	}
	s := &redisServer{t: t, at: freeAddress(t), dir: t.TempDir()}
	t.Cleanup(s.kill)
	s.start()
	return s
}

// unless leaves a test out where something that it needs is not there; in CI that is a failure.
func unless(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("GATEPOST_CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// store gives the policy's section for this server.
func (s *redisServer) store() string {
	return fmt.Sprintf("[store]\nkind = \"redis\"\nurl = \"redis://%s/0\"\n", s.at)
}

// start starts the process, also again after kill, and waits until it answers.
func (s *redisServer) start() {
	s.t.Helper()
	host, port, err := net.SplitHostPort(s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", host, "--dir", s.dir, "--save", "", "--logfile", filepath.Join(s.dir, "log"))
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 200 {
		if s.say("PING") == "PONG" {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.t.Errorf("redis-server at %s does not answer", s.at)
}

func (s *redisServer) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// pause stops the process until resume: it takes connections and never answers.
func (s *redisServer) pause()  { _ = s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *redisServer) resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// slow has every command wait for about so long, until the function that it gives is called.
func (s *redisServer) slow(each time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			s.say("CLIENT", "PAUSE", fmt.Sprint(each.Milliseconds()), "ALL")
			time.Sleep(each)
		}
	})
	return func() {
		cancel()
		work.Wait()
		s.say("CLIENT", "UNPAUSE")
	}
}

// readOnly makes the server a replica of nobody, which takes no writes; writable ends that.
func (s *redisServer) readOnly() { s.say("REPLICAOF", "127.0.0.1", "1") }
func (s *redisServer) writable() { s.say("REPLICAOF", "NO", "ONE") }

// say sends a command and gives the answer, or the error, in words.
func (s *redisServer) say(words ...string) string {
	client := redis.NewClient(&redis.Options{Addr: s.at, Protocol: 2, MaxRetries: -1, DialTimeout: 5 * time.Second})
	defer client.Close()
	args := make([]any, len(words))
	for i, w := range words {
		args[i] = w
	}
	v, err := client.Do(context.Background(), args...).Result()
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(fmt.Sprint(v))
}
