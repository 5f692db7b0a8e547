package main

import (
	"fmt"
	"slices"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/message"
)

// kind is what sort of sender a message comes from.
type kind int

// The kinds: first those that people want, up to freshESP.
const (
	users kind = iota
	correspondents
	steady
	newsletters
	offices
	forwarded
	freshESP
	forwardedSpam
	snowshoe
	botnet
	dictionary
	cracked
	spoofer
	kinds
)

var kindNames = [kinds]string{
	"our users", "correspondents", "steady senders", "newsletters", "small offices", "forwarded, no SRS", "new ESP, one burst", "forwarded spam", "snowshoe /24", "botnets",
	"dictionary", "cracked account", "spoofer",
}

// attacks reports whether somebody sends it who is to be stopped.
func (k kind) attacks() bool { return k >= snowshoe }

// mail is one message.
type mail struct {
	kind    kind
	number  int
	from    string
	to      []string
	unknown int // the last ones of to do not exist
	fields  []message.Field
	body    []byte
	verdict string // of the content filter: YES for spam, NO, "" where it gave none
}

// visit is one session that a client wants, with its messages.
type visit struct {
	at     time.Duration // since the month began
	gap    time.Duration // between messages
	client filter.Client
	user   string
	helo   string
	stays  time.Duration // how long it sends again what is deferred; 0 for never
	mails  []*mail
}

// Sizes of the month.
const (
	ourDomain  = "example.net"
	bank       = "bank.example" // a good p=reject domain, which the spoofer likes
	day        = 24 * time.Hour
	month      = 30 * day
	messages   = 200_000
	judgedPart = 0.7   // of all mail the content filter judges
	falsePart  = 0.003 // of judged wanted mail it takes for spam
)

// spamPart is the share of judged mail that the content filter finds to be spam.
var spamPart = [kinds]float64{
	users: 0, correspondents: falsePart, steady: falsePart, newsletters: falsePart, offices: falsePart, forwarded: falsePart, freshESP: falsePart,
	forwardedSpam: 0.8, snowshoe: 0.6, botnet: 0.85, dictionary: 0.7, spoofer: 0.4,
}

// unknownPart is the share of messages one recipient of which is gone or mistyped; dictionary attacks have their own.
var unknownPart = [kinds]float64{
	correspondents: 0.001, steady: 0.003, newsletters: 0.01, offices: 0.005, freshESP: 0.01, snowshoe: 0.05, botnet: 0.15, spoofer: 0.05,
}

// month's traffic is made of visits; the same for every policy.
type traffic struct {
	*world
	visits []*visit
	count  int
}

// mail makes one message to one of our users.
func (t *traffic) mail(k kind, from string, fields []message.Field) *mail {
	m := &mail{kind: k, number: t.count, from: from, fields: fields, body: wholeBody, to: []string{fmt.Sprintf("u%d@%s", t.rng.IntN(200), ourDomain)}}
	t.count++
	if t.rng.Float64() < judgedPart {
		m.verdict = "NO"
		if t.rng.Float64() < spamPart[k] {
			m.verdict = "YES"
		}
	}
	if t.rng.Float64() < unknownPart[k] {
		m.to[0], m.unknown = fmt.Sprintf("gone%d@%s", t.rng.IntN(1e6), ourDomain), 1
	}
	return m
}

// call adds a visit.
func (t *traffic) call(at time.Duration, c filter.Client, mails ...*mail) *visit {
	helo := c.Name
	if helo == "" {
		helo = "[" + c.Addr.String() + "]"
	}
	v := &visit{at: at, gap: time.Second, client: c, helo: helo, stays: patience, mails: mails}
	t.visits = append(t.visits, v)
	return v
}

// between gives a moment between two days.
func (t *traffic) between(from, to float64) time.Duration {
	return time.Duration((from + t.rng.Float64()*(to-from)) * float64(day))
}

// burst sends many messages from several machines at once: each opens sessions of so many messages, one a minute.
func (t *traffic) burst(at time.Duration, machines []filter.Client, mails []*mail, size int) {
	turn := 0
	for part := range slices.Chunk(mails, size) {
		machine := machines[turn%len(machines)]
		t.call(at+time.Duration(turn/len(machines))*time.Minute, machine, part...)
		turn++
	}
}

// makeTraffic gives the month: all kinds of senders, and steady ones up to the number of messages.
func makeTraffic(w *world) *traffic {
	t := &traffic{world: w}
	t.attackers()
	t.ourUsers()
	t.newsletterBursts()
	t.smallOffices()
	t.deferredESP()
	t.steadyAndForwarded()
	slices.SortStableFunc(t.visits, func(a, b *visit) int { return int(a.at - b.at) })
	return t
}
