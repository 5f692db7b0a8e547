package state

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a redis-server of one test's own.
type redisServer struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
}

// startRedis starts a redis-server on a free port of the loopback; the test's end ends it.
func startRedis(t testing.TB, args ...string) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("GATEPOST_CI") != "" || os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed: apt-get install redis-server")
	}
	s := &redisServer{t: t, dir: t.TempDir(), port: freePort(t), args: args}
	t.Cleanup(s.kill)
	s.start()
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *redisServer) addr() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// start starts the server, also again after kill, and waits until it takes connections.
func (s *redisServer) start() {
	s.t.Helper()
	args := append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--logfile", filepath.Join(s.dir, "log")}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	waitFor(s.t, "redis-server listens", func() bool {
		conn, err := net.Dial("tcp", s.addr())
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (s *redisServer) kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// do sends a command of the test's own.
func (s *redisServer) do(args ...any) string {
	s.t.Helper()
	text, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%v: %v", args, err)
	}
	return text
}

func (s *redisServer) try(args ...any) (string, error) {
	client := redis.NewClient(&redis.Options{Addr: s.addr(), Protocol: 2})
	defer client.Close()
	v, err := client.Do(context.Background(), args...).Result()
	return fmt.Sprint(v), err
}

// waitMost only ends a test that is broken.
const waitMost = 30 * time.Second

// waitFor waits until something holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(waitMost); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

// logBuffer takes what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// calm is a bound that a slow test machine keeps; tests of being away use the real one.
const calm = 10 * time.Second

// openTest opens a store at an address.
func openTest(t testing.TB, cfg RedisConfig, bound time.Duration) *Redis {
	t.Helper()
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Local == nil {
		cfg.Local = NewEmbedded(10000, time.Unix(1000, 0))
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r, err := openRedis(cfg, bound)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func (s *redisServer) url() string { return "redis://" + s.addr() }

// do1 carries out one step now.
func do1(s Store, step Step) Result {
	return s.Do(context.Background(), time.Now(), []Step{step}, nil)[0]
}

// awayWith waits until the store says it is away, with a word of the reason.
func awayWith(t *testing.T, r *Redis, word string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("status: %q", r.Status())
		}
	})
	waitFor(t, "away with "+word, func() bool {
		do1(r, Step{Op: Touch, Table: "t", Key: "k", Keep: time.Hour})
		return strings.Contains(r.Status(), word)
	})
}

func (s *redisServer) pause()  { s.signal(syscall.SIGSTOP) }
func (s *redisServer) resume() { s.signal(syscall.SIGCONT) }

func (s *redisServer) signal(sig syscall.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// silentServer takes connections and never answers.
func silentServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
