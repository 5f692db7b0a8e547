package milter

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestParseClient: addresses as Postfix and Sendmail write them.
func TestParseClient(t *testing.T) {
	for _, c := range []struct{ family, address, want string }{
		{"tcp4", "192.0.2.1", "192.0.2.1"}, {"tcp6", "2001:db8::1", "2001:db8::1"}, {"tcp6", "IPv6:2001:db8::1", "2001:db8::1"},
		{"tcp6", "IPv6:::ffff:192.0.2.1", "192.0.2.1"}, {"tcp6", "[2001:db8::1]", "2001:db8::1"}, {"tcp6", "fe80::1%eth0", "fe80::1"},
		{"unix", "/run/x", "invalid IP"}, {"unknown", "", "invalid IP"}, {"tcp4", "x", "invalid IP"},
	} {
		if got := ParseClient(c.family, c.address).String(); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.family, c.address, got, c.want)
		}
	}
}

// TestListenErrors: each one line that names the socket and what to do.
func TestListenErrors(t *testing.T) {
	used, err := Listen("inet:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for spec, want := range map[string]string{
		"inet:" + used.Addr().String(): "is in use by another process",
		"unix:" + dir + "/no/socket":   "its folder does not exist; make it",
		"unix:" + file:                 "is there and no socket",
		"inet:192.0.2.1:25":            "this machine has no such address",
		"pipe:/x":                      "is no socket; write inet:",
	} {
		l, err := Listen(spec)
		if err == nil {
			l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", spec, err, want)
		}
	}
}

// TestUnixSocket: a session over it; a stale one is replaced, one that is in use is not; owner and group may use it.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "milter.sock")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	l, err := Listen("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	server := NewServer(Config{NewSession: func(net.Addr) Handler { return &recorder{} }})
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), l) }()
	if _, err := Listen("unix:" + path); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Errorf("a socket in use: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Write(frame('O', offer(6, 0x1ff, 0x1fffff)))
	reply := make([]byte, 5)
	if _, err := c.Read(reply); err != nil || reply[4] != 'O' {
		t.Errorf("%q, %v", reply, err)
	}
	c.Close()
	server.Shutdown(context.Background())
	if err := <-done; err != nil {
		t.Error(err)
	}
}
