package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Codes of the MTA's frames.
const (
	codeAbort       = 'A'
	codeBody        = 'B'
	codeConnect     = 'C'
	codeMacro       = 'D'
	codeEnd         = 'E'
	codeHelo        = 'H'
	codeQuitNew     = 'K'
	codeHeader      = 'L'
	codeMail        = 'M'
	codeEndOfHeader = 'N'
	codeOffer       = 'O'
	codeQuit        = 'Q'
	codeRcpt        = 'R'
	codeData        = 'T'
	codeUnknown     = 'U'
)

// Codes of our frames.
const (
	codeAccept       = 'a'
	codeContinue     = 'c'
	codeDiscard      = 'd'
	codeAddHeader    = 'h'
	codeInsertHeader = 'i'
	codeChangeHeader = 'm'
	codeQuarantine   = 'q'
	codeReply        = 'y'
)

// Sizes of buffers. An idle session holds one small piece; what a long frame or answer needs is borrowed while it lasts.
const (
	readerSize = 8 << 10
	lendSize   = 64<<10 + 512 // a body frame of Postfix and its head
	answerSize = 1 << 10      // the answer to a negotiation, or to a message with one field added
)

// buffers lends what connections read and write with.
type buffers struct {
	mu    sync.Mutex
	desks []*desk   // a few that nobody works at; the collector would take them out of a pool, which costs more than their memory
	large sync.Pool // *[]byte of lendSize
}

// spareDesks is how many are kept: 10 KB each.
const spareDesks = 128

// desk is what a connection works with from its begin to its end.
type desk struct {
	in     input
	out    []byte // answers not yet written
	macros macros
}

func newBuffers() *buffers {
	return &buffers{large: sync.Pool{New: func() any { return new(make([]byte, lendSize)) }}}
}

// desk gives one that nobody works at, the one that was left last: a processor may still have it at hand.
func (b *buffers) desk() *desk {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.desks) - 1
	if last < 0 {
		return &desk{in: newInput(), out: make([]byte, 0, answerSize), macros: macros{make([]macro, 0, usualMacros)}}
	}
	d := b.desks[last]
	b.desks = b.desks[:last]
	return d
}

// leave takes back a desk.
func (b *buffers) leave(d *desk) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.desks) < spareDesks {
		b.desks = append(b.desks, d)
	}
}

// lend gives large memory, and takeBack takes it back unless it has grown.
func (b *buffers) lend() *[]byte { return b.large.Get().(*[]byte) }

func (b *buffers) takeBack(large *[]byte) {
	if len(*large) == lendSize {
		b.large.Put(large)
	}
}

// conn is the MTA's connection: whole frames come out of it, answers go in by one write, and there is a deadline on everything.
// Package net sets TCP_NODELAY by itself; without it and with two writes an answer took 43 ms.
type conn struct {
	net.Conn
	*desk
	buffers *buffers
	read    deadline
	later   time.Duration // the timeout of reads once the MTA has negotiated
	write   deadline
	began   time.Time
	rest    atomic.Int64 // since how long after began nothing is under way, in nanoseconds; 0 while something is
	waiting atomic.Bool  // for a frame of which nothing is here yet
	ending  atomic.Bool  // to end when nothing is under way
}

func newConn(c net.Conn, b *buffers, read, write time.Duration) *conn {
	out := &conn{Conn: c, desk: b.desk(), buffers: b, read: deadline{timeout: min(read, negotiateTime)}, later: read, write: deadline{timeout: write}, began: time.Now()}
	out.rests()
	return out
}

// negotiateTime is how long a connection may take to negotiate: an MTA does so at once. Whoever says nothing, or a byte now and then, holds no place
// for longer.
const negotiateTime = 10 * time.Second

// negotiated gives the MTA all the time that it has from now on.
func (c *conn) negotiated() { c.read = deadline{timeout: c.later} }

// rests notes that nothing is under way: neither a message nor what comes before the first one.
func (c *conn) rests() {
	if c.rest.Load() == 0 {
		c.rest.Store(max(1, int64(time.Since(c.began))))
	}
}

// works notes that something is under way.
func (c *conn) works() { c.rest.Store(0) }

