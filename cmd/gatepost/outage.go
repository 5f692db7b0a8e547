package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"gatepost.example/filter/resolve"
)

// dnsEach is how often DNS is looked at as a whole, dnsLeast how many questions it takes to judge it.
const (
	dnsEach  = time.Minute
	dnsLeast = 20
)

// watchDNS says when most questions of a minute had no answer: single ones are somebody else's trouble, most are ours.
func (d *daemon) watchDNS(ctx context.Context) {
	ticker := time.NewTicker(dnsEach)
	defer ticker.Stop()
	d.dns.log, d.dns.before = d.log, d.resolver.Stats()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.dns.minute(d.resolver.Stats())
		}
	}
}

// outage is what is known of DNS as a whole.
type outage struct {
	log     *slog.Logger
	before  resolve.Stats // a minute ago
	failing atomic.Bool
}

// wrong says what an admin should mend, "" when DNS answers.
func (o *outage) wrong() string {
	if !o.failing.Load() {
		return ""
	}
	return "DNS does not answer: most questions failed when last there were enough of them in a minute; gatepost doctor asks each resolver"
}

// minute judges the questions of a minute by the counts at its end. It says each minute that most fail, and once that they do not any more.
func (o *outage) minute(now resolve.Stats) {
	asked, lost := now.Misses-o.before.Misses, now.Timeouts+now.ServFails-o.before.Timeouts-o.before.ServFails
	o.before = now
	switch most := 2*lost > asked; {
	case asked < dnsLeast:
	case most:
		o.failing.Store(true)
		o.log.Error("DNS does not answer: most questions of the last minute failed", "asked", asked, "failed", lost)
	case o.failing.CompareAndSwap(true, false):
		o.log.Info("DNS answers again", "asked", asked, "failed", lost)
	}
}
