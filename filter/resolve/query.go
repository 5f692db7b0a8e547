package resolve

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"strings"
)

// What a query says of itself, and what a message may look like (RFC 1035 4.1.1).
const (
	headerSize = 12
	bitQR      = 0x80 // of byte 2: a response
	opcodeMask = 0x78 // of byte 2: 0 is a standard query
	bitTC      = 0x02 // of byte 2: truncated
	rcodeMask  = 0x0f // of byte 3

	classIN = 1
	typeOPT = 41

	// udpSize is the largest reply over UDP that we invite: no fragments on any usual path (RFC 9715 3).
	udpSize = 1232
)

// query is one question ready to be sent.
type query struct {
	packet   []byte
	question []byte // the part of packet that a reply must repeat
	edns     bool
}

// newQuery writes a query for a clean name, with a random id. Mixed gives each letter of the name a random case, which a reply must
// keep: up to one more bit that a forger must guess for each letter. EDNS announces udpSize (RFC 6891 6.1).
func newQuery(k key, edns, mixed bool) query {
	p := make([]byte, headerSize, headerSize+len(k.name)+2+4+11)
	var random [2 + 32]byte
	rand.Read(random[:])
	copy(p, random[:2])
	p[2] = 1 // RD: recursion desired
	p[5] = 1 // one question
	for label := range strings.SplitSeq(k.name, ".") {
		p = append(append(p, byte(len(label))), label...)
	}
	p = append(p, 0)
	if mixed {
		mixCase(p[headerSize:], random[2:])
	}
	p = binary.BigEndian.AppendUint16(p, uint16(k.kind))
	p = binary.BigEndian.AppendUint16(p, classIN)
	q := query{question: p[headerSize:len(p):len(p)], edns: edns}
	if edns {
		p[11] = 1 // one additional record
		p = append(p, 0, 0, typeOPT, udpSize>>8, udpSize&0xff, 0, 0, 0, 0, 0, 0)
	}
	q.packet = p
	return q
}

// mixCase flips the case of lower-case letters where a bit of random is set. Bytes that count a label are below the letters.
func mixCase(name, random []byte) {
	for i, c := range name {
		if 'a' <= c && c <= 'z' && random[i/8%len(random)]>>(i%8)&1 == 1 {
			name[i] = c &^ 0x20
		}
	}
}

// verdict says what a packet is to a query.
type verdict uint8

const (
	unwanted verdict = iota // no reply to the query: junk, late, or forged
	wanted                  // the reply
	caseLost                // the reply, but for the case of the name: a careless server or a forger
)

// judge compares a packet with a query: kind of message, id, and the question byte for byte (RFC 5452 4.2, 9.1). A server that does not
// even understand the question may leave it out of its error.
func (q *query) judge(packet []byte) verdict {
	if len(packet) < headerSize || packet[2]&bitQR == 0 || packet[2]&opcodeMask != 0 || !bytes.Equal(packet[:2], q.packet[:2]) {
		return unwanted
	}
	questions := binary.BigEndian.Uint16(packet[4:])
	if questions == 0 || len(packet) == headerSize {
		switch packet[3] & rcodeMask {
		case rcodeFormErr, rcodeServFail, rcodeNotImp, rcodeRefused:
			return wanted
		}
		return unwanted
	}
	end := headerSize + len(q.question)
	if len(packet) < end || questions != 1 {
		return unwanted
	}
	asked := packet[headerSize:end]
	if bytes.Equal(asked, q.question) {
		return wanted
	}
	tail := len(q.question) - 4 // type and class have no case
	if bytes.Equal(asked[tail:], q.question[tail:]) && sameName(asked[:tail], q.question[:tail]) {
		return caseLost
	}
	return unwanted
}

// sameName compares names on the wire without regard to case. Bytes that count a label are below the letters, so folding spares them.
func sameName(a, b []byte) bool {
	for i := range a {
		if fold(a[i]) != fold(b[i]) {
			return false
		}
	}
	return true
}

func fold(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}
