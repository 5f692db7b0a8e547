package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestLogUnread: while nobody reads the log, because its reader is stopped, mail goes on, and status and metric say what is lost; when it is read again,
// the lines that had waited come whole and in their order, the log tells how many are missing, and all is well. One whose reader has gone lives on.
func TestLogUnread(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	d := Start(t, Options{Zone: zone, Policy: counting, Stderr: w})
	w.Close() // the daemon has its own
	serves(t, d, "at first")
	sent := int64(1)
	var load sync.WaitGroup
	var mu sync.Mutex
	for range 8 {
		load.Go(func() {
			for range 10_000 {
				if lost, _ := d.Metric("gatepost_log_lines_lost_total", ""); lost >= 50 {
					return
				}
				for range 25 {
					serves(t, d, "while nobody reads the log")
				}
				mu.Lock()
				sent += 25
				mu.Unlock()
			}
		})
	}
	load.Wait()
	says(t, d, "WRONG", "the log cannot be written since", "nobody reads it; mail goes on, ")
	lost, _ := d.Metric("gatepost_log_lines_lost_total", "")

	read := make(chan map[string]any, 100_000)
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			var line map[string]any
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				t.Errorf("a line that is broken: %q", lines.Text())
			}
			read <- line
		}
	}()
	says(t, d, "all is well")
	decisions, before := int64(0), time.Time{}
	for line := range read {
		if line["msg"] == "decision" {
			decisions++
		}
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["time"]))
		if err != nil || at.Before(before.Add(-time.Second)) { // sessions at the same time come in any order
			t.Errorf("%v follows %v: %v", line, before, err)
		}
		if before = at; line["msg"] == "lines of the log were lost: it could not be written, or nobody read it" {
			if line["lines"] != lost {
				t.Errorf("the log tells of %v lines, lost are %v", line["lines"], lost)
			}
			break
		}
	}
	if decisions+int64(lost) != sent {
		t.Errorf("%d decisions are logged and %v lines lost, %d messages were sent", decisions, lost, sent)
	}
	t.Logf("%d messages while nobody read the log: %d lines waited, %v were lost", sent, decisions, lost)
	r.Close()
	for range 20 {
		serves(t, d, "without a reader")
	}
	says(t, d, "WRONG", "the log cannot be written since", "broken pipe")
	if err := d.Stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
}

// TestSignalsWhileItStops: SIGHUP and a second SIGTERM, while sessions end or the files are closed, do no harm: the history has every message.
func TestSignalsWhileItStops(t *testing.T) {
	d := Start(t, Options{Zone: zone, Policy: counting})
	for range 50 {
		serves(t, d, "at first")
	}
	unlock := lockFiles(t, d) // so that closing them takes a while
	inside := make(chan struct{}, 1)
	var load sync.WaitGroup
	load.Go(func() {
		if err := slowly(d, inside, 500*time.Millisecond); err != nil {
			t.Errorf("a message was cut: %v", err)
		}
	})
	<-inside
	again := func() {
		for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT} {
			d.Signal(s)
		}
	}
	d.Signal(syscall.SIGTERM)
	d.logs(t, "stopping", func() {})
	d.logs(t, "stopped", again)
	if !d.Alive() {
		t.Error("the daemon does not close its files")
	}
	for range 20 {
		again()
		time.Sleep(10 * time.Millisecond)
	}
	unlock()
	again()
	if err := d.Stop(); err != nil {
		t.Errorf("the daemon ended with %v", err)
	}
	load.Wait()
	if n := rowsOf(t, d); n != 51 {
		t.Errorf("the history has %d records, want 51", n)
	}
	if n := len(d.Lines("policy reloaded")); n > 0 {
		t.Errorf("the policy was loaded %d times while it stopped", n)
	}
}

// logs waits until a line with a message is in the log, and does something meanwhile.
func (d *Daemon) logs(t *testing.T, message string, meanwhile func()) {
	t.Helper()
	for range 500 {
		if len(d.Lines(message)) > 0 {
			return
		}
		meanwhile()
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("the log does not say %q", message)
}
