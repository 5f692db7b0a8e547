package play

import (
	"context"
	"io"
	"net/netip"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/dnsbl"
	"gatepost.example/filter/iprev"
	"gatepost.example/filter/message"
	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// Envelope is what a client says around a message.
type Envelope struct {
	Client    filter.Client
	Helo      string
	Sender    string // "" for a bounce
	Recipient string
	User      string // login, "" without
}

// Message plays one message from connect to its end, or to the first refusal. Questions go to r; w knows which blocklists
// work, nil takes all.
func Message(set *filter.Settings, r resolve.Resolver, w *dnsbl.Watch, now time.Time, said Envelope, header *message.Header, body io.Reader) (*Result, error) {
	p := newPlayer(set, r, w, nil, now, nil)
	defer p.session.Close()
	err := p.whole(said, header, body)
	return &p.result, err
}

func (p *player) whole(said Envelope, header *message.Header, body io.Reader) error {
	p.event(policy.Connect, p.session.Connect(said.Client))
	p.event(policy.Helo, p.session.Helo(said.Helo, filter.TLS{}))
	p.event(policy.Mail, p.session.Mail(filter.Sender{Address: said.Sender, User: said.User}))
	p.event(policy.Rcpt, p.session.Rcpt(filter.Recipient{Address: said.Recipient, Resolved: said.Recipient}))
	if len(p.result.Events) > 0 {
		return nil
	}
	return p.message(header, body)
}

// VerifiedName gives the name of an address that points back to it, as an MTA tells it at connect; "" when there is none.
func VerifiedName(ctx context.Context, r resolve.Resolver, addr netip.Addr) string {
	return iprev.Verify(ctx, r, addr).Name
}
