// Package page looks at the status page as a person does: with a browser, over the data of a day.
package page

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
	"gatepost.example/policy/policyfile"
)

// zone is the Internet of the day.
const zone = `
news.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
news.example MX 10 mail.news.example
mail.news.example A 192.0.2.1
1.2.0.192.in-addr.arpa PTR mail.news.example
_dmarc.news.example TXT "v=DMARC1; p=quarantine"
partner.example TXT "v=spf1 ip4:198.51.100.0/25 ~all"
partner.example MX 10 mail.partner.example
mail.partner.example A 198.51.100.7
7.100.51.198.in-addr.arpa PTR mail.partner.example
bank.example TXT "v=spf1 -all"
bank.example MX 10 mail.bank.example
mail.bank.example A 192.0.2.200
_dmarc.bank.example TXT "v=DMARC1; p=reject"
nomail.example MX 0 .
cheap.example MX 10 mail.cheap.example
mail.cheap.example A 203.0.113.50
slow.example TXT TIMEOUT
slow.example MX 10 mail.partner.example
`

// attack is what a sender writes to reach the reader of the page.
const attack = `"<script>document.title='owned'</script>"@cheap.example`

// MakeDay writes the memory and the history of a day that ends now into a folder, as the daemon would have under a policy.
func MakeDay(folder string, file *policyfile.File, now time.Time) error {
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return err
	}
	clock := now.Add(-24 * time.Hour)
	tell := func() time.Time { return clock }
	log := slog.New(slog.DiscardHandler)
	store, err := state.Open(filepath.Join(folder, "state.db"), 100_000, tell, log)
	if err != nil {
		return err
	}
	kept, err := history.Open(history.Config{Path: filepath.Join(folder, "history.db"), Keep: 30 * 24 * time.Hour, Size: 1 << 30, Now: time.Now, Log: log})
	if err != nil {
		return err
	}
	server := filter.NewServer(filter.SettingsOf(file), filter.Deps{Resolver: resolvetest.Must(zone), Store: store, History: kept, Log: log, Now: tell})
	r := rand.New(rand.NewPCG(7, 7)) // always the same day
	for clock.Before(now) {
		// More by day than by night.
		busy := 1 + 3*float64(min(clock.Hour(), 24-clock.Hour()))/12
		clock = clock.Add(time.Duration(r.ExpFloat64() * float64(90*time.Second) / busy))
		play(server, r)
	}
	if err := kept.Close(); err != nil {
		return err
	}
	return store.Close()
}

// mail is what one session brings.
type mail struct {
	addr, name, helo, user, sender, from string
	recipients, unknown                  []string
}

func pickMail(r *rand.Rand) mail {
	somebody := fmt.Sprintf("user%d@example.net", r.IntN(40))
	m := mail{addr: "192.0.2.1", name: "mail.news.example", helo: "mail.news.example", sender: fmt.Sprintf("bounce+%d@news.example", r.IntN(900)), from: "Daily News <daily@news.example>", recipients: []string{somebody}}
	switch n := r.IntN(100); {
	case n < 35:
	case n < 60:
		m.addr, m.name, m.helo, m.sender, m.from = "198.51.100.7", "mail.partner.example", "mail.partner.example", "ann@partner.example", "Ann <ann@partner.example>"
	case n < 72:
		m.addr, m.name, m.helo, m.user = "203.0.113.200", "", "laptop", fmt.Sprintf("user%d", r.IntN(40))
		m.sender, m.from, m.recipients = m.user+"@example.net", m.user+"@example.net", []string{"ann@partner.example"}
	case n < 80:
		m.addr, m.name, m.helo, m.sender, m.from = fmt.Sprintf("203.0.113.%d", r.IntN(60)), "", "mail", "x@cheap.example", "Your Bank <service@bank.example>"
	case n < 84:
		m.sender, m.from = "a@nomail.example", "a@nomail.example"
	case n < 88:
		m.addr, m.name, m.sender, m.from = "203.0.113.99", "", "z@cheap.example", "z@cheap.example"
		for range 1 + r.IntN(4) {
			m.unknown = append(m.unknown, fmt.Sprintf("guess%d@example.net", r.IntN(5000)))
		}
	case n < 90:
		m.sender, m.from = "b@slow.example", "b@slow.example"
	case n < 91:
		m.addr, m.name, m.sender, m.from = "203.0.113.66", "", attack, attack+" <service@bank.example>"
	}
	return m
}

// play brings one session to the server.
func play(server *filter.Server, r *rand.Rand) {
	m := pickMail(r)
	s := server.NewSession()
	defer s.Close()
	port := "25"
	if m.user != "" {
		port = "587"
	}
	client := filter.Client{Addr: netip.MustParseAddr(m.addr), Name: m.name, DaemonPort: port, MTA: "mx.example.net"}
	if s.Connect(client).Verb == filter.Refuse || s.Helo(m.helo, filter.TLS{}).Verb == filter.Refuse ||
		s.Mail(filter.Sender{Address: m.sender, User: m.user}).Verb == filter.Refuse {
		return
	}
	for _, one := range m.unknown {
		s.Rcpt(filter.Recipient{Address: one, Resolved: "no such user", Mailer: "error", Host: "5.1.1"})
	}
	taken := false
	for _, one := range m.recipients {
		taken = s.Rcpt(filter.Recipient{Address: one, Resolved: one, Mailer: "local", Host: "example.net"}).Verb != filter.Refuse || taken
	}
	if !taken {
		return
	}
	s.HeaderField("From", " "+m.from)
	s.HeaderField("Message-Id", fmt.Sprintf(" <%d@news.example>", r.Uint32()))
	s.EndOfHeader()
	s.Body([]byte("text\r\n"))
	s.EndOfMessage(fmt.Sprintf("4f%08X", r.Uint32()))
}
