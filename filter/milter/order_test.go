package milter

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestH12: a failing abort sends nothing: the library would repeat its negotiation.
func TestH12(t *testing.T) {
	r := &recorder{on: map[string]func() Response{"mail": Continue}}
	abort := &aborting{recorder: r}
	address, _ := serve(t, Config{}, func() Handler { return abort })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	c.read()
	c.send('M', "<a@example.org>\x00")
	c.read()
	c.send('K', "") // QUIT_NC: the library makes an abort of it
	c.send('C', connectData)
	if got := c.read(); got != "closed" {
		t.Errorf("after an abort that panicked: %q", got)
	}
	alive(t, address)
}

// aborting panics where a message is dropped.
type aborting struct{ *recorder }

func (a *aborting) Abort() { panic("in abort") }

// TestH14: an MTA that hangs up while a handler works is not noticed, but the session ends when the handler does, and the context of a
// handler ends with Shutdown.
func TestH14(t *testing.T) {
	r := &waiting{recorder: &recorder{}, entered: make(chan struct{})}
	address, server := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	<-r.entered
	c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	server.Shutdown(ctx)
	if got := r.seen(); !strings.HasSuffix(got, "close") {
		t.Errorf("the handler was not closed: %s", got)
	}
}

// waiting is a handler that works until its context or a bound of its own ends.
type waiting struct {
	*recorder
	entered chan struct{}
}

func (w *waiting) Connect(ctx context.Context, _ Client, _ Macros) Response {
	close(w.entered)
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
	}
	return w.note("connect")
}

// counting counts the writes to a connection.
type counting struct {
	net.Conn
	writes []int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes = append(c.writes, len(p))
	return c.Conn.Write(p)
}

// TestOneWrite: an answer that the library writes in pieces goes out whole in one write.
func TestOneWrite(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		b := make([]byte, 100)
		for {
			if _, err := far.Read(b); err != nil {
				return
			}
		}
	}()
	c := &counting{Conn: near}
	g := newGuard(c, time.Second, time.Second)
	for _, piece := range []string{"\x00\x00", "\x00\x03y", "4", "5", "\x00\x00\x00\x01", "c"} {
		if n, err := g.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	if got := fmt.Sprint(c.writes); got != "[7 5]" {
		t.Errorf("writes of %s bytes, want one of 7 and one of 5", got)
	}
}
