package resolve

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

// Response codes that say something about the server (RFC 1035 4.1.1).
const (
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNotImp   = 4
	rcodeRefused  = 5
)

const (
	// maxUnwanted is how many packets that are no answer one socket takes. Beyond it somebody is guessing, and TCP is safe from that
	// (RFC 5452 9.3 asks for such a bound).
	maxUnwanted = 32
	// readSize takes any reply to udpSize and those of servers that send somewhat more.
	readSize = 4096
)

var errGuessing = errors.New("too many packets that are no answer")

var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// dialer opens a socket of its own for each exchange, so that the port is one more thing to guess (RFC 5452 9.2).
var dialer net.Dialer

// overUDP sends a query and waits, until ctx ends, for the one packet that answers it.
func (c *Client) overUDP(ctx context.Context, addr string, q *query) ([]byte, verdict, error) {
	conn, err := dialer.DialContext(ctx, "udp", addr)
	if err != nil {
		return nil, unwanted, err
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	c.stats.queries.Add(1)
	if _, err := conn.Write(q.packet); err != nil {
		return nil, unwanted, err
	}
	buffer := buffers.Get().(*[readSize]byte)
	defer buffers.Put(buffer)
	for range maxUnwanted {
		n, err := conn.Read(buffer[:])
		if err != nil {
			return nil, unwanted, err
		}
		if v := q.judge(buffer[:n]); v != unwanted {
			return append([]byte(nil), buffer[:n]...), v, nil
		}
		c.stats.unwanted.Add(1)
	}
	return nil, unwanted, errGuessing
}

// overTCP does the same over TCP (RFC 7766), where nobody can join in unseen: the case of the name does not matter.
func (c *Client) overTCP(ctx context.Context, addr string, q *query) ([]byte, verdict, error) {
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, unwanted, err
	}
	defer conn.Close()
	defer endWith(ctx, conn)()
	c.stats.queries.Add(1)
	c.stats.tcp.Add(1)
	framed := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(q.packet)), uint16(len(q.packet)))
	if _, err := conn.Write(append(framed, q.packet...)); err != nil { // in one write: RFC 7766 8
		return nil, unwanted, err
	}
	for range maxUnwanted {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return nil, unwanted, err
		}
		packet := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, packet); err != nil {
			return nil, unwanted, err
		}
		if v := q.judge(packet); v != unwanted {
			return packet, v, nil
		}
		c.stats.unwanted.Add(1)
	}
	return nil, unwanted, errGuessing
}
