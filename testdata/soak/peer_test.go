package soak

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// serves sends honest mail and wants it taken, as a client beside all trouble does.
func serves(t *testing.T, d *Daemon, when string) {
	t.Helper()
	a, err := d.Send(good())
	if err != nil || a.Code != 250 || !a.Ended {
		t.Errorf("%s: honest mail got %+v, %v", when, a, err)
	}
}

func frame(code byte, data string) string {
	return string(binary.BigEndian.AppendUint32(nil, uint32(len(data)+1))) + string(code) + data
}

// junk are bytes that no MTA sends.
func junk() []string {
	negotiate := frame('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	return []string{
		"GET / HTTP/1.1\r\nHost: mx.example.net\r\n\r\n",
		"\x00\x00\x00\x00",         // a frame without a code
		"\x20\x00\x00\x00O",        // 512 MiB
		"\xff\xff\xff\xffO",        // 4 GiB
		negotiate[:9],              // cut
		frame('O', "\x00"),         // too short
		negotiate + frame('M', ""), // MAIL before CONNECT, without a NUL
		negotiate + frame('C', "host"),
		negotiate + frame('B', "body"),
		negotiate + frame('E', ""),
		negotiate + negotiate,
		negotiate + frame('?', "what"),
		negotiate + frame('D', "Cj\x00"),
		strings.Repeat("\x7f", 100_000),
	}
}

// TestJunk: what is no milter is closed, everyone else is served, memory stays bounded, and the log has a line for each kind, not for each
// connection.
func TestJunk(t *testing.T) {
	long, _ := length(t)
	const crowd = 5000
	rounds := 20
	if long {
		rounds = 200
	}
	d := Start(t, Options{Zone: zone, Policy: shippedRules(t), Listen: "sessions = 200\n"})
	serves(t, d, "at first")
	before := d.Use()
	for range rounds {
		for _, text := range junk() {
			throw(t, d.Milter, text)
		}
	}
	serves(t, d, "after junk")
	held := hold(t, d.Milter, crowd)
	if n := len(d.Lines("decision")); n < 2 {
		t.Errorf("%d decisions are logged", n)
	}
	use := d.Use()
	if use.Resident > 300<<20 {
		t.Errorf("%.0f MiB are resident with %d connections", use.Resident/(1<<20), crowd)
	}
	for range 600 { // who does not negotiate loses its place soon
		if a, err := d.Send(good()); err == nil && a.Code == 250 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	serves(t, d, "while the crowd drips on")
	held()
	serves(t, d, "after the crowd")
	d.Settles(before)
	oncePerMinute(t, d)
	if err := d.Stop(); err != nil { // what the log holds back is in it then
		t.Errorf("the daemon ended with %v", err)
	}
	if n := d.kinds()["a milter connection was closed"]; n < rounds*len(junk())/2 {
		t.Errorf("%d connections were closed by the log, %d brought junk", n, rounds*len(junk()))
	}
}

// oncePerMinute demands that the log has a warning or an error of a kind once a minute at most, with the number of those that it left out.
func oncePerMinute(t *testing.T, d *Daemon) {
	t.Helper()
	last := map[string]time.Time{}
	d.EachLine("", func(line map[string]any) {
		if line["level"] == "INFO" || line["level"] == "DEBUG" {
			return
		}
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(line["time"]))
		kind := fmt.Sprint(line["msg"], line["check"], line["list"], line["limit"], line["key"], line["problem"], line["file"], line["event"], line["redis"])
		if before, found := last[kind]; err == nil && found && at.Sub(before) < 59*time.Second && line["repeated"] == nil {
			t.Errorf("%q is said again after %v", kind, at.Sub(before))
		}
		last[kind] = at
	})
}

// throw sends bytes and reads what comes until the daemon hangs up, for a moment at most.
func throw(t *testing.T, address, text string) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	_, _ = io.WriteString(c, text) // the daemon may hang up at any byte
	_, _ = io.Copy(io.Discard, c)
}

// hold opens connections that say nothing, or one byte now and then, until the function that it gives is called.
func hold(t *testing.T, address string, n int) (release func()) {
	t.Helper()
	var conns []net.Conn
	for range n {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			break // the machine has no more
		}
		conns = append(conns, c)
	}
	stop := make(chan struct{})
	var drip sync.WaitGroup
	drip.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			_ = conns[i%len(conns)].SetWriteDeadline(time.Now().Add(time.Second))
			_, _ = conns[i%len(conns)].Write([]byte{0}) // closed ones are what we want to see
		}
	})
	return func() {
		close(stop)
		drip.Wait()
		for _, c := range conns {
			c.Close()
		}
	}
}

// TestHangUps: a client or an MTA that goes away anywhere leaves nothing behind.
func TestHangUps(t *testing.T) {
	long, _ := length(t)
	rounds := 20
	if long {
		rounds = 2000
	}
	d := Start(t, Options{Zone: zone, Policy: counting}) // no limit of the shipped rules is over for one client
	serves(t, d, "at first")
	before := d.Use()
	for range rounds {
		for _, stage := range []string{"connect", "helo", "mail", "rcpt", "header", "body"} {
			m := good()
			m.Stop, m.Body = stage, strings.Repeat("text\r\n", 30_000)
			if _, err := d.Send(m); err != nil {
				t.Fatalf("%s: %v", stage, err)
			}
		}
	}
	serves(t, d, "after hang-ups")
	d.Settles(before)
}
