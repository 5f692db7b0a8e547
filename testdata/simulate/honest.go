package main

import (
	"fmt"
	"net/netip"
	"time"

	"gatepost.example/filter"
)

// Steady senders: so many domains, of which our users write to the first ones.
const (
	steadyDomains  = 300
	corresponding  = 100
	signingDomains = 200 // the first ones sign; half of those publish p=reject
)

// steadyName gives the domain of a steady sender. The first is the bank.
func steadyName(i int) string {
	if i == corresponding { // a bank to which nobody writes
		return bank
	}
	return fmt.Sprintf("steady%d.example", i)
}

// ourUsers: thirty people write to correspondents and, now and then, to somebody new.
func (t *traffic) ourUsers() {
	client := filter.Client{Addr: netip.MustParseAddr("198.51.100.7"), DaemonPort: "587", MTA: "mx." + ourDomain}
	write := func(at time.Duration, user int, to string) {
		m := t.mail(users, fmt.Sprintf("u%d@%s", user, ourDomain), letter(ourDomain))
		m.to, m.verdict = []string{to}, ""
		t.call(at, client, m).user = fmt.Sprintf("u%d", user)
	}
	for i := range corresponding { // before the answers
		write(t.between(0, 1), i%30, "a@"+steadyName(i))
	}
	for range 4400 {
		to := "a@" + steadyName(t.rng.IntN(corresponding))
		if t.rng.Float64() < 0.1 {
			to = fmt.Sprintf("p%d@people%d.example", t.rng.IntN(20), t.rng.IntN(500))
		}
		write(t.between(1, 30), t.rng.IntN(30), to)
	}
}

// steadyAndForwarded fills the month. Each domain has a network of its own; forwarders send on what steady senders wrote.
func (t *traffic) steadyAndForwarded() {
	authors, hosts := make([]domain, steadyDomains), make([]filter.Client, steadyDomains)
	for i := range authors {
		addr := fmt.Sprintf("10.%d.%d.25", 1+i/256, i%256)
		dmarc, all := "none", "~all"
		if i < signingDomains && i%2 == 0 {
			dmarc, all = "reject", "-all"
		}
		authors[i] = t.domain(steadyName(i), "v=spf1 ip4:"+addr+" "+all, dmarc, i < signingDomains)
		hosts[i] = t.host(addr, "mail."+steadyName(i))
	}
	t.forward(authors)
	for t.count < messages {
		i := t.rng.IntN(steadyDomains)
		k := steady
		if i < corresponding {
			k = correspondents
		}
		at := t.between(0, 30)
		if k == correspondents {
			at = t.between(1, 30)
		}
		t.call(at, hosts[i], t.mail(k, "a@"+authors[i].name, authors[i].fields))
	}
}

// spamOfForwarder is the share of spam in what each forwarder sends on.
var spamOfForwarder = []float64{0.02, 0.05, 0.10, 0.15, 0.25}

// forward: the envelope stays as it was, so that SPF fails; one message in five is changed, so that its signature breaks.
func (t *traffic) forward(authors []domain) {
	junk := t.domain("bulk.example", "", "", false)
	for n, share := range spamOfForwarder {
		host := t.host(fmt.Sprintf("10.30.%d.25", n), fmt.Sprintf("forward%d.example", n))
		for range 1600 {
			author, k := authors[t.rng.IntN(len(authors))], forwarded
			if t.rng.Float64() < share {
				author, k = junk, forwardedSpam
			}
			m := t.mail(k, "a@"+author.name, author.fields)
			if t.rng.Float64() < 0.2 {
				m.body = footedBody
			}
			t.call(t.between(0, 30), host, m)
		}
	}
}

// newsletterBursts: three mailing services, each with a run of 2,400 and one of 1,600 messages a week from eight machines.
func (t *traffic) newsletterBursts() {
	for n := range 3 {
		machines, envelope := t.service(fmt.Sprintf("10.20.%d", n), fmt.Sprintf("esp%d.example", n), 8)
		brands := make([]domain, 20)
		for i := range brands {
			brands[i] = t.domain(fmt.Sprintf("brand%dx%d.example", n, i), "", "quarantine", true)
		}
		for half := range 8 {
			mails := make([]*mail, 2400-800*(half%2))
			brand := brands[t.rng.IntN(len(brands))]
			for i := range mails {
				mails[i] = t.mail(newsletters, fmt.Sprintf("b%d@%s", i, envelope), brand.fields)
			}
			t.burst(time.Duration(1+n+7*(half/2)+3*(half%2))*day+10*time.Hour, machines, mails, 50)
		}
	}
}

// service gives the machines of a mailing service and the domain of its envelope addresses.
func (t *traffic) service(network, name string, count int) (machines []filter.Client, envelope string) {
	envelope = "bounce-" + name
	t.domain(envelope, "v=spf1 ip4:"+network+".0/24 -all", "", false)
	for i := range count {
		machines = append(machines, t.host(fmt.Sprintf("%s.%d", network, 10+i), fmt.Sprintf("out%d.%s", i, name)))
	}
	return machines, envelope
}

// deferredESP: a mailing service that nobody knows sends 1,700 messages through seventeen sessions at once, when the memory is settled, and a
// second lot a week later. So most of the first come before anything can be known of it.
func (t *traffic) deferredESP() {
	machines, envelope := t.service("10.50.1", "fresh.example", 17)
	brand := t.domain("freshbrand.example", "", "reject", true)
	for _, on := range []int{20, 27} {
		mails := make([]*mail, 1700)
		for i := range mails {
			mails[i] = t.mail(freshESP, fmt.Sprintf("b%d@%s", i, envelope), brand.fields)
		}
		t.burst(time.Duration(on)*day+9*time.Hour, machines, mails, 100)
	}
}

// smallOffices: a machine each, one or two messages a day, no signature, half without SPF; a quarter of them appears after two weeks.
func (t *traffic) smallOffices() {
	for i := range 400 {
		addr := fmt.Sprintf("10.%d.%d.25", 60+i/256, i%256)
		spf, from := "", 0.0
		if i%2 == 0 {
			spf = "v=spf1 ip4:" + addr + " -all"
		}
		if i%4 == 0 {
			from = 15
		}
		office := t.domain(fmt.Sprintf("office%d.example", i), spf, "", false)
		host := t.host(addr, "mail."+office.name)
		for range 20 + t.rng.IntN(50) {
			t.call(t.between(from, 30), host, t.mail(offices, "a@"+office.name, office.fields))
		}
	}
}
