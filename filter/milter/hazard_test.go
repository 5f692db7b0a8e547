package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// recorder is a Handler that writes down what happens, and does what a test wants.
type recorder struct {
	mu     sync.Mutex
	events []string
	silent Stages
	offer  Offer
	on     map[string]func() Response // by event
	end    func(Editor)
}

func (r *recorder) note(format string, args ...any) Response {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	r.events = append(r.events, text)
	r.mu.Unlock()
	event, _, _ := strings.Cut(text, " ")
	if do := r.on[event]; do != nil {
		return do()
	}
	return Continue()
}

func (r *recorder) seen() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.events, "; ")
}

func (r *recorder) Negotiate(o Offer) Options { r.offer = o; return Options{Silent: r.silent} }
func (r *recorder) Connect(_ context.Context, c Client, m Macros) Response {
	return r.note("connect %s %s", c.Addr(), m.Get("{daemon_port}"))
}
func (r *recorder) Helo(_ context.Context, name string, m Macros) Response {
	return r.note("helo %s %s", name, m.Get("{tls_version}"))
}
func (r *recorder) Mail(_ context.Context, from, _ string, m Macros) Response {
	return r.note("mail %s %s", from, m.Get("{tls_version}"))
}
func (r *recorder) Rcpt(_ context.Context, to, _ string, _ Macros) Response {
	return r.note("rcpt %s", to)
}
func (r *recorder) Header(name, value []byte)   { r.note("header %q %q", name, value) }
func (r *recorder) EndOfHeader(context.Context) { r.note("eoh") }
func (r *recorder) Body(chunk []byte)           { r.note("body %d", len(chunk)) }
func (r *recorder) EndOfMessage(_ context.Context, e Editor, _ Macros) Response {
	if r.end != nil {
		r.end(e)
	}
	return r.note("eom")
}
func (r *recorder) Abort() { r.note("abort") }
func (r *recorder) Close() { r.note("close") }

// serve runs a server on loopback whose sessions a test makes.
func serve(t testing.TB, config Config, session func() Handler) (address string, server *Server) {
	t.Helper()
	config.NewSession = func(net.Addr) Handler { return session() }
	server = NewServer(config)
	l, err := Listen("inet:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		<-done
	})
	return l.Addr().String(), server
}

// raw is an MTA that sends whatever a test wants.
type raw struct {
	net.Conn
	in *bufio.Reader
}

func dialRaw(t testing.TB, address string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &raw{c, bufio.NewReader(c)}
}

func frame(code byte, data string) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(1+len(data)))
	return append(append(out, code), data...)
}

func (r *raw) send(code byte, data string) { r.Write(frame(code, data)) }

