package resolve

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestPanic: a fault of this package is one question's trouble and one line in the log. Nobody waits for ever.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	c := New(Config{Servers: []string{"127.0.0.1:1"}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	defer c.Close()
	c.servers = nil // whoever touches it panics
	a := c.Lookup(context.Background(), "example.org", A)
	if a.Status != ServFail || !strings.HasPrefix(a.Detail, "a fault in the resolver: ") {
		t.Errorf("got %s (%s)", a.Status, a.Detail)
	}
	if !strings.Contains(log.String(), "the resolver panicked") || strings.Contains(log.String(), "example.org") {
		t.Errorf("log: %s", log.String())
	}
	if got := c.try(context.Background(), planned{}, key{"example.org", A}); !strings.HasPrefix(got.trouble, "a fault in the resolver: ") {
		t.Errorf("a try without a server: %+v", got)
	}
}

// TestInFlightCap: a question that finds no place waits for one, within its own time.
func TestInFlightCap(t *testing.T) {
	c := New(Config{Servers: []string{"127.0.0.1:1"}, InFlight: 1, Timeout: 50 * time.Millisecond, Trouble: -1})
	defer c.Close()
	c.slots <- struct{}{}
	a := c.Lookup(context.Background(), "example.org", A)
	if a.Status != Timeout || a.Detail != "1 questions were under way, none ended in time" {
		t.Errorf("without a place: %s (%s)", a.Status, a.Detail)
	}
	<-c.slots
	if a := c.Lookup(context.Background(), "example.org", A); !strings.Contains(a.Detail, "127.0.0.1:1") {
		t.Errorf("with a place it should have asked: %s (%s)", a.Status, a.Detail)
	}
	if len(c.slots) != 0 || c.Stats().InFlight != 0 {
		t.Errorf("%d places taken, %d in flight after all is done", len(c.slots), c.Stats().InFlight)
	}
}
