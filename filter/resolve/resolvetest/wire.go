package resolvetest

import (
	"encoding/binary"
	"strings"

	"gatepost.example/filter/resolve"
)

// Response codes and header bits of RFC 1035 4.1.1, written here by hand so that no library judges itself.
const (
	rcodeFormErr  = 1
	rcodeServFail = 2
	rcodeNXDomain = 3

	bitQR = 0x80 // byte 2: a response
	bitAA = 0x04 // byte 2: authoritative
	bitTC = 0x02 // byte 2: truncated
	bitRA = 0x80 // byte 3: recursion available

	headerSize = 12
	typeOPT    = 41
	maxPacket  = 65535
)

// query is one question as it stands on the wire.
type query struct {
	packet []byte // header and question only
	name   string // case as sent
	kind   uint16
	edns   bool
	size   int // largest reply over UDP
}

// readQuery understands queries with one question; all others are not for a test server.
func readQuery(packet []byte) (query, bool) {
	q := query{size: 512}
	if len(packet) < headerSize || packet[2]&bitQR != 0 || binary.BigEndian.Uint16(packet[4:]) != 1 {
		return q, false
	}
	var labels []string
	at := headerSize
	for at < len(packet) && packet[at] != 0 {
		end := at + 1 + int(packet[at])
		if packet[at] > 63 || end > len(packet) {
			return q, false
		}
		labels = append(labels, string(packet[at+1:end]))
		at = end
	}
	if at+5 > len(packet) {
		return q, false
	}
	q.name = strings.Join(labels, ".")
	q.kind = binary.BigEndian.Uint16(packet[at+1:])
	q.packet = packet[:at+5]
	if opt := packet[at+5:]; len(opt) >= 5 && opt[0] == 0 && binary.BigEndian.Uint16(opt[1:]) == typeOPT { // RFC 6891 6.1.2
		q.edns = true
		q.size = max(512, int(binary.BigEndian.Uint16(opt[3:])))
	}
	return q, true
}

// reply writes what an honest server sends over TCP. It is nil where the zone text says TIMEOUT.
func (z *Zone) reply(q query, limit int) []byte {
	name, _ := resolve.CleanName(q.name)
	c := z.follow(name, q.kind)
	switch c.status {
	case resolve.Timeout:
		return nil
	case resolve.ServFail:
		if len(c.records) == 0 { // a loop of CNAMEs is served as it stands
			return q.header(rcodeServFail)
		}
	}
	rcode := byte(0)
	if c.status == resolve.NXDomain {
		rcode = rcodeNXDomain
	}
	p := q.header(rcode)
	cut := len(c.records) > limit
	if cut {
		c.records = c.records[:limit]
	}
	binary.BigEndian.PutUint16(p[6:], uint16(len(c.records)))
	for _, r := range c.records {
		p = appendRecord(p, r)
	}
	if soa, ok := z.authority(c.end); ok && !cut && c.status != resolve.Found {
		binary.BigEndian.PutUint16(p[8:], 1)
		p = appendRecord(p, soa)
	}
	return p
}

// header begins a reply: the query's id and question, as they were sent.
func (q query) header(rcode byte) []byte {
	p := append([]byte(nil), q.packet...)
	p[2] = p[2]&0x01 | bitQR | bitAA
	p[3] = bitRA | rcode
	clear(p[6:headerSize])
	return p
}

// withOPT adds the server's own OPT record, which an EDNS query deserves (RFC 6891 6.1.1).
func withOPT(p []byte) []byte {
	binary.BigEndian.PutUint16(p[10:], 1)
	return append(p, 0, 0, typeOPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0)
}

// authority gives the SOA record of the zone that a name belongs to (RFC 2308 3).
func (z *Zone) authority(name string) (record, bool) {
	for ; name != ""; _, name, _ = strings.Cut(name, ".") {
		if n := z.nodes[name]; n != nil {
			for _, r := range n.records {
				if r.kind == typeSOA {
					r.owner = name
					return r, true
				}
			}
		}
	}
	return record{}, false
}

func appendRecord(p []byte, r record) []byte {
	p = appendName(p, r.owner)
	p = binary.BigEndian.AppendUint16(p, r.kind)
	p = binary.BigEndian.AppendUint16(p, 1)
	p = binary.BigEndian.AppendUint32(p, r.ttl)
	size := len(p)
	p = append(p, 0, 0)
	p = appendData(p, r)
	binary.BigEndian.PutUint16(p[size:], uint16(len(p)-size-2))
	return p
}

func appendData(p []byte, r record) []byte {
	switch r.kind {
	case uint16(resolve.A), uint16(resolve.AAAA):
		return append(p, r.addr.AsSlice()...)
	case uint16(resolve.TXT):
		for _, text := range r.texts {
			p = append(append(p, byte(len(text))), text...)
		}
		return p
	case uint16(resolve.MX):
		return appendName(binary.BigEndian.AppendUint16(p, r.preference), r.host)
	case typeSOA:
		p = appendName(appendName(p, r.host), r.mailbox)
		for _, n := range r.numbers {
			p = binary.BigEndian.AppendUint32(p, n)
		}
		return p
	}
	return appendName(p, r.host)
}

// appendName writes a name without compression; "" is the root.
func appendName(p []byte, name string) []byte {
	if name != "" {
		for label := range strings.SplitSeq(name, ".") {
			p = append(append(p, byte(len(label))), label...)
		}
	}
	return append(p, 0)
}
