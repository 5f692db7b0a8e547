package milter

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// trickle is a connection whose bytes arrive in pieces of any size.
type trickle struct {
	net.Conn
	bytes []byte
	r     *rand.Rand
}

func (c *trickle) Read(p []byte) (int, error) {
	if len(c.bytes) == 0 {
		return 0, io.EOF
	}
	sizes := []int{1, 3, 100, readerSize, 16 << 10, MaxFrame}
	n := copy(p, c.bytes[:min(len(c.bytes), 1+c.r.IntN(sizes[c.r.IntN(len(sizes))]))])
	c.bytes = c.bytes[n:]
	return n, nil
}

func (*trickle) SetReadDeadline(time.Time) error { return nil }

// TestFramesInPieces: frames are the same in whatever pieces they arrive, over memory that others have used; an end within one is told from one
// behind it; large memory is given back.
func TestFramesInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sizes := []int{1, 2, 60, 500, readerSize - 5, readerSize - 4, readerSize - 3, 3 * readerSize, 65535, lendSize - 4, lendSize - 3, lendSize, 5 * lendSize, MaxFrame}
	b := newBuffers()
	for range 200 {
		var all []byte
		var want [][]byte
		for range 1 + r.IntN(20) {
			data := bytes.Repeat([]byte{byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}, 1+MaxFrame/3)[:sizes[r.IntN(len(sizes))]-1]
			want = append(want, append([]byte{codeBody}, data...))
			all = append(all, frame(codeBody, string(data))...)
		}
		cut := 0
		if r.IntN(2) == 0 {
			cut = 1 + r.IntN(3+len(want[len(want)-1]))
			want = want[:len(want)-1]
		}
		c := newConn(&trickle{bytes: all[:len(all)-cut], r: r}, b, time.Minute, time.Minute)
		for i, w := range want {
			code, data, err := c.next()
			if err != nil || code != w[0] || !bytes.Equal(data, w[1:]) {
				t.Fatalf("frame %d of %d bytes: %c, %d bytes, %v", i, len(w), code, len(data), err)
			}
		}
		ends := io.EOF
		if cut > 0 {
			ends = io.ErrUnexpectedEOF
		}
		if _, _, err := c.next(); err != ends {
			t.Errorf("%d bytes short: %v", cut, err)
		}
		d := c.desk
		if c.giveBack(); d.in.large != nil || len(d.in.memory) != readerSize || len(d.in.pending()) > 0 {
			t.Errorf("given back with %d bytes of %d", len(d.in.pending()), len(d.in.memory))
		}
	}
}
