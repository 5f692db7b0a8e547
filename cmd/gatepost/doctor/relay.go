package doctor

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
)

// route is a way to look like a stranger to our own mail server.
type route struct {
	address string // to connect to
	local   string // to connect from, "" for any
	xclient bool   // and to say XCLIENT
	how     string // in words
}

// strangerIP is whom XCLIENT makes of us: nobody has this address (RFC 5737).
const strangerIP = "192.0.2.99"

// stranger finds a way to look like one: XCLIENT where Postfix allows it to this machine, else an own address outside of mynetworks.
func (d *Doctor) stranger(ctx context.Context, e entry) (route, bool) {
	if c, err := dial(ctx, e.address, "", "doctor.invalid", false); err == nil {
		allowed := c.offers("XCLIENT")
		c.close()
		if allowed {
			return route{address: e.address, xclient: true, how: "as " + strangerIP + " by XCLIENT"}, true
		}
	}
	if !e.everywhere {
		return route{}, false
	}
	for _, own := range d.ownAddresses() {
		to := net.JoinHostPort(own, strconv.Itoa(e.number))
		if c, err := dial(ctx, to, own, "doctor.invalid", false); err == nil {
			c.close()
			return route{address: to, local: own, how: "from " + own + ", which is in none of your networks"}, true
		}
	}
	return route{}, false
}

// ownAddresses gives the addresses of this machine that neither mynetworks of Postfix nor the policy trusts.
func (d *Doctor) ownAddresses() []string {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var trusted []netip.Prefix
	if d.Postfix != nil {
		trusted = prefixes(d.Postfix.Value("mynetworks"))
	}
	if d.File != nil {
		trusted = append(trusted, d.File.Trust.Networks...)
	}
	var out []string
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().IsGlobalUnicast() {
			continue
		}
		inside := false
		for _, t := range trusted {
			inside = inside || t.Contains(p.Addr())
		}
		if !inside {
			out = append(out, p.Addr().String())
		}
	}
	return out
}

// prefixes reads the plain networks of mynetworks.
func prefixes(list string) []netip.Prefix {
	var out []netip.Prefix
	for _, item := range mta.Split(list) {
		if p, err := netip.ParsePrefix(strings.NewReplacer("[", "", "]", "").Replace(item)); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// enter connects by a route and greets by name.
func (r route) enter(ctx context.Context, name string) (*client, error) {
	c, err := dial(ctx, r.address, r.local, name, false)
	if err != nil || !r.xclient {
		return c, err
	}
	said, err := c.do("XCLIENT ADDR=%s NAME=[UNAVAILABLE]", strangerIP)
	if err == nil && said.code == 220 {
		err = c.greet(name)
	} else {
		err = orReply(err, "XCLIENT", said)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// foreignRecipient has a domain that no mail server is responsible for (RFC 2606).
const foreignRecipient = "gatepost-doctor@foreign-test.example"

// relay says whether a stranger may send through this server to anywhere: by a session that stops before DATA, else by the configuration.
func (d *Doctor) relay(ctx context.Context) {
	if d.Postfix == nil {
		d.sendmailRelay(ctx)
		return
	}
	e, found := d.mx()
	if !found {
		d.say("relay", Note, "", "no service takes mail from strangers")
		return
	}
	if way, ok := d.stranger(ctx, e); ok {
		if d.askRelay(ctx, way) {
			return
		}
	}
	for _, s := range d.Postfix.Servers() {
		if s.Key() == e.name {
			d.judgeRelay(s)
		}
	}
}

const relayFix = "postconf -e 'smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination' && postfix reload"

// askRelay tries to relay; it reports whether that gave an answer.
func (d *Doctor) askRelay(ctx context.Context, way route) bool {
	c, err := way.enter(ctx, newName())
	if err != nil {
		return false
	}
	defer c.close()
	if r, err := c.do("MAIL FROM:<>"); err != nil || r.code != 250 {
		return false
	}
	r, err := c.do("RCPT TO:<%s>", foreignRecipient)
	switch {
	case err != nil:
		return false
	case r.code < 400 || strings.Contains(r.text, "(id "): // Postfix asks us only about recipients that it would take
		d.say("relay", Wrong, relayFix, "a stranger (%s) may send to anywhere: RCPT to a foreign domain was answered %s", way.how, r)
	case strings.Contains(strings.ToLower(r.text), "relay access denied"):
		d.say("relay", OK, "", "a stranger (%s) may not send to a foreign domain: %s", way.how, r)
	default:
		return false // refused for another reason: that says nothing
	}
	return true
}

// judgeRelay reads what the configuration says (postconf(5), smtpd_relay_restrictions).
func (d *Doctor) judgeRelay(s mta.Service) {
	for _, p := range prefixes(d.Postfix.Of(s, "mynetworks")) {
		if p.Bits() == 0 || p.Addr().Is4() && p.Bits() < 8 {
			d.say("relay", Wrong, "write your own networks into mynetworks, and: postfix reload", "mynetworks holds %s: half the Internet may relay", p)
			return
		}
	}
	for _, name := range []string{"smtpd_relay_restrictions", "smtpd_recipient_restrictions"} { // each of them can refuse
	list:
		for _, r := range mta.Restrictions(d.Postfix.Of(s, name)) {
			switch r.Name {
			case "reject_unauth_destination", "defer_unauth_destination", "reject", "defer":
				d.say("relay", OK, "", "by the configuration: %s has %s (not tried: there is no way to look like a stranger from here)", name, r.Name)
				return
			case "permit":
				break list
			}
		}
	}
	d.say("relay", Wrong, relayFix, "by the configuration: neither smtpd_relay_restrictions nor smtpd_recipient_restrictions has reject_unauth_destination")
}
