package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
)

// testSignals gives signals that the process of the tests has back when the test ends.
func testSignals(t *testing.T) signals {
	s := newSignals()
	t.Cleanup(func() { signal.Stop(s.stop) })
	return s
}

// TestSignalsAtTheEnd: SIGTERM and SIGHUP behind the main loop do not end the process. The test runs itself as the process that gets them, since Go gives
// a signal back its default action only where nobody else listens.
func TestSignalsAtTheEnd(t *testing.T) {
	if os.Getenv("GATEPOST_SIGNALS") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestSignalsAtTheEnd$")
		c.Env = append(os.Environ(), "GATEPOST_SIGNALS=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	dir, err := os.MkdirTemp("", "gp")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	write(t, filepath.Join(dir, "allow"), "")
	write(t, filepath.Join(dir, "policy.toml"), fmt.Sprintf(adminPolicy, dir))
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // it ends as soon as it has begun
	if err := runDaemon(ctx, filepath.Join(dir, "policy.toml"), io.Discard, newSignals()); err != nil {
		t.Error(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Error(err)
		}
	}
}
