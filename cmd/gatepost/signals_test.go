package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// TestHangupAtTheEnd: a SIGHUP behind the main loop ends nothing. The test runs itself as the process that gets it, since Go gives a signal back its
// default action only where nobody else listens.
func TestHangupAtTheEnd(t *testing.T) {
	if os.Getenv("GATEPOST_HANGUP") == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestHangupAtTheEnd$")
		c.Env = append(os.Environ(), "GATEPOST_HANGUP=1")
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	newSignals().close()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
