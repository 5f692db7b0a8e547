package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"time"

	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/filter"
)

// sessionTime bounds one test session: postscreen may make an unknown client wait, and DNS may be slow.
const sessionTime = 30 * time.Second

// client is an SMTP client for tests.
type client struct {
	conn net.Conn
	text *textproto.Conn
	said string // what EHLO answered
}

// reply is one reply of an SMTP server.
type reply struct {
	code int
	text string // without the code, lines joined by LF
}

// String gives the reply in one line.
func (r reply) String() string {
	return fmt.Sprintf("%d %s", r.code, strings.ReplaceAll(r.text, "\n", " "))
}

// dial connects and greets by name. local is the address to come from, "" for any; wrapped begins with TLS.
func dial(ctx context.Context, address, local, name string, wrapped bool) (*client, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(time.Now().Add(sessionTime)); err != nil {
		conn.Close()
		return nil, err
	}
	if wrapped {
		conn = ownTLS(conn)
	}
	c := &client{conn: conn, text: textproto.NewConn(conn)}
	if r, err := c.read(); err != nil || r.code != 220 {
		c.close()
		return nil, orReply(err, "the greeting", r)
	}
	return c, c.greet(name)
}

// ownTLS begins TLS with this machine's own server, whose certificate bears another name.
func ownTLS(conn net.Conn) net.Conn {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // nothing secret is said before a login, which demands loopback
}

func orReply(err error, at string, r reply) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s was answered %s", at, r)
}

func (c *client) read() (reply, error) {
	code, text, err := c.text.ReadResponse(0)
	return reply{code, text}, err
}

// do says one command and gives the reply.
func (c *client) do(format string, args ...any) (reply, error) {
	if err := c.text.PrintfLine(format, args...); err != nil {
		return reply{}, err
	}
	return c.read()
}

func (c *client) greet(name string) error {
	r, err := c.do("EHLO %s", name)
	if err != nil || r.code != 250 {
		return orReply(err, "EHLO", r)
	}
	c.said = r.text
	return nil
}

// offers reports whether EHLO offered an extension.
func (c *client) offers(word string) bool {
	return slices.ContainsFunc(strings.Split(c.said, "\n"), func(line string) bool {
		first, _, _ := strings.Cut(line, " ")
		return strings.EqualFold(first, word)
	})
}

// startTLS begins TLS and greets again.
func (c *client) startTLS(name string) error {
	if r, err := c.do("STARTTLS"); err != nil || r.code != 220 {
		return orReply(err, "STARTTLS", r)
	}
	c.conn = ownTLS(c.conn)
	c.text = textproto.NewConn(c.conn)
	return c.greet(name)
}

// message says DATA and a message.
func (c *client) message(text string) (reply, error) {
	if r, err := c.do("DATA"); err != nil || r.code != 354 {
		return r, orReply(err, "DATA", r)
	}
	w := c.text.DotWriter()
	if _, err := w.Write([]byte(text)); err != nil {
		return reply{}, err
	}
	if err := w.Close(); err != nil {
		return reply{}, err
	}
	return c.read()
}

func (c *client) close() {
	_ = c.text.PrintfLine("QUIT") // the server may be gone already
	c.text.Close()
}

// newName gives a HELO name by which the daemon knows a test session.
func newName() string {
	return filter.ProbePrefix + strings.ToLower(rand.Text()[:16]) + ".invalid"
}

