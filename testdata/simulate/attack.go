package main

import (
	"fmt"
	"net/netip"
	"time"

	"gatepost.example/filter"
)

// attackers adds everybody who sends what nobody wants.
func (t *traffic) attackers() {
	t.snowshoe()
	t.botnets()
	t.dictionaries()
	t.crackedAccount()
	t.spoofs()
}

// attack adds a visit whose client seldom comes again.
func (t *traffic) attack(at time.Duration, c filter.Client, mails ...*mail) *visit {
	v := t.call(at, c, mails...)
	v.stays = 0
	if t.rng.Float64() < 0.02 {
		v.stays = day
	}
	return v
}

// snowshoe: a whole /24 with sixty domains of its own, names and authentication in order, each address a few messages a day. Its
// software is good: one message in three is retried for a day.
func (t *traffic) snowshoe() {
	var hosts []filter.Client
	for i := range 250 {
		hosts = append(hosts, t.host(fmt.Sprintf("10.40.7.%d", i+2), fmt.Sprintf("h%d.offers.example", i)))
	}
	var names []domain
	for i := range 60 {
		names = append(names, t.domain(fmt.Sprintf("offer%d.example", i), "v=spf1 ip4:10.40.7.0/24 -all", "reject", true))
	}
	for range 16_000 {
		d := names[t.rng.IntN(len(names))]
		v := t.attack(t.between(3, 30), hosts[t.rng.IntN(len(hosts))], t.mail(snowshoe, "a@"+d.name, d.fields))
		if t.rng.IntN(3) == 0 {
			v.stays = day
		}
	}
}

// botnets: three thousand addresses with four messages each, in the name of domains that did not send them.
func (t *traffic) botnets() {
	var names []domain
	for i := range 100 {
		spf := ""
		if i%2 == 0 {
			spf = "v=spf1 -all"
		}
		names = append(names, t.domain(fmt.Sprintf("borrowed%d.example", i), spf, "", false))
	}
	names = append(names, domain{name: "nowhere.test", fields: letter("nowhere.test")})
	for range 3000 {
		bot, at := t.stray(11), t.between(0, 30)
		for range 4 {
			d := names[t.rng.IntN(len(names))]
			t.attack(at, bot, t.mail(botnet, "a@"+d.name, d.fields))
			at += time.Duration(t.rng.IntN(600)) * time.Second
		}
	}
}

// dictionaries: forty machines guess twenty addresses in each message (no more: Postfix hangs up then); one in twenty messages hits.
func (t *traffic) dictionaries() {
	d := t.domain("guess.example", "", "", false)
	for range 40 {
		host, at := t.stray(12), t.between(1, 28)
		for range 250 {
			m := t.mail(dictionary, "a@"+d.name, d.fields)
			hit := m.to[0]
			m.to, m.unknown = nil, 20
			if t.rng.Float64() < 0.05 {
				m.to = []string{hit}
			}
			for i := range 20 {
				m.to = append(m.to, fmt.Sprintf("guess%d.%d@%s", m.number, i, ourDomain))
			}
			t.attack(at, host, m)
			at += time.Minute
		}
	}
}

// crackedAccount: on day 20 somebody has the password of u31 and writes to five thousand strangers within three hours. What u31 itself would send afterwards is not simulated: the account is closed until somebody looked.
func (t *traffic) crackedAccount() {
	client := filter.Client{Addr: netip.MustParseAddr("203.0.113.77"), DaemonPort: "587", MTA: "mx." + ourDomain}
	at := 20 * day
	for i := range 5000 {
		m := t.mail(cracked, "u31@"+ourDomain, letter(ourDomain))
		m.to, m.verdict, m.unknown = []string{fmt.Sprintf("v%d@victim%d.example", i, i%700)}, "", 0
		t.attack(at, client, m).user = "u31"
		at += 2 * time.Second
	}
}

// spoofs: mail in the name of the bank from five hundred strange networks: a third in its envelope too, the others with an envelope for
// which SPF passes.
func (t *traffic) spoofs() {
	t.domain("throwaway.example", "v=spf1 ip4:13.0.0.0/8 -all", "", false)
	var hosts []filter.Client
	for range 500 {
		hosts = append(hosts, t.stray(13))
	}
	for range 6000 {
		from := "x@throwaway.example"
		if t.rng.IntN(3) == 0 {
			from = "a@" + bank
		}
		t.attack(t.between(2, 30), hosts[t.rng.IntN(len(hosts))], t.mail(spoofer, from, letter(bank)))
	}
}
