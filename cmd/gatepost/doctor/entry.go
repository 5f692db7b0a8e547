package doctor

import (
	"context"
	"slices"
	"strings"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/cmd/gatepost/setup"
	"gatepost.example/policy/policyfile"
)

// entry is a place at which the mail server takes mail by SMTP, of Postfix or Sendmail.
type entry struct {
	name       string // "smtp/inet", "MSA"
	address    string // at which it answers on this machine
	role       string // what server.role should be there: "mx" or "submission"
	number     int    // its port
	everywhere bool   // it listens at every address of this machine
	off        bool   // it asks no milter, on purpose
	wrapped    bool   // TLS from the start
	encrypted  bool   // nothing without STARTTLS
	login      bool   // nothing without a login
}

// server reports whether a mail server was found, and its own name.
func (d *Doctor) server() (host string, found bool) {
	switch {
	case d.Postfix != nil:
		return d.Postfix.Value("myhostname"), true
	case d.Sendmail != nil:
		return d.Sendmail.Hostname, true
	}
	return "", false
}

// domain gives the domain of this machine's users: that of Postfix, or what stands behind the host in the mail server's own name.
func (d *Doctor) domain() string {
	if d.Postfix != nil {
		return d.Postfix.Value("mydomain")
	}
	host, _ := d.server()
	if _, domain, found := strings.Cut(host, "."); found && strings.Contains(domain, ".") {
		return domain
	}
	return host
}

// entries gives where the mail server takes mail.
func (d *Doctor) entries() []entry {
	var out []entry
	switch {
	case d.Postfix != nil:
		for _, s := range d.Postfix.Servers() {
			out = append(out, d.entryOf(s))
		}
	case d.Sendmail != nil:
		for _, one := range d.Sendmail.Daemons {
			out = append(out, d.daemonEntry(one))
		}
	}
	return out
}

// entryOf gives an smtpd service of Postfix.
func (d *Doctor) entryOf(s mta.Service) entry {
	e := entry{
		name: s.Key(), address: d.Postfix.Dial(s), role: "mx", number: s.Port(), everywhere: s.Host() == "", off: setup.MiltersOff(d.Postfix, s),
		wrapped: d.Postfix.Of(s, "smtpd_tls_wrappermode") == "yes", encrypted: d.Postfix.Of(s, "smtpd_tls_security_level") == "encrypt",
	}
	e.role = setup.Role(d.Postfix, s, d.submission())
	return e
}

// submission gives the services of the users, as the policy names them, or as it does by default where it is wrong.
func (d *Doctor) submission() policyfile.Submission {
	if d.File == nil {
		return policyfile.Default().Server.Submission
	}
	return d.File.Server.Submission
}

// daemonEntry gives a daemon of Sendmail; its modifiers (DAEMON_OPTIONS in cf/README): s is TLS from the start, a asks for a login.
func (d *Doctor) daemonEntry(one mta.Daemon) entry {
	e := entry{
		name: one.Name, address: one.Dial(), role: "mx", number: one.Number(), everywhere: one.Addr == "",
		off: one.Own && len(one.Filters) == 0, wrapped: strings.Contains(one.Modifiers, "s"), login: strings.Contains(one.Modifiers, "a"),
	}
	if users := d.submission(); slices.Contains(users.Ports, e.number) || slices.Contains(users.Names, one.Name) {
		e.role = "submission"
	}
	return e
}

// mx gives the place that takes strangers' mail.
func (d *Doctor) mx() (entry, bool) {
	var found entry
	ok := false
	for _, e := range d.entries() {
		if e.role == "mx" && !e.off && (!ok || e.number == 25 && found.number != 25) {
			found, ok = e, true
		}
	}
	return found, ok
}

// try greets at a place and says MAIL FROM, and gives the reply to that.
func (e entry) try(ctx context.Context, name string) (reply, error) {
	c, err := dial(ctx, e.address, "", name, e.wrapped)
	if err != nil {
		return reply{}, err
	}
	defer c.close()
	if c.offers("STARTTLS") && e.encrypted {
		if err := c.startTLS(name); err != nil {
			return reply{}, err
		}
	}
	return c.do("MAIL FROM:<>")
}
