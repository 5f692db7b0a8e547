package history

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// A block holds some records one after the other. A text that stood before in the block is written as its number, so that the names of
// facts and the words of results cost one or two bytes. Each record has two parts in blocks of their own: the core, which deciding again
// reads, and the detail, which people read.

// format is the version of the encoding, the first byte of a block.
const format = 1

// encoder writes one block.
type encoder struct {
	out   []byte
	texts texts  // those that may come again
	terms terms  // those among them that are terms
	count uint64 // of all texts
}

func newEncoder() *encoder {
	e := &encoder{texts: newTexts()}
	e.begin()
	return e
}

// begin begins another block, in the memory of the one before unless that was an uncommonly large one.
func (e *encoder) begin() {
	if cap(e.out) > 2*blockBytes {
		e.out = nil
	}
	e.out = append(e.out[:0], format)
	e.texts.clear()
	e.terms.clear()
	e.count = 0
}

func (e *encoder) uint(n uint64) {
	if n < 0x80 { // mostly, and the compiler then stores no more than a length
		e.out = append(e.out, byte(n))
		return
	}
	e.out = binary.AppendUvarint(e.out, n)
}

func (e *encoder) int(n int64) { e.out = binary.AppendVarint(e.out, n) }

func (e *encoder) bool(b bool) {
	n := byte(0)
	if b {
		n = 1
	}
	e.out = append(e.out, n)
}

// text writes 0 for "", 1 for a new text that follows, and n+2 for text n of the block. It gives the number of the text.
func (e *encoder) text(s string) (number uint64) {
	if s == "" {
		e.uint(0)
		return 0
	}
	hash := e.texts.hash(s)
	if n, known := e.texts.find(hash, s, e.out); known {
		e.uint(uint64(n) + 2)
		return uint64(n)
	}
	n := e.count
	e.once(s)
	e.texts.add(place{hash: hash, at: uint32(len(e.out) - len(s)), size: uint32(len(s)), number: uint32(n)})
	return n
}

// term writes a text of the program or of the policy, which comes with nearly every record, as text does.
func (e *encoder) term(s string) {
	if s == "" {
		e.uint(0)
		return
	}
	t := e.terms.of(s)
	if t.text == s {
		e.uint(t.number + 2)
		return
	}
	*t = term{s, e.text(s)}
}

// once writes a text that hardly comes again, such as an id: it is not looked for, and not remembered.
func (e *encoder) once(s string) {
	if s == "" {
		e.uint(0)
		return
	}
	e.count++
	e.uint(1)
	e.uint(uint64(len(s)))
	e.out = append(e.out, s...)
}

func (e *encoder) list(all []string) {
	e.uint(uint64(len(all)))
	for _, s := range all {
		e.text(s)
	}
}

func (e *encoder) addr(a netip.Addr) {
	var room [32]byte
	raw, _ := a.AppendBinary(room[:0])                     // never fails
	e.text(unsafe.String(unsafe.SliceData(raw), len(raw))) // text keeps nothing of it
}

// moment writes a time with its distance from UTC: the hour of the day is a fact.
func (e *encoder) moment(t time.Time) {
	_, offset := t.Zone()
	e.int(t.Unix())
	e.uint(uint64(t.Nanosecond()))
	e.int(int64(offset))
}

// The kinds of values.
const (
	valueNone = iota
	valueText
	valueFalse
	valueTrue
	valueInt
	valueDouble
	valueList
)

func (e *encoder) value(v policy.Value) {
	if text, is := v.IsText(); is {
		e.uint(valueText)
		e.text(text)
		return
	}
	switch v := v.Native().(type) {
	case bool:
		if v {
			e.uint(valueTrue)
		} else {
			e.uint(valueFalse)
		}
	case int64:
		e.uint(valueInt)
		e.int(v)
	case float64:
		e.uint(valueDouble)
		e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(v))
	case []string:
		e.uint(valueList)
		e.list(v)
	default:
		e.uint(valueNone)
	}
}

// core writes what deciding again needs.
func (e *encoder) core(r *Record) {
	e.once(r.ID)
	e.once(r.Conn)
	e.uint(uint64(r.Number))
	e.moment(r.Time)
	e.term(r.Policy)
	e.client(r)
	e.sender(r)
	e.uint(uint64(len(r.Recipients)))
	for i := range r.Recipients {
		e.recipient(&r.Recipients[i])
	}
	e.uint(uint64(r.Dropped))
	e.once(r.QueueID)
	e.uint(uint64(r.Reached))
	e.bool(r.ConnPaused)
	e.bool(r.Paused)
	e.bool(r.Relay)
	e.message(r.Message)
	e.uint(uint64(len(r.Outcomes)))
	for i := range r.Outcomes {
		e.outcome(&r.Outcomes[i])
	}
	e.uint(uint64(len(r.Readings)))
	for _, l := range r.Readings {
		e.term(l.Limit)
		e.uint(uint64(l.At))
		e.int(int64(l.Recipient))
		e.bool(l.Over)
		e.text(l.Retry)
	}
	e.uint(uint64(len(r.Lines)))
	for i := range r.Lines {
		e.line(&r.Lines[i])
	}
}

