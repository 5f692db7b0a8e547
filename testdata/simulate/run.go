package main

import (
	"container/heap"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/state"
	"gatepost.example/policy/policyfile"
)

// began is the first moment of the month.
var began = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// fate is what became of one message.
type fate struct {
	tried, deferred   bool
	accepted, refused bool
	gaveUp            bool // after so many tries
	junk              bool
	first, last       time.Duration
}

// firsts is when something happened to a kind of sender for the first time; below 0 for never.
type firsts struct{ seen, deferred, refused time.Duration }

// run is one pass of the traffic under one policy.
type run struct {
	name    string
	bare    bool // messages go without header and body: the policy reads nothing of them
	server  *filter.Server
	store   *state.Embedded
	now     time.Duration
	queue   calls
	order   int
	fates   []fate
	firsts  [kinds]firsts
	current kind
	rules   [kinds]map[string]int // which rules refused, deferred or tagged
	bank    [2]string             // author.reputation and signer.reputation of the bank's last own message
	borrows int                   // spoofs for which author.reputation was anything but new
}

// call is a visit under way: it holds its session between two messages, so that sessions overlap.
type call struct {
	*visit
	at      time.Duration
	order   int
	attempt int
	started time.Duration // of the first attempt
	next    int
	session *filter.Session
	left    []*mail // deferred, for the next attempt
}

// calls is a heap: what happens first, first.
type calls []*call

func (c calls) Len() int { return len(c) }
func (c calls) Less(i, j int) bool {
	return c[i].at < c[j].at || c[i].at == c[j].at && c[i].order < c[j].order
}
func (c calls) Swap(i, j int) { c[i], c[j] = c[j], c[i] }

// Push implements heap.Interface.
func (c *calls) Push(x any) { *c = append(*c, x.(*call)) }

// Pop implements heap.Interface.
func (c *calls) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}

func newRun(name, policy string, dns resolve.Resolver, total int) (*run, error) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	file, err := policyfile.Parse(name, []byte(policy), vocabulary)
	if err != nil {
		return nil, err
	}
	r := &run{name: name, store: state.NewEmbedded(4_000_000, began), fates: make([]fate, total)}
	for k := range r.firsts {
		r.firsts[k], r.rules[k] = firsts{-1, -1, -1}, map[string]int{}
	}
	id := 0
	r.server = filter.NewServer(filter.SettingsOf(file), filter.Deps{
		Resolver: dns, Store: r.store, Log: slog.New(slog.DiscardHandler), OnRecord: r.record,
		Now:   func() time.Time { return began.Add(r.now) },
		NewID: func() string { id++; return fmt.Sprintf("SIM-%07d", id) },
	})
	return r, nil
}

// record notes who decided, and what was known of the author.
func (r *run) record(d filter.Record) {
	if d.Decision.Rule != "" && (d.Decision.Refuses() || d.PutOff) {
		r.rules[r.current][d.Decision.Rule]++
	}
	if !d.Evidence.Known("author.reputation") || d.Evidence.Text("author.domain") != bank {
		return
	}
	switch author := d.Evidence.Text("author.reputation"); {
	case r.current == spoofer && author != "new":
		r.borrows++
	case r.current == steady:
		r.bank = [2]string{author, d.Evidence.Text("signer.reputation")}
	}
}

// play goes through the month, and on until nobody retries any more.
func (r *run) play(visits []*visit) {
	for _, v := range visits {
		r.push(&call{visit: v, at: v.at, started: v.at})
	}
	for len(r.queue) > 0 {
		c := heap.Pop(&r.queue).(*call)
		r.now = c.at
		r.step(c)
	}
}

func (r *run) push(c *call) {
	r.order++
	c.order = r.order
	heap.Push(&r.queue, c)
}

// step does the next thing of a call: it connects, sends one message, and hangs up after the last one.
func (r *run) step(c *call) {
	m := c.mails[c.next]
	r.current = m.kind
	if c.session == nil {
		if response := r.greet(c); response.Verb == filter.Refuse {
			r.rest(c, response)
			return
		}
	}
	response, junk := r.send(c.session, c.user, m)
	if response.Code == 421 {
		r.rest(c, response)
		return
	}
	r.settle(c, m, response, junk)
	if c.next++; c.next < len(c.mails) {
		c.at += c.gap
		r.push(c)
		return
	}
	r.hangUp(c)
}