// rested reports whether nothing has been under way for a time.
func (c *conn) rested(long time.Duration) bool {
	since := time.Duration(c.rest.Load())
	return since > 0 && time.Since(c.began)-since >= long
}

// giveBack ends the use of all buffers. The connection must not be read any more.
func (c *conn) giveBack() {
	c.in.from = c.in.to
	c.in.settle(c.buffers)
	c.out = c.out[:0]
	if c.macros.from(macrosConnect); cap(c.macros.list) <= 2*usualMacros {
		c.buffers.leave(c.desk)
	}
	c.desk = nil
}

// deadline is how long one read or write may take. To set it costs as much as to read a frame, so it is set anew only when an eighth
// of it has passed: a wait ends after seven eighths of the timeout at the earliest, and after all of it at the latest.
type deadline struct {
	timeout time.Duration
	since   time.Time
}

func (d *deadline) set(now time.Time, apply func(time.Time) error) error {
	if now.Sub(d.since) < d.timeout/8 {
		return nil
	}
	d.since = now
	return apply(now.Add(d.timeout))
}

// next gives the next frame. Its data are good until next is called again.
func (c *conn) next() (code byte, data []byte, err error) {
	c.in.settle(c.buffers)
	if err := c.await(4); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(c.in.pending())
	if length == 0 || length > MaxFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes; frames have 1 to %d", length, MaxFrame)
	}
	n := 4 + int(length)
	if err := c.await(n); err != nil {
		return 0, nil, err
	}
	frame := c.in.pending()[:n]
	c.in.from += n
	return frame[4], frame[5:], nil
}

// between reports whether the session is between messages and nothing of the MTA waits to be read: where no reply is asked, the beginning of a
// message may have arrived long before it is read.
func (c *conn) between() bool {
	if c.rest.Load() == 0 || !c.waiting.Load() {
		return false
	}
	socket, ok := c.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	arrived := 0
	raw.Control(func(fd uintptr) {
		arrived, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return arrived <= 0
}

// endBetween ends the session where it waits, by a deadline in the past: what was just read when it came is still served.
func (c *conn) endBetween() {
	if c.rested(restTime) && c.between() {
		c.ending.Store(true)
		c.SetReadDeadline(time.Unix(1, 0))
	}
}

// await reads until n bytes are there. They may take one timeout, however they come.
func (c *conn) await(n int) error {
	if len(c.in.pending()) >= n {
		return nil
	}
	err := c.read.set(time.Now(), c.SetReadDeadline)
	for err == nil && len(c.in.pending()) < n {
		err = c.fill(n)
	}
	return err
}

// fill reads what is there of n bytes, and more. An end in the middle of a frame is an error of its own.
func (c *conn) fill(n int) error {
	c.waiting.Store(len(c.in.pending()) == 0)
	got, err := c.Conn.Read(c.in.room(n, c.buffers))
	c.waiting.Store(false)
	c.in.to += got
	part := len(c.in.pending()) > 0
	switch {
	case got > 0: // an error comes again
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded) && c.ending.Swap(false):
		if !part && c.rest.Load() != 0 {
			return errEnding
		}
		c.read.since = time.Time{}
		return c.read.set(time.Now(), c.SetReadDeadline)
	case errors.Is(err, io.EOF) && part:
		return io.ErrUnexpectedEOF
	}
	return err
}

// begin starts a frame of ours; what is appended to out up to end is its data.
func (c *conn) begin(code byte) (start int) {
	start = len(c.out)
	c.out = append(c.out, 0, 0, 0, 0, code)
	return start
}

func (c *conn) end(start int) {
	binary.BigEndian.PutUint32(c.out[start:], uint32(len(c.out)-start-4))
}

// put adds a frame without data.
func (c *conn) put(code byte) { c.end(c.begin(code)) }

// flush writes all answers at once.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.write.set(time.Now(), c.SetWriteDeadline); err != nil {
		return err
	}
	_, err := c.Conn.Write(c.out)
	if c.out = c.out[:0]; cap(c.out) > readerSize {
		c.out = nil // an idle session keeps no long answer
	}
	return err
}
