package history

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"
	"unsafe"

	"gatepost.example/filter/check"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

var errBroken = errors.New("a block of the history is broken")

// decoder reads one block. After the first mistake it gives zeroes.
type decoder struct {
	in     []byte
	texts  []string
	values []policy.Value // of texts, made when first asked for: the same words come again and again
	wrong  bool
}

// newDecoder begins a block, which must not change as long as anything that was read of it is used: texts are parts of it.
func newDecoder(block []byte) *decoder {
	d := &decoder{in: block}
	if len(block) == 0 || block[0] != format {
		d.wrong = true
		return d
	}
	d.in = block[1:]
	return d
}

// more reports whether another record follows.
func (d *decoder) more() bool { return !d.wrong && len(d.in) > 0 }

func (d *decoder) fail() {
	d.wrong, d.in = true, nil
}

func (d *decoder) uint() uint64 {
	if len(d.in) > 0 && d.in[0] < 0x80 {
		n := d.in[0]
		d.in = d.in[1:]
		return uint64(n)
	}
	n, size := binary.Uvarint(d.in)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.in = d.in[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.in)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.in = d.in[size:]
	return n
}

// small reads a number of at most a bound.
func (d *decoder) small(most uint64) int {
	n := d.uint()
	if n > most {
		d.fail()
		return 0
	}
	return int(n)
}

// count reads how many things follow: each is at least one byte of what is left behind the number.
func (d *decoder) count() int { return d.things(1) }

// The least bytes that things of a record take: a block that says it has more of them than fit takes no memory for them.
const (
	leastRecipient = 9
	leastOutcome   = 5
	leastNamed     = 2
	leastReading   = 5
	leastLine      = 17
	leastWould     = 5
	leastFinding   = 11
	leastProperty  = 3
	leastAnswer    = 10
	leastServer    = 2
)

// things reads how many things follow, each of at least so many bytes.
func (d *decoder) things(least int) int {
	n := d.uint()
	if n > uint64(len(d.in)/least) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) bool() bool { return d.small(1) == 1 }

// position reads a text's place among those of the block, -1 for "".
func (d *decoder) position() int {
	n := d.uint()
	switch {
	case n == 0:
		return -1
	case n > 1:
		if n-2 >= uint64(len(d.texts)) {
			d.fail()
			return -1
		}
		return int(n - 2)
	}
	size := d.count()
	if d.wrong || size == 0 {
		d.fail()
		return -1
	}
	d.texts = append(d.texts, unsafe.String(&d.in[0], size)) // the block never changes
	d.in = d.in[size:]
	return len(d.texts) - 1
}

func (d *decoder) text() string {
	if i := d.position(); i >= 0 {
		return d.texts[i]
	}
	return ""
}

func (d *decoder) list() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.text()
	}
	return out
}

func (d *decoder) addr() netip.Addr {
	var a netip.Addr
	if err := a.UnmarshalBinary([]byte(d.text())); err != nil {
		d.fail()
	}
	return a
}

func (d *decoder) moment() time.Time {
	seconds, nanoseconds, offset := d.int(), d.small(999_999_999), d.int()
	if offset < -86400 || offset > 86400 {
		d.fail()
		offset = 0
	}
	t := time.Unix(seconds, int64(nanoseconds))
	if _, here := t.Zone(); int64(here) == offset {
		return t
	}
	return t.In(time.FixedZone("", int(offset)))
}

func (d *decoder) stage() policy.Stage { return policy.Stage(d.small(uint64(policy.Data))) }

func (d *decoder) share() policy.Share { return policy.Share(d.small(uint64(policy.WholeShare))) }

func (d *decoder) value() policy.Value {
	switch d.small(valueList) {
	case valueText:
		return d.textValue()
	case valueFalse:
		return policy.BoolOf(false)
	case valueTrue:
		return policy.BoolOf(true)
	case valueInt:
		return policy.IntOf(int(d.int()))
	case valueDouble:
		if len(d.in) < 8 {
			d.fail()
			return policy.Value{}
		}
		bits := binary.BigEndian.Uint64(d.in)
		d.in = d.in[8:]
		return policy.DoubleOf(math.Float64frombits(bits))
	case valueList:
		return policy.StringsOf(d.list())
	}
	return policy.Value{}
}

func (d *decoder) textValue() policy.Value {
	i := d.position()
	if i < 0 {
		return policy.StringOf("")
	}
	for len(d.values) <= i {
		d.values = append(d.values, policy.Value{})
	}
	if d.values[i].IsZero() {
		d.values[i] = policy.StringOf(d.texts[i])
	}
	return d.values[i]
}

// core reads the next record, without its detail.
func (d *decoder) core(r *Record) {
	*r = Record{ID: d.text(), Conn: d.text(), Number: d.small(math.MaxInt32), Time: d.moment(), Policy: d.text()}
	c := &r.Client
	c.Addr = d.addr()
	for _, s := range []*string{&c.Name, &c.PTR, &c.DaemonName, &c.DaemonPort, &c.MTA, &c.QueueID} {
		*s = d.text()
	}
	r.ConnTime, r.Greeted, r.Helo, r.HeloTLS = d.moment(), d.bool(), d.text(), d.tls()
	r.Sender = Sender{Address: d.text(), User: d.text(), Method: d.text(), TLS: d.tls()}
	r.Recipients = make([]Recipient, d.things(leastRecipient))
	for i := range r.Recipients {
		d.recipient(&r.Recipients[i])
	}
	r.Dropped, r.QueueID, r.Reached = d.small(math.MaxInt32), d.text(), d.stage()
	r.ConnPaused, r.Paused, r.Relay = d.bool(), d.bool(), d.bool()
	r.Message = d.message()
	r.Outcomes = make([]Outcome, d.things(leastOutcome))
	for i := range r.Outcomes {
		d.outcome(&r.Outcomes[i])
	}
	r.Readings = make([]Reading, d.things(leastReading))
	for i := range r.Readings {
		r.Readings[i] = Reading{Limit: d.text(), At: d.stage(), Recipient: d.recipientIndex(r), Over: d.bool(), Retry: d.text()}
	}
	r.Lines = make([]Line, d.things(leastLine))
	for i := range r.Lines {
		d.line(r, &r.Lines[i])
	}
}