func (e *encoder) client(r *Record) {
	c := &r.Client
	e.addr(c.Addr)
	for _, s := range [...]string{c.Name, c.PTR, c.DaemonName, c.DaemonPort, c.MTA, c.QueueID} {
		e.text(s)
	}
	e.moment(r.ConnTime)
	e.bool(r.Greeted)
	e.text(r.Helo)
	e.tls(r.HeloTLS)
}

func (e *encoder) tls(t TLS) {
	e.text(t.Version)
	e.text(t.Cipher)
	e.uint(uint64(t.Bits))
}

func (e *encoder) sender(r *Record) {
	e.text(r.Sender.Address)
	e.text(r.Sender.User)
	e.text(r.Sender.Method)
	e.tls(r.Sender.TLS)
}

func (e *encoder) recipient(r *Recipient) {
	for _, s := range [...]string{r.Address, r.Resolved, r.Mailer, r.Host, r.Retry} {
		e.text(s)
	}
	for _, b := range [...]bool{r.Refused, r.Relayed, r.Asked, r.Wait} {
		e.bool(b)
	}
}

func (e *encoder) message(m *Message) {
	e.bool(m != nil)
	if m == nil {
		return
	}
	e.uint(uint64(m.Size))
	e.text(m.ListID)
	e.once(m.MessageID)
	e.text(m.AuthorAddress)
	e.text(m.AuthorDomain)
	e.uint(uint64(m.AuthorFields))
	e.uint(uint64(m.AuthorDomains))
	e.uint(uint64(len(m.Header)))
	var room [16]string // for as many as a policy mostly reads
	for _, name := range sorted(m.Header, room[:0]) {
		e.text(name)
		e.list(m.Header[name])
	}
	e.addr(m.HopAddr)
	e.text(m.HopName)
	e.text(m.HopHelo)
}

// sorted gives the names of fields in order, in room.
func sorted(header map[string][]string, room []string) []string {
	names := slices.AppendSeq(room, maps.Keys(header))
	slices.Sort(names)
	return names
}

func (e *encoder) outcome(o *Outcome) {
	e.term(o.Check)
	e.uint(uint64(o.Starts))
	e.uint(uint64(o.Published))
	e.uint(uint64(o.Stage))
	e.uint(uint64(len(o.Facts)))
	for _, f := range o.Facts {
		e.term(f.Name)
		e.value(f.Value)
	}
}

func (e *encoder) line(l *Line) {
	e.int(int64(l.Recipient))
	e.uint(uint64(l.Action))
	e.term(l.Rule)
	e.uint(uint64(l.Code))
	e.term(l.Enhanced)
	e.uint(uint64(l.Decided))
	e.uint(uint64(l.Planned))
	e.term(l.Spoken)
	e.bool(l.PutOff)
	e.term(l.Instead)
	e.term(l.After)
	e.term(l.What)
	e.uint(uint64(len(l.Woulds)))
	for _, w := range l.Woulds {
		e.term(w.Rule)
		e.term(w.What)
		e.uint(uint64(w.Decided))
		e.uint(uint64(w.Spoken))
		e.uint(uint64(w.Share))
	}
	e.list(l.Tags)
	e.uint(uint64(l.Share))
	e.bool(l.Paused)
	e.list(l.Harsher)
}

// detail writes what people read besides: findings with their DNS answers, and the replies as they were spoken.
func (e *encoder) detail(r *Record) {
	e.uint(uint64(len(r.Outcomes)))
	for i := range r.Outcomes {
		e.uint(uint64(len(r.Outcomes[i].Findings)))
		for j := range r.Outcomes[i].Findings {
			e.finding(&r.Outcomes[i].Findings[j])
		}
	}
	e.uint(uint64(len(r.Lines)))
	for i := range r.Lines {
		e.text(r.Lines[i].Text)
	}
}

func (e *encoder) finding(f *check.Finding) {
	for _, s := range [...]string{f.Check, f.Method, f.Result, f.Code, f.Identity} {
		e.term(s)
	}
	e.text(f.Domain)
	e.text(f.Detail)
	e.bool(f.KeyFound)
	e.uint(uint64(f.Took))
	e.uint(uint64(len(f.Props)))
	for _, p := range f.Props {
		e.term(p.Type)
		e.term(p.Name)
		e.text(p.Value)
	}
	e.uint(uint64(len(f.Lookups)))
	for _, a := range f.Lookups {
		e.answer(a)
	}
}

func (e *encoder) answer(a *resolve.Answer) {
	e.text(a.Name)
	e.uint(uint64(a.Type))
	e.uint(uint64(a.Status))
	e.uint(uint64(len(a.Addrs)))
	for _, addr := range a.Addrs {
		e.addr(addr)
	}
	e.list(a.Texts)
	e.uint(uint64(len(a.MXs)))
	for _, mx := range a.MXs {
		e.uint(uint64(mx.Preference))
		e.text(mx.Host)
	}
	e.list(a.Hosts)
	e.uint(uint64(a.TTL))
	e.uint(uint64(a.Age))
	e.text(a.Detail)
}
