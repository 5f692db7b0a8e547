package milter

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// Frame codes of the MTA.
const (
	codeConnect = 'C'
	codeHelo    = 'H'
	codeMail    = 'M'
	codeRcpt    = 'R'
	codeHeader  = 'L'
	codeMacro   = 'D'
	codeOffer   = 'O'
	codeUnknown = 'U'
)

// guard is the connection that go-milter sees: whole and well-formed frames only, one write an answer, a deadline on everything.
type guard struct {
	net.Conn
	in       *bufio.Reader
	frame    []byte // the frame being handed on
	at       int    // how much of it was handed on
	out      []byte // an answer not yet whole
	read     time.Duration
	write    time.Duration
	rawName  string // of a header frame whose value holds a NUL: what the sender really wrote
	rawValue string
	raw      bool
	failure  error
	busy     atomic.Bool // a message is under way
	onClose  func() error
	cutOff   context.CancelFunc // ends the context of the session's handler
}

func newGuard(c net.Conn, read, write time.Duration) *guard {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetNoDelay(true) // 43 ms a message without
	}
	return &guard{Conn: c, in: bufio.NewReaderSize(c, 16<<10), read: read, write: write}
}

// Close implements net.Conn.
func (g *guard) Close() error {
	err := g.Conn.Close()
	if g.onClose != nil {
		g.onClose()
	}
	return err
}

// SetReadDeadline is ours: go-milter allows one second for the first frame, which a busy machine misses.
func (g *guard) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is ours.
func (g *guard) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline is ours.
func (g *guard) SetDeadline(time.Time) error { return nil }

// Read hands on the next bytes of the current frame.
func (g *guard) Read(p []byte) (int, error) {
	if g.at == len(g.frame) {
		if err := g.next(); err != nil {
			if g.failure == nil {
				g.failure = err
			}
			return 0, err
		}
	}
	n := copy(p, g.frame[g.at:])
	g.at += n
	return n, nil
}

// next reads a frame and proves that it is one.
func (g *guard) next() error {
	if err := g.Conn.SetReadDeadline(time.Now().Add(g.read)); err != nil {
		return err
	}
	var head [4]byte
	if _, err := io.ReadFull(g.in, head[:]); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head[:])
	if length == 0 || length > MaxFrame {
		return fmt.Errorf("a frame of %d bytes; frames have 1 to %d", length, MaxFrame)
	}
	g.at = 0
	g.frame = append(g.frame[:0], head[:]...)
	// Grown as bytes arrive: an announced length alone takes no memory.
	var err error
	if g.frame, err = readInto(g.frame, g.in, int(length)); err != nil {
		return err
	}
	return g.judge(g.frame[4], g.frame[5:])
}

func readInto(frame []byte, r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	for n > 0 {
		part := min(n, step)
		start := len(frame)
		frame = append(frame, make([]byte, part)...)
		if _, err := io.ReadFull(r, frame[start:]); err != nil {
			return frame, err
		}
		n -= part
	}
	return frame, nil
}

var errForm = errors.New("a frame without the NULs that its kind needs")

// judge refuses a frame that would make the library fail, and mends what it must not refuse.
func (g *guard) judge(code byte, data []byte) error {
	g.raw = false
	switch code {
	case codeOffer:
		if len(data) >= 4 && binary.BigEndian.Uint32(data) > 6 {
			binary.BigEndian.PutUint32(data, 6) // an MTA of a later version speaks 6 too
		}
	case codeConnect:
		return judgeConnect(data)
	case codeHelo, codeUnknown:
		return need(bytes.IndexByte(data, 0) >= 0)
	case codeMail, codeRcpt:
		return need(len(data) > 0 && data[len(data)-1] == 0)
	case codeMacro:
		return need(len(data) == 1 || len(data) > 1 && data[len(data)-1] == 0 && bytes.Count(data[1:], []byte{0})%2 == 0)
	case codeHeader:
		return g.judgeHeader(data)
	}
	return nil
}

func need(ok bool) error {
	if !ok {
		return errForm
	}
	return nil
}

func judgeConnect(data []byte) error {
	i := bytes.IndexByte(data, 0)
	if i < 0 || i+1 >= len(data) {
		return errForm
	}
	switch rest := data[i+2:]; data[i+1] {
	case 'U':
		return nil
	case 'L', '4', '6':
		return need(len(rest) > 2 && bytes.IndexByte(rest[2:], 0) >= 0)
	}
	return errForm
}

// judgeHeader lets a field with a NUL in it pass: the library gets it with blanks instead, the handler what was really there.
func (g *guard) judgeHeader(data []byte) error {
	name, value, found := bytes.Cut(data, []byte{0})
	if !found || len(value) == 0 || value[len(value)-1] != 0 {
		return errForm
	}
	value = value[:len(value)-1]
	if bytes.IndexByte(value, 0) >= 0 {
		g.raw, g.rawName, g.rawValue = true, string(name), string(value)
		for i, b := range value {
			if b == 0 {
				value[i] = ' '
			}
		}
	}
	return nil
}

// Write collects an answer until its frame is whole, and then writes it at once.
func (g *guard) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	for whole := 0; ; {
		rest := g.out[whole:]
		if len(rest) >= 4 {
			if n := 4 + int(binary.BigEndian.Uint32(rest)); len(rest) >= n {
				whole += n
				continue
			}
		}
		if whole == 0 {
			return len(p), nil
		}
		if err := g.Conn.SetWriteDeadline(time.Now().Add(g.write)); err != nil {
			return 0, err
		}
		if _, err := g.Conn.Write(g.out[:whole]); err != nil {
			return 0, err
		}
		g.out = append(g.out[:0], g.out[whole:]...)
		return len(p), nil
	}
}
