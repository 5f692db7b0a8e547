package milter

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"
)

// TestH7: an MTA that offers less, or a later version, is served with what is there.
func TestH7(t *testing.T) {
	r := &recorder{}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 7)
	if r.offer.Version != 6 || !r.offer.LeadingSpace {
		t.Errorf("version 7: %+v", r.offer)
	}
	old := dialRaw(t, address)
	old.send('O', offer(2, 0x1, 0x7f))
	if got := old.read(); len(got) < 13 || got[0] != 'O' || binary.BigEndian.Uint32([]byte(got[1:])) != 2 {
		t.Fatalf("version 2: %q", got)
	}
	if r.offer.LeadingSpace || r.offer.ChangeHeaders || !r.offer.AddHeaders {
		t.Errorf("version 2: %+v", r.offer)
	}
	old.send('C', connectData)
	if got := old.read(); got != "c" {
		t.Errorf("version 2: %q", got)
	}
}

// TestH8H9: what the MTA says of TLS is there for every message; a second MAIL, RSET and another client give a clean order of events.
func TestH8H9(t *testing.T) {
	r := &recorder{}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	for _, f := range []struct {
		code byte
		data string
	}{
		{'D', "C{daemon_port}\x0025\x00"}, {'C', connectData}, {'D', "H{tls_version}\x00TLSv1.3\x00"}, {'H', "mail.example.org\x00"},
		{'D', "M{tls_version}\x00TLSv1.3\x00"}, {'M', "<a@example.org>\x00"}, {'M', "<b@example.org>\x00"}, {'R', "<u@example.net>\x00"}, {'A', ""},
		{'D', "M{tls_version}\x00TLSv1.3\x00"}, {'M', "<c@example.org>\x00"}, {'K', ""}, {'C', connectData},
	} {
		c.send(f.code, f.data)
		if f.code != 'D' && f.code != 'A' && f.code != 'K' {
			if got := c.read(); got != "c" {
				t.Fatalf("%c %q: %q", f.code, f.data, got)
			}
		}
	}
	want := "connect 192.0.2.1 25; helo mail.example.org TLSv1.3; mail a@example.org TLSv1.3; abort; mail b@example.org TLSv1.3; rcpt u@example.net; abort; " +
		"mail c@example.org TLSv1.3; abort; close; connect 192.0.2.1 "
	if got := r.seen(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestClientWithoutAddress: Postfix says "unknown" where XCLIENT told it of no address, under the family of the connection (seen with 3.7.11).
func TestClientWithoutAddress(t *testing.T) {
	for _, family := range []string{"4", "6"} {
		r := &recorder{}
		address, _ := serve(t, Config{}, func() Handler { return r })
		c := dialRaw(t, address)
		c.negotiate(t, 6)
		c.send('C', "unknown\x00"+family+"\x00\x00unknown\x00")
		if got := c.read(); got != "c" || r.seen() != "connect invalid IP " {
			t.Errorf("family %s: %q, %s", family, got, r.seen())
		}
	}
}

// TestEndWithBody: the end of a message may bring the last bytes of its body, as the protocol has it and libmilter takes them.
func TestEndWithBody(t *testing.T) {
	r := &recorder{}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	c.read()
	c.send('M', "<a@example.org>\x00")
	c.read()
	c.send('B', "first\r\n")
	c.send('E', "last\r\n")
	c.read()
	if got := r.seen(); !strings.HasSuffix(got, "body 7; body 6; eom") {
		t.Error(got)
	}
}

// TestH13: a field with a NUL in it does not end the session, and the handler gets every byte.
func TestH13(t *testing.T) {
	r := &recorder{}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	c.read()
	c.send('M', "<a@example.org>\x00")
	c.read()
	c.send('L', "From\x00 a@example.org\x00@evil.example\x00")
	c.send('L', "Subject\x00\n\tfolded\x00")
	c.send('E', "")
	if got := c.read(); got == "closed" {
		t.Fatal("the session ended")
	}
	want := `header "From" " a@example.org\x00@evil.example"; header "Subject" "\n\tfolded"; eom`
	if got := r.seen(); !strings.HasSuffix(got, want) {
		t.Errorf("%s", got)
	}
}

// TestH17: what an editor adds cannot begin a field of its own, and reasons are bounded; H10, H15: values stay below the library's cap.
func TestH17(t *testing.T) {
	var long error
	r := &recorder{end: func(e Editor) {
		e.InsertHeader(0, "X-A", "one\nX-Forged: yes\r\n\ttwo\x00three")
		e.Quarantine(strings.Repeat("r\n", 200))
		long = e.AddHeader("X-B", strings.Repeat("x", MaxValue+1))
	}}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	c.read()
	c.send('M', "<a@example.org>\x00")
	c.read()
	c.send('E', "")
	if got := c.read(); got != "i\x00\x00\x00\x00X-A\x00 one X-Forged: yes\n\ttwo three\x00" {
		t.Errorf("%q", got)
	}
	if got := c.read(); got[0] != 'q' || len(got) > MaxReason+2 || strings.Contains(got, "\n") {
		t.Errorf("%q", got)
	}
	if got := c.read(); got == "closed" {
		t.Errorf("%q", got)
	}
	if long == nil {
		t.Error("a value over the bound is taken")
	}
}

// TestReplies: a reply goes out whole in one frame, cleaned and in one line; what the handler says silently is not sent.
func TestReplies(t *testing.T) {
	r := &recorder{silent: Stages{Mail: true}, on: map[string]func() Response{
		"mail": func() Response { return Reply(550, "5.7.1", "dropped") },
		"rcpt": func() Response { return Reply(450, "5.7.1", "100 % sure\r\nX: \u00e9") },
	}}
	address, _ := serve(t, Config{}, func() Handler { return r })
	c := dialRaw(t, address)
	if protocol := c.negotiate(t, 6); protocol&uint32(gomilter.OptNoMailReply) == 0 || protocol&uint32(gomilter.OptNoRcptReply) != 0 {
		t.Errorf("flags %#x", protocol)
	}
	c.send('C', connectData)
	c.read()
	c.send('M', "<a@example.org>\x00")
	c.send('R', "<u@example.net>\x00")
	if got := c.read(); got != "y450 4.0.0 100 %% sure??X: ??\x00" {
		t.Errorf("%q", got)
	}
}

// FuzzFrames: whatever bytes an MTA sends, the server lives and the handler's events keep their order.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame('O', offer(6, 0x1ff, 0x1fffff)), frame('C', connectData)...))
	f.Add(append(frame('O', offer(6, 0x1ff, 0x1fffff)), append(frame('M', "<a>\x00"), frame('E', "")...)...))
	f.Add([]byte{0, 0, 0, 0})
	var mu sync.Mutex
	var last *recorder
	address, _ := serve(f, Config{ReadTimeout: 2 * time.Second}, func() Handler {
		mu.Lock()
		defer mu.Unlock()
		last = &recorder{}
		return last
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		c := dialRaw(t, address)
		c.Write(frame('O', offer(6, 0x1ff, 0x1fffff)))
		c.Write(data)
		c.Conn.(*net.TCPConn).CloseWrite()
		io.Copy(io.Discard, c.in)
		mu.Lock()
		r := last
		mu.Unlock()
		if r == nil {
			return
		}
		open := false
		for event := range strings.SplitSeq(r.seen(), "; ") {
			switch word, _, _ := strings.Cut(event, " "); word {
			case "mail":
				if open {
					t.Fatalf("two messages at once: %s", r.seen())
				}
				open = true
			case "eom", "abort":
				if !open {
					t.Fatalf("%s without a message: %s", word, r.seen())
				}
				open = false
			case "rcpt":
				if !open {
					t.Fatalf("a recipient without a message: %s", r.seen())
				}
			}
		}
	})
}

// BenchmarkSession is a session that does nothing: 25 fields, 20 KB of body, no replies before the end.
func BenchmarkSession(b *testing.B) {
	r := &recorder{}
	address, _ := serve(b, Config{}, func() Handler { return r })
	c := dialRaw(b, address)
	c.SetDeadline(time.Time{})
	c.negotiate(b, 6)
	c.send('C', connectData)
	c.read()
	var message []byte
	message = append(message, frame('M', "<a@example.org>\x00")...)
	header := frame('L', "X-Header\x00 a value of some length that is usual for a header field\x00")
	for range 25 {
		message = append(message, header...)
	}
	message = append(message, frame('B', strings.Repeat("x", 20<<10))...)
	message = append(message, frame('E', "")...)
	b.ReportAllocs()
	for b.Loop() {
		c.Write(message)
		c.read() // of MAIL
		c.read() // of the end
		r.events = r.events[:0]
	}
}