// read gives the next reply as its code and data; "closed" when the connection ended.
func (r *raw) read() string {
	var head [4]byte
	if _, err := io.ReadFull(r.in, head[:]); err != nil {
		return "closed"
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(r.in, body); err != nil {
		return "closed"
	}
	return string(body)
}

func offer(version, actions, protocol uint32) string {
	var b []byte
	for _, n := range []uint32{version, actions, protocol} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return string(b)
}

// negotiate offers all that Postfix offers and gives the flags that were chosen.
func (r *raw) negotiate(t testing.TB, version uint32) (protocol uint32) {
	t.Helper()
	r.send('O', offer(version, 0x1ff, 0x1fffff))
	reply := r.read()
	if len(reply) < 13 || reply[0] != 'O' {
		t.Fatalf("negotiation: %q", reply)
	}
	return binary.BigEndian.Uint32([]byte(reply[9:13]))
}

const connectData = "mail.example.org\x004\xc0\x00192.0.2.1\x00"

// alive proves that another session is served.
func alive(t testing.TB, address string) {
	t.Helper()
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	if got := c.read(); got != "c" {
		t.Fatalf("another session is not served: %q", got)
	}
}

// TestH1H2: frames that panic the library end their own connection only.
func TestH1H2(t *testing.T) {
	address, _ := serve(t, Config{}, func() Handler { return &recorder{} })
	for name, bytes := range map[string][]byte{
		"a frame of length 0":                 {0, 0, 0, 0},
		"CONNECT without a NUL":               frame('C', "mail.example.org"),
		"CONNECT with nothing after the host": frame('C', "mail.example.org\x00"),
		"CONNECT without a port":              frame('C', "mail.example.org\x004"),
		"CONNECT without an address":          frame('C', "mail.example.org\x004\x00\x19"),
		"CONNECT of an unknown family":        frame('C', "mail.example.org\x00X"),
		"HELO without a NUL":                  frame('H', "x"),
		"MAIL without a NUL":                  frame('M', "<a@example.org>"),
		"RCPT without a NUL":                  frame('R', "<a@example.org>"),
		"MAIL without anything":               frame('M', ""),
		"a header without a NUL":              frame('L', "Subject"),
		"a header with one NUL":               frame('L', "Subject\x00x"),
		"macros without a NUL":                frame('D', "Ci"),
		"macros with a name only":             frame('D', "Ci\x00"),
		"macros without a stage":              frame('D', ""),
		"an unknown frame":                    frame('z', ""),
	} {
		for _, negotiated := range []bool{false, true} {
			c := dialRaw(t, address)
			if negotiated {
				c.negotiate(t, 6)
			}
			c.Write(bytes)
			if got := c.read(); got != "closed" {
				t.Errorf("%s: %q", name, got)
			}
		}
	}
	alive(t, address)
}

// TestH3: a panic in a handler ends its own session, is logged with the stack, and Close is called.
func TestH3(t *testing.T) {
	var log bytes.Buffer
	var counted any
	r := &recorder{on: map[string]func() Response{"helo": func() Response { panic("a mistake") }}}
	var sessions atomic.Int32
	address, _ := serve(t, Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), OnPanic: func(reason any, _ []byte) { counted = reason }}, func() Handler {
		if sessions.Add(1) == 1 {
			return r
		}
		return &recorder{}
	})
	c := dialRaw(t, address)
	c.negotiate(t, 6)
	c.send('C', connectData)
	c.read()
	c.send('H', "mail.example.org\x00")
	if got := c.read(); got != "closed" {
		t.Errorf("after a panic: %q", got)
	}
	alive(t, address)
	for range 100 { // Close comes when the connection has ended
		if strings.HasSuffix(r.seen(), "close") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := r.seen(); got != "connect 192.0.2.1 ; helo mail.example.org ; close" {
		t.Errorf("%s", got)
	}
	if counted != "a mistake" || !strings.Contains(log.String(), "a mistake") || !strings.Contains(log.String(), "hazard_test.go") {
		t.Errorf("counted %v, logged %s", counted, &log)
	}
}

// flaky is a listener whose first accepts fail.
type flaky struct {
	net.Listener
	failures int
}

func (f *flaky) Accept() (net.Conn, error) {
	if f.failures > 0 {
		f.failures--
		return nil, errors.New("too many open files")
	}
	return f.Listener.Accept()
}

// TestH4: an error of Accept passes.
func TestH4(t *testing.T) {
	l, err := Listen("inet:127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(Config{NewSession: func(net.Addr) Handler { return &recorder{} }})
	done := make(chan error, 1)
	go func() { done <- server.Serve(context.Background(), &flaky{l, 3}) }()
	alive(t, l.Addr().String())
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	server.Shutdown(ctx)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestH5: an announced length over 1 MiB is refused, one below takes no memory before its bytes are there, and sessions are bounded.
func TestH5(t *testing.T) {
	address, _ := serve(t, Config{MaxSessions: 2}, func() Handler { return &recorder{} })
	c := dialRaw(t, address)
	c.Write([]byte{0x1f, 0xff, 0xff, 0xff, 'O'})
	if got := c.read(); got != "closed" {
		t.Errorf("a frame of 512 MiB: %q", got)
	}
	var held []*raw
	for range 2 {
		c := dialRaw(t, address)
		c.negotiate(t, 6)
		held = append(held, c)
	}
	over := dialRaw(t, address)
	over.negotiate(t, 6)
	over.send('C', connectData)
	if got := over.read(); !strings.HasPrefix(got, "y421 4.3.2 ") {
		t.Errorf("beyond the cap: %q", got)
	}
	held[0].Close()
	time.Sleep(100 * time.Millisecond)
	alive(t, address)
}

// TestH6: the first frame may take longer than a second; the wait for any frame is bounded.
func TestH6(t *testing.T) {
	address, _ := serve(t, Config{ReadTimeout: 1500 * time.Millisecond}, func() Handler { return &recorder{} })
	c := dialRaw(t, address)
	time.Sleep(1100 * time.Millisecond)
	c.negotiate(t, 6)
	if got := c.read(); got != "closed" {
		t.Errorf("a silent MTA: %q", got)
	}
}
