package resolve

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/miekg/dns"
)

// maxSteps is how often one server is asked anew, each time in a plainer manner, within one try.
const maxSteps = 5

// manner is how a question is put to a server.
type manner struct {
	edns     bool // with an OPT record
	mixed    bool // with the letters of the name in random case
	tcp      bool
	caseLost bool // over TCP because the reply over UDP had another case
}

// try asks one server until it answers or ctx ends, stepping down from what it does not understand.
func (c *Client) try(ctx context.Context, try planned, k key) (got reply) {
	got.from = try.to
	defer c.caught(k, &got.trouble)
	now := c.config.Now()
	m := manner{edns: try.edns, mixed: !try.to.keepsNoCase(now)}
	keepsNoCase := false
	for range maxSteps {
		q := newQuery(k, m.edns, m.mixed)
		packet, v, err := c.exchange(ctx, try.to.addr, &q, m)
		if plainer, ok := m.stepDown(packet, v, err); ok && ctx.Err() == nil {
			keepsNoCase = keepsNoCase || m.caseLost && !plainer.mixed
			m = plainer
			continue
		}
		if err != nil {
			return failure(ctx, try.to, err)
		}
		if v == caseLost || keepsNoCase { // said over TCP, or by silence there: no forger did it
			try.to.setCaseless(now)
		}
		msg := new(dns.Msg)
		if err := msg.Unpack(packet); err != nil {
			got.trouble = "a malformed answer from " + try.to.addr
			return got
		}
		got.msg = msg
		return got
	}
	got.trouble = "no usable answer from " + try.to.addr
	return got
}

// exchange sends one query and waits for its reply.
func (c *Client) exchange(ctx context.Context, addr string, q *query, m manner) ([]byte, verdict, error) {
	if !m.tcp {
		return c.overUDP(ctx, addr, q)
	}
	if m.caseLost { // there is still another way if TCP hangs
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.config.Timeout/4)
		defer cancel()
	}
	return c.overTCP(ctx, addr, q)
}

// stepDown gives the manner in which to ask again after a reply that is no answer; false when there is no other.
func (m manner) stepDown(packet []byte, v verdict, err error) (manner, bool) {
	switch {
	case errors.Is(err, errGuessing) && !m.tcp:
		m.tcp = true
	case err != nil && m.caseLost: // it keeps no case and has no TCP
		m.tcp, m.mixed, m.caseLost = false, false, false
	case err != nil:
		return m, false
	case v == caseLost && !m.tcp:
		m.tcp, m.caseLost = true, true
	case packet[2]&bitTC != 0 && !m.tcp: // RFC 2181 9: what a truncated reply holds is not used
		m.tcp = true
	case m.edns && (packet[3]&rcodeMask == rcodeFormErr || packet[3]&rcodeMask == rcodeNotImp): // RFC 6891 7
		m.edns = false
	default:
		return m, false
	}
	return m, true
}

// failure is the reply of a server that cannot be reached or has not answered.
func failure(ctx context.Context, from *server, err error) reply {
	var late net.Error
	if ctx.Err() != nil || errors.As(err, &late) && late.Timeout() {
		return reply{from: from, silent: true, trouble: "no answer from " + from.addr}
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // the rest of its text is our own port
	}
	return reply{from: from, trouble: err.Error() + " from " + from.addr}
}

// endWith makes reads and writes of a connection fail as soon as ctx ends. The function it gives undoes that.
func endWith(ctx context.Context, conn net.Conn) (release func() bool) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
	}
	return context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
}