// probe gives how a test session looked to the daemon. It waits a little: a session's last event may come after the client's last reply.
func (d *Doctor) probe(ctx context.Context, name string, done func(filter.Probe) bool) (filter.Probe, error) {
	var p filter.Probe
	var err error
	for range 20 {
		p = filter.Probe{}
		if err = d.Ask("/probe", url.Values{"name": {name}}, &p); err == nil && done(p) {
			return p, nil
		}
		select {
		case <-ctx.Done():
			return p, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return p, err
}

// services says for each smtpd service whether it is wired, and tries it by a real session.
func (d *Doctor) services(ctx context.Context) {
	if d.Sendmail != nil {
		d.sendmailServices(ctx)
		return
	}
	if d.Postfix == nil {
		d.say("service", Note, "", "no mail server was looked at (%v); what follows is about Gatepost alone", d.NoMTA)
		return
	}
	for _, s := range d.Postfix.Servers() {
		check := "service " + s.Key()
		w, wired := d.wireOf(s, d.Postfix.Of(s, "smtpd_milters"))
		switch {
		case setup.MiltersOff(d.Postfix, s):
			d.say(check, Note, "", "milters are switched off there: right for mail that comes back from a content filter, wrong for anybody else's")
		case !wired:
			d.say(check, Wrong, d.setup(), "it does not ask Gatepost: it is not among smtpd_milters")
		case d.Running == nil:
			d.say(check, Note, "", "it is wired to %s and was not tried: no daemon answers", w.place)
		default:
			d.service(ctx, check, w)
		}
	}
}

// service tries one service that is wired.
func (d *Doctor) service(ctx context.Context, check string, w wire) {
	d.visit(ctx, check, d.entryOf(w.service), either(w.milter.Settings["default_action"], d.Postfix.Of(w.service, "milter_default_action")), advice{
		setup: d.setup(), failed: "postfix status, or see the mail log", lost: "see the line of the socket, then: postfix reload",
		macros: "see the milter_*_macros of main.cf: postconf -n | grep macros",
	})
}

// advice is what mends what a test session shows.
type advice struct{ setup, failed, lost, macros string }

// visit tries a place by a session and says how it looked from Gatepost.
func (d *Doctor) visit(ctx context.Context, check string, e entry, ifDown string, mend advice) {
	name := newName()
	said, err := e.try(ctx, name)
	if err != nil {
		d.say(check, Wrong, mend.failed, "a test session at %s failed: %v", e.address, err)
		return
	}
	p, err := d.probe(ctx, name, func(p filter.Probe) bool { return p.Macros["{daemon_name}"] != "" })
	if err != nil {
		d.say(check, Wrong, mend.lost, "a test session at %s did not reach Gatepost; the mail server said %s", e.address, said)
		return
	}
	missing := missingMacros(p)
	switch {
	case p.Role != e.role && d.File != nil: // a daemon that runs under an older policy is not measured by one that is wrong
		d.say(check, Wrong, mend.setup, "its sessions have server.role %q and should have %q: {daemon_port} is %q, {daemon_name} %q; compare server.submission",
			p.Role, e.role, p.Macros["{daemon_port}"], p.Macros["{daemon_name}"])
	case len(missing) > 0:
		d.say(check, Wrong, mend.macros, "the mail server does not send the macros %s", strings.Join(missing, " "))
	case said.code != 250 && (said.code != 530 || !e.login): // RFC 4954 6: a login is asked for
		d.say(check, Wrong, "see the mail log", "MAIL FROM of a test session was answered %s", said)
	default:
		d.say(check, OK, "", "%s asks Gatepost, role %s, macros come; while Gatepost is away: %s", e.address, p.Role, ifDown)
	}
}

// missingMacros names what a session needs and the MTA did not send.
func missingMacros(p filter.Probe) []string {
	var out []string
	for _, name := range []string{"j", "{daemon_name}", "{daemon_port}", "{client_addr}", "{client_ptr}"} {
		if p.Macros[name] == "" {
			out = append(out, name)
		}
	}
	return out
}

// local says whether mail that is made on this machine is judged.
func (d *Doctor) local(context.Context) {
	if d.Postfix == nil { // behind Sendmail it comes by SMTP, at the daemons that have been tried
		return
	}
	for _, s := range d.Postfix.Services {
		if s.Command != "cleanup" {
			continue
		}
		if w, wired := d.wireOf(s, d.Postfix.Of(s, "non_smtpd_milters")); wired {
			d.say("local", OK, "", "mail made on this machine asks Gatepost, role local; while Gatepost is away: %s",
				either(w.milter.Settings["default_action"], d.Postfix.Of(s, "milter_default_action")))
			return
		}
	}
	d.say("local", Wrong, d.setup(), "mail made on this machine does not ask Gatepost: it is not among non_smtpd_milters, so a cracked web script has no limit")
}

// login says AUTH PLAIN (RFC 4616).
func (c *client) login(user, password string) error {
	r, err := c.do("AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)))
	if err != nil || r.code != 235 {
		return orReply(err, "the login", r)
	}
	return nil
}
