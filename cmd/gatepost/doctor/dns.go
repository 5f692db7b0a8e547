package doctor

import (
	"context"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/resolve"
)

// dnsTime bounds the questions of one check.
const dnsTime = 15 * time.Second

// nowhere cannot exist (RFC 6761 6.4), so an answer for it is a lie of the resolver.
const nowhere = "gatepost-doctor-probe.invalid"

// dns says whether the resolver answers, and whether it tells what is not there from what is.
func (d *Doctor) dns(ctx context.Context) {
	if d.Resolver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	const fix = "name a resolver that works in [dns] servers; one on this machine is best (apt install unbound)"
	switch a := d.Resolver.Lookup(ctx, nowhere, resolve.A); {
	case a.Trouble():
		d.say("dns", Wrong, fix, "DNS does not answer: %s", either(a.Detail, a.Status.String()))
	case len(a.Addrs) > 0:
		d.say("dns", Wrong, fix, "the resolver makes up answers: %s is said to be %s; SPF, blocklists and the reverse name go wrong with it", nowhere, a.Addrs[0])
	default:
		d.say("dns", OK, "", "the resolver answers, and says so when a name is not there")
	}
}

// blocklists asks the test points of each configured list (RFC 5782 5), all at once.
func (d *Doctor) blocklists(ctx context.Context) {
	if d.Resolver == nil || d.File == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	lists := filter.SettingsOf(d.File).Lists
	lines := make([]Line, len(lists))
	var work sync.WaitGroup
	for i, l := range lists {
		work.Go(func() { lines[i] = d.blocklist(ctx, l) })
	}
	work.Wait()
	d.lines = append(d.lines, lines...)
}

func (d *Doctor) blocklist(ctx context.Context, l dnsbl.List) Line {
	right, trouble, detail := dnsbl.Examine(ctx, d.Resolver, l)
	check := "dnsbl " + l.Name
	switch {
	case right:
		return Line{check, OK, "its test points answer right from this resolver", ""}
	case trouble:
		return Line{check, Wrong, "DNS does not answer for it: " + detail, "take it out of policy.toml, or ask its operator"}
	case strings.Contains(detail, "127.255.255."):
		return Line{check, Wrong, "it refuses this resolver: " + detail,
			"ask by a resolver of your own, not a big provider's (apt install unbound; [dns] servers = [\"127.0.0.1:53\"]), or get a key from its operator"}
	}
	return Line{check, Wrong, "its test points answer wrongly, so it is not used: " + detail, "look whether the list still exists; take it out of policy.toml, or name its test point (test = ...)"}
}
