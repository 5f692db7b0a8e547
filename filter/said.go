package filter

import (
	"net/netip"
	"strings"
)

// Client is what the MTA says of a connection.
type Client struct {
	Addr       netip.Addr // never v4-mapped; zero when the client has none
	Name       string     // verified name, "" when there is none
	PTR        string     // what the address points to, "" when there is nothing
	DaemonName string     // {daemon_name}: the service's name
	DaemonPort string     // {daemon_port}: the service's port; "0" for local mail
	MTA        string     // macro j: the MTA's own name
	QueueID    string     // macro i: at connect only for local mail (Sendmail: for all)
}

// TLS is what the MTA says of the connection's encryption; zero without.
type TLS struct {
	Version, Cipher string
	Bits            int
}

// Sender is what the MTA says at MAIL FROM.
type Sender struct {
	Address  string // as pathOf gives it, "" for the null sender
	Resolved string // {mail_addr}: the address that the MTA made of it (Sendmail: of a local user only the name)
	User     string // login, "" without
	Method   string // how the user logged in
	QueueID  string // macro i, where the MTA says it so early: Sendmail does
	TLS      TLS
}

// whole gives the address that the message will bear. What was typed may have quotes that need not be, comments and a route.
func (f Sender) whole() string {
	if f.Address == "" || !strings.Contains(f.Resolved, "@") {
		return f.Address
	}
	return f.Resolved
}

// Recipient is what the MTA says at RCPT TO.
type Recipient struct {
	Address  string // as pathOf gives it
	Resolved string // {rcpt_addr}: the address that the MTA made of it (Sendmail: of a local user only the name); for a refused one the MTA's text
	Mailer   string // {rcpt_mailer}: "error" for a refused one, and for accepted ones of virtual alias domains
	Host     string // {rcpt_host}: for a refused one nothing but its enhanced code
}