func (d *decoder) recipientIndex(r *Record) int {
	i := d.int()
	if i < -1 || i >= int64(len(r.Recipients)) {
		d.fail()
		return -1
	}
	return int(i)
}

func (d *decoder) tls() TLS {
	return TLS{Version: d.text(), Cipher: d.text(), Bits: d.small(math.MaxInt32)}
}

func (d *decoder) recipient(r *Recipient) {
	for _, s := range []*string{&r.Address, &r.Resolved, &r.Mailer, &r.Host, &r.Retry} {
		*s = d.text()
	}
	for _, b := range []*bool{&r.Refused, &r.Relayed, &r.Asked, &r.Wait} {
		*b = d.bool()
	}
}

func (d *decoder) message() *Message {
	if !d.bool() {
		return nil
	}
	m := &Message{Size: d.small(math.MaxInt64)}
	for _, s := range []*string{&m.ListID, &m.MessageID, &m.AuthorAddress, &m.AuthorDomain} {
		*s = d.text()
	}
	m.AuthorFields, m.AuthorDomains = d.small(math.MaxInt32), d.small(math.MaxInt32)
	if n := d.count(); n > 0 {
		m.Header = make(map[string][]string, n)
		for range n {
			name := d.text()
			m.Header[name] = d.list()
		}
	}
	m.HopAddr, m.HopName, m.HopHelo = d.addr(), d.text(), d.text()
	return m
}

func (d *decoder) outcome(o *Outcome) {
	o.Check, o.Starts, o.Published, o.Stage = d.text(), d.stage(), When(d.small(uint64(AtData))), d.stage()
	if n := d.things(leastNamed); n > 0 {
		o.Facts = make([]check.Named, n)
	}
	for i := range o.Facts {
		o.Facts[i] = check.Named{Name: d.text(), Value: d.value()}
	}
}

func (d *decoder) line(r *Record, l *Line) {
	l.Recipient, l.Action, l.Rule, l.Code, l.Enhanced = d.recipientIndex(r), policy.Action(d.small(uint64(policy.Tag))), d.text(), d.small(999), d.text()
	l.Decided, l.Planned, l.Spoken = d.stage(), d.stage(), d.text()
	l.PutOff, l.Instead, l.After, l.What = d.bool(), d.text(), d.text(), d.text()
	if n := d.things(leastWould); n > 0 {
		l.Woulds = make([]policy.Would, n)
	}
	for i := range l.Woulds {
		l.Woulds[i] = policy.Would{Rule: d.text(), What: d.text(), Decided: d.stage(), Spoken: d.stage(), Share: d.share()}
	}
	l.Tags, l.Share, l.Paused, l.Harsher = d.list(), d.share(), d.bool(), d.list()
}

// detail reads the detail of the next record into what core gave of it.
func (d *decoder) detail(r *Record) {
	if n := d.count(); n != len(r.Outcomes) {
		d.fail()
		return
	}
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if n := d.things(leastFinding); n > 0 {
			o.Findings = make([]check.Finding, n)
		}
		for j := range o.Findings {
			d.finding(&o.Findings[j])
		}
	}
	if n := d.count(); n != len(r.Lines) {
		d.fail()
		return
	}
	for i := range r.Lines {
		r.Lines[i].Text = d.text()
	}
}

// skim reads over the detail of a record whose core is not known.
func (d *decoder) skim() {
	for range d.count() {
		for range d.count() {
			d.finding(new(check.Finding))
		}
	}
	for range d.count() {
		d.position()
	}
}

func (d *decoder) finding(f *check.Finding) {
	for _, s := range []*string{&f.Check, &f.Method, &f.Result, &f.Code, &f.Identity, &f.Domain, &f.Detail} {
		*s = d.text()
	}
	f.KeyFound, f.Took = d.bool(), time.Duration(d.small(math.MaxInt64))
	if n := d.things(leastProperty); n > 0 {
		f.Props = make([]check.Property, n)
	}
	for i := range f.Props {
		f.Props[i] = check.Property{Type: d.text(), Name: d.text(), Value: d.text()}
	}
	if n := d.things(leastAnswer); n > 0 {
		f.Lookups = make([]*resolve.Answer, n)
	}
	for i := range f.Lookups {
		f.Lookups[i] = d.answer()
	}
}

func (d *decoder) answer() *resolve.Answer {
	a := &resolve.Answer{Name: d.text(), Type: resolve.Type(d.small(math.MaxUint16)), Status: resolve.Status(d.small(uint64(resolve.BadName)))}
	if n := d.count(); n > 0 {
		a.Addrs = make([]netip.Addr, n)
	}
	for i := range a.Addrs {
		a.Addrs[i] = d.addr()
	}
	a.Texts = d.list()
	if n := d.things(leastServer); n > 0 {
		a.MXs = make([]resolve.Mailserver, n)
	}
	for i := range a.MXs {
		a.MXs[i] = resolve.Mailserver{Preference: uint16(d.small(math.MaxUint16)), Host: d.text()}
	}
	a.Hosts = d.list()
	a.TTL, a.Age, a.Detail = time.Duration(d.small(math.MaxInt64)), time.Duration(d.small(math.MaxInt64)), d.text()
	return a
}
