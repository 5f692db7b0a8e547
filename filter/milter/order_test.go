package milter

import (
	"context"
	"io"
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

// TestOneWrite: the answer to the end of a message goes out in one write, with all changes of the message before it.
func TestOneWrite(t *testing.T) {
	near, far := net.Pipe()
	defer far.Close()
	go func() {
		for _, f := range [][]byte{frame('O', offer(6, 0x1ff, 0x1fffff)), frame('C', connectData), frame('M', "<a@example.org>\x00"), frame('E', ""), frame('Q', "")} {
			far.Write(f)
		}
	}()
	go io.Copy(io.Discard, far)
	counted := &counting{Conn: near}
	r := &recorder{silent: Stages{Connect: true, Mail: true}, end: func(e Editor) {
		e.InsertHeader(0, "X-A", "one")
		e.DeleteHeader("X-B", 1)
		e.Quarantine("held")
	}}
	s := &session{ctx: context.Background(), conn: newConn(counted, newBuffers(), time.Second, time.Second), newHandler: func() Handler { return r }}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	if len(counted.writes) != 2 {
		t.Errorf("%d writes, want one for the negotiation and one for the end of the message", len(counted.writes))
	}
}
