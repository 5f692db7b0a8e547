package milter

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"
)

// TestH11: shutdown does not wait for sessions that rest, be it after a message, after an answer for the whole session or before the negotiation;
// one in mid-message and one on its way to its first message may finish.
func TestH11(t *testing.T) {
	address, server := serve(t, Config{}, func() Handler { return &recorder{} })
	mute, after, before, within := dialRaw(t, address), dialRaw(t, address), dialRaw(t, address), dialRaw(t, address)
	for _, c := range []*raw{after, before, within} {
		c.negotiate(t, 6)
		c.send('C', connectData)
		c.read()
	}
	for _, c := range []*raw{after, within} {
		c.send('M', "<a@example.org>\x00")
		c.read()
	}
	after.send('E', "")
	after.read()
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		ended <- server.Shutdown(ctx)
	}()
	for name, c := range map[string]*raw{"mute": mute, "after a message": after} {
		if got := c.read(); got != "closed" {
			t.Errorf("the session %s: %q", name, got)
		}
	}
	before.send('M', "<a@example.org>\x00")
	if got := before.read(); got == "closed" {
		t.Error("the session before its first message was cut off")
	}
	for _, c := range []*raw{before, within} {
		c.send('E', "")
		if got := c.read(); got == "closed" {
			t.Error("the session in mid-message was cut off")
		}
	}
	if err := <-ended; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

// TestEndsBetweenMessages: a session that waits is ended, but not when bytes of a message have arrived that nobody has read yet, nor when the message
// began while it was being ended.
func TestEndsBetweenMessages(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	mta, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer mta.Close()
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	c := newConn(accepted, newBuffers(), time.Minute, time.Minute)
	if c.between() {
		t.Error("at work, not waiting")
	}
	c.waiting.Store(true)
	if !c.between() {
		t.Error("a session that waits is between messages")
	}
	mta.Write(frame('M', "<a@example.org>\x00"))
	for range 500 {
		if !c.between() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if c.between() {
		t.Error("the beginning of a message has arrived")
	}
	if code, _, err := c.next(); code != 'M' || err != nil {
		t.Fatalf("%c, %v", code, err)
	}
	c.works()
	c.ending.Store(true) // by who saw the session wait just before
	c.SetReadDeadline(time.Unix(1, 0))
	time.AfterFunc(50*time.Millisecond, func() { mta.Write(frame('E', "")) })
	if code, _, err := c.next(); code != 'E' || err != nil {
		t.Errorf("a message that began as the server stopped: %c, %v", code, err)
	}
	c.rests()
	c.ending.Store(true)
	c.SetReadDeadline(time.Unix(1, 0))
	if _, _, err := c.next(); !errors.Is(err, errEnding) {
		t.Errorf("between messages: %v", err)
	}
}

// TestGoroutinesEnd: those that served a crowd end soon behind it, whoever comes meanwhile is served, and none stays when the server has stopped.
func TestGoroutinesEnd(t *testing.T) {
	atRest := func(most int) {
		t.Helper()
		for range 1000 {
			if runtime.NumGoroutine() <= most {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines stay, want %d", runtime.NumGoroutine(), most)
	}
	without := runtime.NumGoroutine()
	address, server := serve(t, Config{}, func() Handler { return &recorder{} })
	var crowd []*raw
	for range 30 {
		c := dialRaw(t, address)
		c.negotiate(t, 6)
		crowd = append(crowd, c)
	}
	for _, c := range crowd {
		c.Close()
	}
	atRest(without + 10)
	last := dialRaw(t, address)
	last.negotiate(t, 6)
	last.Close()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	atRest(without)
}
