package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gatepost.example/filter"
)

// Mail is a test mail.
type Mail struct {
	Kind     string // good, spoof or user
	From     string // of spoof: the author that it claims to be from
	Sender   string // of spoof: MAIL FROM; "" for an address in the recipient's domain
	To       string // "" for root of this machine
	User     string // of user: the login
	Password string
}

// Kinds are the test mails: from this machine, from a stranger who claims to be somebody else, and from a user with a login.
var Kinds = []string{"good", "spoof", "user"}

// Send sends a test mail through the mail server and writes what became of it. It reports whether that is what should become of it.
func (d *Doctor) Send(ctx context.Context, m Mail, out io.Writer) (bool, error) {
	host, found := d.server()
	if !found {
		return false, fmt.Errorf("there is no mail server here to send through: %w", d.NoMTA)
	}
	if d.Running == nil {
		return false, fmt.Errorf("a test mail needs the daemon: %w", d.RunErr)
	}
	if m.To == "" {
		m.To = "root@" + host
	}
	if m.Kind == "user" {
		return d.sendUser(ctx, m, out)
	}
	e, found := d.mx()
	if !found {
		return false, errors.New("the mail server takes no mail from strangers")
	}
	way, sender, author := route{address: e.address, how: "from this machine"}, "postmaster@"+host, "postmaster@"+host
	if m.Kind == "spoof" {
		author, sender = m.From, either(m.Sender, "gatepost-doctor@"+m.To[strings.LastIndexByte(m.To, '@')+1:])
		if way, found = d.stranger(ctx, e); !found {
			return d.sendDirect(ctx, m, sender, author, out)
		}
	}
	fmt.Fprintf(out, "a %s mail to %s, from %s, %s\n", m.Kind, m.To, author, way.how)
	name := newName()
	c, err := way.enter(ctx, name)
	if err != nil {
		return false, err
	}
	defer c.close()
	return d.deliver(ctx, c, m, sender, author, name, out)
}

// sendUser logs in at a service of the users.
func (d *Doctor) sendUser(ctx context.Context, m Mail, out io.Writer) (bool, error) {
	for _, e := range d.entries() {
		if e.role != "submission" {
			continue
		}
		name := newName()
		c, err := dial(ctx, e.address, "", name, e.wrapped)
		if err != nil {
			return false, err
		}
		defer c.close()
		if c.offers("STARTTLS") {
			if err := c.startTLS(name); err != nil {
				return false, err
			}
		}
		if err := c.login(m.User, m.Password); err != nil {
			return false, err
		}
		author := m.User
		if !strings.Contains(author, "@") {
			author += "@" + d.domain()
		}
		fmt.Fprintf(out, "a mail of user %s to %s, by %s\n", m.User, m.To, e.address)
		return d.deliver(ctx, c, m, author, author, name, out)
	}
	return false, errors.New("the mail server takes no mail from users")
}

// deliver sends one message and says what became of it.
func (d *Doctor) deliver(ctx context.Context, c *client, m Mail, sender, author, name string, out io.Writer) (bool, error) {
	last, err := c.do("MAIL FROM:<%s>", sender)
	at := "MAIL FROM"
	if err == nil && last.code == 250 {
		at = "RCPT TO"
		last, err = c.do("RCPT TO:<%s>", m.To)
	}
	if err == nil && last.code == 250 {
		at = "the end of the message"
		last, err = c.message(testMessage(m.Kind, author, m.To, d.Now))
	}
	if err != nil && last.code == 0 {
		return false, err
	}
	fmt.Fprintf(out, "the mail server said at %s: %s\n", at, last)
	return d.became(ctx, name, m.Kind == "spoof" || last.code == 250, out)
}

// sendDirect plays a session of a stranger to Gatepost itself, as the mail server would.
func (d *Doctor) sendDirect(ctx context.Context, m Mail, sender, author string, out io.Writer) (bool, error) {
	fmt.Fprintf(out, "a %s mail to %s, from %s, as %s: there is no way to look like a stranger to the mail server from here, so Gatepost alone is asked, and nothing is delivered\n",
		m.Kind, m.To, author, strangerIP)
	s, err := d.openDirect(ctx)
	if err != nil {
		return false, err
	}
	defer s.conn.Close()
	name := newName()
	host, _ := d.server()
	at, refusal, err := s.play(name, host, sender, m.To, testMessage(m.Kind, author, m.To, d.Now))
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "Gatepost said at %s: %s\n", at, either(refusal, "take it"))
	return d.became(ctx, name, true, out)
}

// became says what became of a test mail as Gatepost saw it; good is what to report where it saw it.
func (d *Doctor) became(ctx context.Context, name string, good bool, out io.Writer) (bool, error) {
	p, err := d.probe(ctx, name, func(p filter.Probe) bool { return len(p.Records) > 0 })
	if err != nil {
		fmt.Fprintf(out, "Gatepost saw nothing of it: %v; `gatepost doctor` says where it is lost\n", err)
		return false, nil
	}
	if len(p.Records) == 0 {
		fmt.Fprintf(out, "Gatepost was asked, and the mail server itself ended it: see its log\n")
		return false, nil
	}
	tell(p, out)
	r := p.Records[len(p.Records)-1]
	fmt.Fprintf(out, "why: gatepost explain %s%s\n", r.ID, d.flags())
	return good, nil
}

// tell writes what Gatepost made of a test mail.
func tell(p filter.Probe, out io.Writer) {
	trusted := ""
	if p.Trusted {
		trusted = ", trusted"
	}
	user := p.Macros["{auth_authen}"]
	if user != "" {
		trusted += ", logged in as " + user
	}
	fmt.Fprintf(out, "Gatepost took the client for %s (role %s%s)\n", p.Client, p.Role, trusted)
	r := p.Records[len(p.Records)-1]
	rule := "no rule"
	if r.Rule != "" {
		rule = "rule " + r.Rule
	}
	switch {
	case r.Action == "none" && len(r.Woulds) > 0:
		fmt.Fprintf(out, "it let the mail pass, for it observes (id %s)\n", r.ID)
	case r.Action == "none":
		fmt.Fprintf(out, "it decided: taken, by %s (id %s)\n", rule, r.ID)
	default:
		fmt.Fprintf(out, "it decided: %s by %s, spoken at %s (id %s)\n", r.Action, rule, r.Spoken, r.ID)
	}
	for _, w := range r.Woulds {
		fmt.Fprintf(out, "it would have: %s\n", w)
	}
	if len(p.Fields) > 0 {
		fmt.Fprintf(out, "it added:\n  %s\n", strings.ReplaceAll(strings.Join(p.Fields, "\n"), "\n", "\n  "))
	}
}

func testMessage(kind, author, to string, now time.Time) string {
	return fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: A test mail of gatepost doctor (%s)\r\nDate: %s\r\nMessage-ID: <%s@gatepost-doctor.invalid>\r\n\r\n"+
		"This mail was sent by gatepost doctor --send %s. Nobody needs to do anything.\r\n", author, to, kind, now.Format(time.RFC1123Z), strings.TrimSuffix(newName(), ".invalid"), kind)
}
