package resolve

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	// tries is how often a question is sent at least, over all servers, while no answer comes.
	tries = 3
	// maxTries bounds that for long lists of servers.
	maxTries = 4
	// maxChain is how many CNAME records are followed for one question.
	maxChain = 8
)

// reply is what one server made of a question: a message that can be an answer, or trouble in words.
type reply struct {
	from    *server
	msg     *dns.Msg
	silent  bool   // nothing came, so that another try may help
	trouble string // "SERVFAIL from 192.0.2.53:53"
}

// resolve asks a question, and goes on where a server gave only the first part of a chain of CNAMEs.
func (c *Client) resolve(ctx context.Context, k key) *Answer {
	r := reading{answer: &Answer{Name: k.name, Type: k.kind}, name: k.name}
	for range maxChain {
		got := c.ask(ctx, key{r.name, k.kind}, &r)
		if got.trouble != "" {
			status := ServFail
			if got.silent {
				status = Timeout
			}
			return broken(k, status, got.trouble)
		}
		if r.done {
			return r.answer
		}
	}
	return broken(k, ServFail, fmt.Sprintf("more than %d CNAME records for %s", maxChain, k))
}

// ask sends a question to one server after the other until one gives an answer, which it adds to the reading. The next is asked when
// one fails, or has not answered for a while; the earlier ones may still answer then, and the first answer counts.
func (c *Client) ask(ctx context.Context, k key, r *reading) reply {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the tries that are no longer needed
	plan := c.plan()
	pause := c.config.Timeout / time.Duration(len(plan)+1)
	replies := make(chan reply, len(plan))
	failed := map[*server]bool{}
	waiting, sent := 0, 0
	next := func() {
		for sent < len(plan) && failed[plan[sent].to] {
			sent++ // it has said what it has to say
		}
		if sent < len(plan) {
			try := plan[sent]
			sent++
			waiting++
			c.work.Go(func() { replies <- c.try(ctx, try, k) })
		}
	}
	next()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var troubles []string
	silent := false
	for waiting > 0 {
		select {
		case got := <-replies:
			waiting--
			if got.trouble == "" {
				got.trouble = r.read(got)
			}
			switch {
			case got.trouble == "":
				c.preferred(got.from, plan[:sent])
				return got
			case got.silent:
				silent = true
			case !failed[got.from]:
				failed[got.from] = true
				troubles = append(troubles, got.trouble)
			}
			next()
			timer.Reset(pause)
		case <-timer.C:
			next()
			timer.Reset(pause)
		case <-ctx.Done():
			return c.unanswered(troubles, plan[:sent], failed)
		}
	}
	if silent {
		return c.unanswered(troubles, plan[:sent], failed)
	}
	return reply{trouble: strings.Join(troubles, "; ")}
}

// planned is one try of a plan.
type planned struct {
	to   *server
	edns bool
}

// plan lists whom to ask in which order: each server, and again from the first while that makes fewer than the usual tries.
// A server that did not answer the first time is asked without EDNS: something on the way may drop what it does not know.
func (c *Client) plan() []planned {
	order := c.servers.order()
	plan := make([]planned, 0, maxTries)
	for i := range min(max(tries, len(order)), maxTries) {
		plan = append(plan, planned{to: order[i%len(order)], edns: i < len(order)})
	}
	return plan
}

// preferred sets aside the servers that were asked before the one that answered: they failed, or are slow.
func (c *Client) preferred(answered *server, asked []planned) {
	now := c.config.Now()
	for _, try := range asked {
		if try.to == answered {
			return
		}
		try.to.setAside(now)
	}
}

// unanswered tells of a question whose time is up.
func (c *Client) unanswered(troubles []string, asked []planned, failed map[*server]bool) reply {
	if c.live.Err() != nil {
		return reply{trouble: "the resolver is closed"}
	}
	named := map[*server]bool{}
	for _, try := range asked {
		if !failed[try.to] && !named[try.to] {
			named[try.to] = true
			troubles = append(troubles, "no answer from "+try.to.addr)
		}
	}
	return reply{silent: true, trouble: fmt.Sprintf("%s within %s", strings.Join(troubles, "; "), c.config.Timeout)}
}