func (r *run) greet(c *call) filter.Response {
	c.session = r.server.NewSession()
	if response := c.session.Connect(c.client); response.Verb == filter.Refuse {
		return response
	}
	return c.session.Helo(c.helo, filter.TLS{})
}

// send is one message from MAIL to its end, as an MTA tells it. The answer is that of the last recipient that was refused, if none was taken.
func (r *run) send(s *filter.Session, user string, m *mail) (filter.Response, bool) {
	if response := s.Mail(filter.Sender{Address: m.from, User: user}); response.Verb == filter.Refuse {
		return response, false
	}
	taken, answer := 0, filter.Response{Verb: filter.Refuse, Code: 550, Text: unknownUser}
	for i, to := range m.to {
		recipient := filter.Recipient{Address: to, Resolved: to, Mailer: "smtp", Host: ourDomain}
		if i >= len(m.to)-m.unknown {
			recipient.Resolved, recipient.Mailer, recipient.Host = unknownUser, "error", "5.1.1"
		}
		switch response := s.Rcpt(recipient); {
		case response.Code == 421:
			return response, false
		case response.Verb == filter.Refuse:
			answer = response
		case recipient.Mailer != "error":
			taken++
		}
	}
	if taken == 0 {
		s.Abort()
		return answer, false
	}
	return r.data(s, m)
}

// unknownUser is what the MTA itself says: no refusal of ours.
const unknownUser = "User unknown"

// queueID is the MTA's, of every message.
const queueID = "4fSIMULATED"

func (r *run) data(s *filter.Session, m *mail) (filter.Response, bool) {
	if r.bare {
		s.EndOfHeader()
		response, _ := s.EndOfMessage(queueID)
		return response, false
	}
	for _, f := range m.fields {
		s.HeaderField(f.Name, f.Value)
	}
	if m.verdict != "" {
		s.HeaderField("X-Content-Verdict", " "+m.verdict)
	}
	s.EndOfHeader()
	s.Body(m.body)
	response, edits := s.EndOfMessage(queueID)
	for _, f := range edits.Insert {
		if strings.EqualFold(f.Name, "X-Spam-Flag") {
			return response, true
		}
	}
	return response, false
}

// settle notes what a message was told.
func (r *run) settle(c *call, m *mail, response filter.Response, junk bool) {
	f, first := &r.fates[m.number], &r.firsts[m.kind]
	if !f.tried {
		f.tried, f.first = true, r.now
	}
	if first.seen < 0 {
		first.seen = r.now
	}
	f.last = r.now
	switch {
	case response.Verb != filter.Refuse:
		f.accepted, f.junk = true, junk
	case response.Code < 500:
		f.deferred = true
		c.left = append(c.left, m)
		if first.deferred < 0 {
			first.deferred = r.now
		}
	case response.Text != unknownUser:
		f.refused = true
		if first.refused < 0 {
			first.refused = r.now
		}
	}
}

// rest: the session is over, and with it all messages that were to come.
func (r *run) rest(c *call, response filter.Response) {
	for _, m := range c.mails[c.next:] {
		r.settle(c, m, response, false)
	}
	r.hangUp(c)
}

// waits is how long an honest sender waits before it tries again, the last one for all further tries.
var waits = []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour}

// patience is how long an honest sender tries (RFC 5321 4.5.4.1: four or five days).
const patience = 5 * day

// hangUp ends the session and comes back for what was deferred.
func (r *run) hangUp(c *call) {
	c.session.Close()
	c.session = nil
	if len(c.left) == 0 || c.stays == 0 {
		return
	}
	wait := waits[min(c.attempt, len(waits)-1)]
	if c.at+wait-c.started > c.stays {
		for _, m := range c.left {
			r.fates[m.number].gaveUp = true
		}
		return
	}
	again := *c.visit
	again.mails = c.left
	r.push(&call{visit: &again, at: c.at + wait, started: c.started, attempt: c.attempt + 1})
}
