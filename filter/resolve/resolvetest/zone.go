// Package resolvetest answers DNS questions from a zone written as text: a resolver without a network for the tests of the
// checks and for session files, and a real but ill-behaved server for the tests of the resolver itself.
//
// Zone text has one record a line, NAME TYPE DATA, where NAME is absolute whether or not it ends in a dot:
//
//	; a comment
//	example.org        A     192.0.2.1
//	example.org        300 IN MX 10 mail.example.org   ; TTL in seconds and class IN may be given
//	example.org        TXT   "v=spf1 " "a -all"        ; strings are joined, \" \\ and \DDD as in RFC 1035 5.1
//	*.example.org      CNAME example.org               ; wildcards as in RFC 4592
//	192.0.2.1          PTR   mail.example.org          ; stands for 1.2.0.192.in-addr.arpa
//	slow.example.org   TXT   TIMEOUT                   ; or SERVFAIL, NXDOMAIN, NODATA: trouble for one type
//	dead.example.org   ANY   SERVFAIL                  ; or for all types; * means the same as ANY
//
// A record may go on over several lines inside parentheses. Names above a record exist without data (RFC 8020); all others do not exist.
package resolvetest

import (
	"context"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/resolve"
)

// maxChain is how many CNAME records the zone follows for one question.
const maxChain = 8

// Question is one question that a Zone was asked.
type Question struct {
	Name string // lower case, no trailing dot
	Type resolve.Type
}

// String gives the question as zone text begins: "example.org TXT".
func (q Question) String() string { return q.Name + " " + q.Type.String() }

// Zone answers from zone text. It is a resolve.Resolver and safe for concurrent use.
type Zone struct {
	nodes map[string]*node // by lower-case name; "*.example.org" is a wildcard

	mu    sync.Mutex
	asked []Question
}

var _ resolve.AtHand = (*Zone)(nil)

// node is what the zone holds at one name. A node without anything is an empty non-terminal.
type node struct {
	records []record
	trouble map[uint16]resolve.Status // by type; typeANY for all
}

// Must is Parse for text that is part of a program: it panics on an error.
func Must(text string) *Zone {
	z, err := Parse(text)
	if err != nil {
		panic("resolvetest: " + err.Error())
	}
	return z
}

// Asked gives all questions so far, in the order asked, repetitions included. Following a CNAME is no question.
func (z *Zone) Asked() []Question {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]Question(nil), z.asked...)
}

// Lookup answers at once. TTLs are those of the text (300 s where it gives none), an ended ctx is a Timeout.
func (z *Zone) Lookup(ctx context.Context, name string, t resolve.Type) *resolve.Answer {
	clean, ok := resolve.CleanName(name)
	a := &resolve.Answer{Name: clean, Type: t}
	if !ok {
		a.Status = resolve.BadName
		return a
	}
	z.mu.Lock()
	z.asked = append(z.asked, Question{Name: clean, Type: t})
	z.mu.Unlock()
	if ctx.Err() != nil {
		a.Status, a.Detail = resolve.Timeout, "the check's time was up"
		return a
	}
	chain := z.follow(clean, uint16(t))
	a.Status = chain.status
	if a.Trouble() {
		a.Detail = a.Status.String() + " by the zone text"
		return a
	}
	for i, r := range chain.records {
		if ttl := time.Duration(r.ttl) * time.Second; i == 0 || ttl < a.TTL {
			a.TTL = ttl
		}
		add(a, r)
	}
	return a
}

// AtHand gives all that the zone holds, as a cache does; trouble has to be asked for.
func (z *Zone) AtHand(name string, t resolve.Type) *resolve.Answer {
	if clean, ok := resolve.CleanName(name); ok {
		if status := z.follow(clean, uint16(t)).status; status == resolve.Timeout || status == resolve.ServFail {
			return nil
		}
	}
	return z.Lookup(context.Background(), name, t)
}

// Ahead does nothing: a zone need not ask anybody.
func (z *Zone) Ahead(string, resolve.Type) {}

// add puts a record's data into an answer.
func add(a *resolve.Answer, r record) {
	switch r.kind {
	case typeCNAME:
	case uint16(resolve.A), uint16(resolve.AAAA):
		a.Addrs = append(a.Addrs, r.addr)
	case uint16(resolve.TXT):
		a.Texts = append(a.Texts, strings.Join(r.texts, ""))
	case uint16(resolve.MX):
		a.MXs = append(a.MXs, resolve.Mailserver{Preference: r.preference, Host: asciiLower(r.host)})
	case uint16(resolve.PTR):
		a.Hosts = append(a.Hosts, asciiLower(r.host))
	}
}

// chain is the way from a question to its end: CNAME records, then the records asked for.
type chain struct {
	records []record
	end     string // the name at the end of the CNAMEs
	status  resolve.Status
}

// follow answers one question. A loop of CNAMEs is a ServFail, as a resolver would see it.
func (z *Zone) follow(name string, t uint16) chain {
	c := chain{end: name}
	for range maxChain {
		n := z.find(c.end)
		if n == nil {
			c.status = resolve.NXDomain
			return c
		}
		if status, ok := n.fails(t); ok {
			c.status = status
			return c
		}
		c.status = resolve.NoData
		next := ""
		for _, r := range n.records {
			if r.kind == typeCNAME && t != typeCNAME {
				next = asciiLower(r.host)
			}
			if r.kind == t || next != "" {
				r.owner = c.end
				c.records = append(c.records, r)
				c.status = resolve.Found
			}
		}
		if next == "" {
			return c
		}
		c.end = next
	}
	c.status = resolve.ServFail
	return c
}

// find gives the node at a name, or the wildcard that stands for it (RFC 4592 3.3.1), or nil when the name does not exist.
func (z *Zone) find(name string) *node {
	if n := z.nodes[name]; n != nil {
		return n
	}
	for name != "" {
		_, name, _ = strings.Cut(name, ".")
		if z.nodes[name] != nil || name == "" { // the closest encloser
			return z.nodes[strings.TrimSuffix("*."+name, ".")]
		}
	}
	return nil
}

// fails gives the trouble that the text asks for.
func (n *node) fails(t uint16) (resolve.Status, bool) {
	if status, ok := n.trouble[t]; ok {
		return status, true
	}
	status, ok := n.trouble[typeANY]
	return status, ok
}
