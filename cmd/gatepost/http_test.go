package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// get asks the daemon over HTTP and gives the status and the body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

// freeAddress gives an address of this machine at which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestHealthAndMetrics: what a monitor sees of a daemon that is well, and of one whose policy file was broken.
func TestHealthAndMetrics(t *testing.T) {
	dir, err := os.MkdirTemp("", "gp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	address := freeAddress(t)
	text := strings.Replace(fmt.Sprintf(adminPolicy, dir), "[listen]", fmt.Sprintf("[listen]\nhttp = %q", address), 1)
	write(t, filepath.Join(dir, "allow"), "")
	write(t, filepath.Join(dir, "policy.toml"), text)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- runDaemon(ctx, filepath.Join(dir, "policy.toml"), new(bytes.Buffer), testSignals(t)) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
	}()
	status, body := 0, ""
	for range 200 {
		if status, body = get(t, "http://"+address+"/healthz"); status != 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if status != http.StatusOK || body != "ok\n" {
		t.Fatalf("/healthz: %d %q", status, body)
	}
	if status, body = get(t, "http://"+address+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %q", status, body)
	}
	_, body = get(t, "http://"+address+"/metrics")
	for _, want := range []string{`mode="observe"} 1`, "gatepost_policy_refused 0", "gatepost_memory_trouble 0", `gatepost_dns_lookups_total{outcome="hit"}`, `gatepost_build_info{`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	write(t, filepath.Join(dir, "policy.toml"), "mode = \"enfroce\"\n")
	_, _ = talk(t, dir, "reload", "--socket", filepath.Join(dir, "admin.sock"))
	if status, body = get(t, "http://"+address+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "was refused") {
		t.Errorf("/readyz with a broken policy file: %d %q", status, body)
	}
	_, body = get(t, "http://"+address+"/metrics")
	for _, want := range []string{"gatepost_policy_refused 1", `gatepost_policy_reloads_total{outcome="refused"} 1`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	if status, _ = get(t, "http://"+address+"/status"); status != http.StatusNotFound {
		t.Errorf("/status over http: %d, want 404: what commands ask is not for everybody", status)
	}
}

// counted counts how many of the connections that it accepted are open.
type counted struct {
	net.Listener
	mu                sync.Mutex
	open, most, taken int
}

func (c *counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open, c.taken = c.open+1, c.taken+1
	c.most = max(c.most, c.open)
	return &countedConn{Conn: conn, of: c}, nil
}

type countedConn struct {
	net.Conn
	once sync.Once
	of   *counted
}

func (c *countedConn) Close() error {
	c.once.Do(func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		c.of.open--
	})
	return c.Conn.Close()
}

// TestManyAskOverHTTP: whoever opens many connections takes no more descriptors than a few, and all are answered in their turn, also where none
// hangs up.
func TestManyAskOverHTTP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{Listener: l}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		(&daemon{log: slog.New(slog.DiscardHandler)}).serveWeb(ctx, c, http.NotFoundHandler(), "")
	}()
	defer func() { cancel(); <-ended }()
	const many = 3 * maxWeb
	conns := make([]net.Conn, many)
	for i := range conns {
		if conns[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close()
		if _, err := io.WriteString(conns[i], "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for i, conn := range conns {
		answer, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(answer, "404") {
			t.Fatalf("connection %d: %q, %v", i, answer, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.most > maxWeb || c.taken != many {
		t.Errorf("%d of %d connections were open at one time, %d taken; want at most %d", c.most, many, c.taken, maxWeb)
	}
}
