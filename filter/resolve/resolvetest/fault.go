package resolvetest

import (
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Exchange is one query and what the server is about to send for it. Faults change it.
type Exchange struct {
	Send [][]byte      // the packets to send; at first the right reply alone
	Wait time.Duration // before they are sent
	TCP  bool          // how the query came
	EDNS bool          // the query has an OPT record

	zone  *Zone
	query query
}

// fit completes a reply with its OPT record and cuts it to what the query allows over UDP.
func (e *Exchange) fit(reply []byte) []byte {
	if e.EDNS {
		reply = withOPT(reply)
	}
	if !e.TCP && len(reply) > e.query.size {
		return e.truncated()
	}
	if len(reply) > maxPacket {
		return e.query.header(rcodeServFail)
	}
	return reply
}

func (e *Exchange) truncated() []byte {
	p := e.query.header(0)
	p[2] |= bitTC
	return p
}

// Fault makes a server misbehave for one query.
type Fault func(*Exchange)

// First applies a fault to the first n queries only.
func First(n int, fault Fault) Fault {
	var seen atomic.Int64
	return func(e *Exchange) {
		if seen.Add(1) <= int64(n) {
			fault(e)
		}
	}
}

// OverUDP applies a fault to queries over UDP only.
func OverUDP(fault Fault) Fault {
	return func(e *Exchange) {
		if !e.TCP {
			fault(e)
		}
	}
}

// Silent sends nothing; over TCP it hangs up.
func Silent(e *Exchange) { e.Send = nil }

// Delay waits before each reply: constant latency, or a server that is too slow.
func Delay(d time.Duration) Fault {
	return func(e *Exchange) { e.Wait += d }
}

// Rcode answers with a response code and no records: 2 SERVFAIL, 4 NOTIMP, 5 REFUSED as a lame server does.
func Rcode(code byte) Fault {
	return func(e *Exchange) { e.Send = [][]byte{e.query.header(code)} }
}

// NoEDNS answers FORMERR to queries with an OPT record, as servers older than RFC 6891 do.
func NoEDNS(e *Exchange) {
	if e.EDNS {
		e.Send = [][]byte{e.query.header(rcodeFormErr)}
	}
}

// NoEDNSBare is NoEDNS by a server that sends nothing but the header.
func NoEDNSBare(e *Exchange) {
	if e.EDNS {
		p := e.query.header(rcodeFormErr)[:headerSize]
		p[5] = 0 // no question
		e.Send = [][]byte{p}
	}
}

// Truncate sets TC on every reply over UDP, so that only TCP gives the answer.
func Truncate(e *Exchange) {
	if !e.TCP {
		e.Send = [][]byte{e.truncated()}
	}
}

// Junk sends packets before the answer that are no DNS messages, or no answers.
func Junk(e *Exchange) {
	echo := append([]byte(nil), e.query.packet...) // the query itself, without the QR bit
	e.before([]byte{}, []byte{0xff}, make([]byte, headerSize), echo[:headerSize-1], echo)
}

// WrongID gives every reply an id that was not asked.
func WrongID(e *Exchange) {
	e.eachReply(func(p []byte) { p[1] ^= 0xff })
}

// WrongQuestion gives every reply the question for another name of the same length.
func WrongQuestion(e *Exchange) {
	e.eachReply(func(p []byte) { p[headerSize+1] ^= 0x02 })
}

// LowerCase answers with the question in lower case, as servers do that keep no case.
func LowerCase(e *Exchange) {
	e.eachReply(func(p []byte) {
		for i := headerSize; i < len(e.query.packet)-4; i++ {
			if 'A' <= p[i] && p[i] <= 'Z' {
				p[i] |= 0x20
			}
		}
	})
}

// ShortChain leaves out what a CNAME leads to, as servers do that are not authoritative for the target.
func ShortChain(e *Exchange) {
	if reply := e.zone.reply(e.query, 1); reply != nil {
		e.Send = [][]byte{e.fit(reply)}
	}
}

// Spoof sends forged replies out of another zone before the answer, as somebody does who sees no queries:
// the id, the case of the name, its type, its class or the kind of message is wrong in each.
func Spoof(forged *Zone) Fault {
	return func(e *Exchange) {
		reply := forged.reply(e.query, maxPacket)
		if reply == nil {
			return
		}
		variant := func(change func(p []byte)) []byte {
			p := append([]byte(nil), reply...)
			change(p)
			return p
		}
		end := len(e.query.packet)
		e.before(
			variant(func(p []byte) { binary.BigEndian.PutUint16(p, binary.BigEndian.Uint16(p)+1) }),
			variant(func(p []byte) { p[headerSize+1] ^= 0x20 }),
			variant(func(p []byte) { p[headerSize+1] ^= 0x02 }),
			variant(func(p []byte) { p[end-3] ^= 0x01 }), // type
			variant(func(p []byte) { p[end-1] = 3 }),     // class CH
			variant(func(p []byte) { p[2] &^= bitQR }),
			variant(func(p []byte) { p[5] = 0 }), // no question
		)
	}
}

// before sends packets ahead of the reply.
func (e *Exchange) before(packets ...[]byte) {
	if e.TCP {
		return // a connection has one sender
	}
	e.Send = append(packets, e.Send...)
}

// eachReply changes copies of the replies that carry a question.
func (e *Exchange) eachReply(change func(p []byte)) {
	for i, p := range e.Send {
		if len(p) >= len(e.query.packet) {
			p = append([]byte(nil), p...)
			change(p)
			e.Send[i] = p
		}
	}
}
