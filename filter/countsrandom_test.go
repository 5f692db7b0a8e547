package filter

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// Limits of every kind, and rules that refuse at every stage: what refuses has no part in what is counted.
const everyLimit = `[trust]
networks = []
[[limit]]
name = "connections"
count = "connections"
per = ["client.ip"]
rate = "4/400d"
[[limit]]
name = "greeted"
count = "connections"
per = ["client.network"]
rate = "6/400d"
when = 'helo.name == "mail.example.org"'
[[limit]]
name = "sessions"
count = "sessions"
per = ["client.ip"]
at_most = 2
[[limit]]
name = "messages"
count = "messages"
per = ["client.network", "sender.domain"]
rate = "5/400d"
[[limit]]
name = "domains"
count = "messages"
per = ["rcpt.domain"]
rate = "3/400d"
[[limit]]
name = "recipients"
count = "recipients"
per = ["client.ip"]
rate = "7/400d"
[[limit]]
name = "boxes"
count = "recipients"
per = ["rcpt.address"]
rate = "3/400d"
when = 'auth.user == ""'
[[limit]]
name = "unknown"
count = "unknown_recipients"
per = ["client.network"]
rate = "2/400d"
[[limit]]
name = "refused"
count = "refused_recipients"
per = ["rcpt.domain"]
rate = "2/400d"
[[limit]]
name = "bounces"
count = "bounces"
per = ["rcpt.address"]
rate = "2/400d"
[[limit]]
name = "bytes"
count = "bytes"
per = ["client.ip"]
rate = "300/400d"
[[limit]]
name = "strangers"
count = "first_time_recipients"
per = ["auth.user"]
rate = "4/400d"
[[rule]]
name = "over"
when = 'over.connections && over.sessions && over.messages && over.domains && over.recipients && over.boxes && over.unknown && over.refused && over.bounces && over.bytes && over.greeted'
action = "accept"
observe = true
[[rule]]
name = "connect"
when = 'client.ip == "192.0.2.99"'
reply = "421 4.7.0 no"
at_once = true
[[rule]]
name = "mail"
when = 'sender.local == "bad"'
reply = "550 5.7.1 no"
at_once = true
[[rule]]
name = "rcpt"
when = 'rcpt.local == "no" || over.recipients || over.strangers'
reply = "450 4.7.1 no"
[[rule]]
name = "data"
when = 'sender.local == "late" && author.fields == 1'
reply = "550 5.7.1 no"
`

// counted is what a plain count of a session's events gives, by limit and key: nothing drains, as no time passes.
type counted struct {
	level  map[string]float64
	known  map[string]bool // "user|recipient"
	bursts map[string]float64
}

func (c *counted) pour(limit, key string, n float64) {
	at, burst := limit+" "+strings.ToLower(key), c.bursts[limit]
	c.level[at] = max(c.level[at], min(c.level[at]+n, burst+n))
}

// visitor plays random sessions of one client, and counts.
type visitor struct {
	*rand.Rand
	s       *site
	c       *counted
	session *Session
	ip, net string
	user    string
}

func (v *visitor) pick(all ...string) string { return all[v.IntN(len(all))] }

// play is one session; it may break off anywhere. again is called in the middle of things.
func (v *visitor) play(again func()) {
	v.ip, v.user = v.pick("192.0.2.1", "192.0.2.2", "198.51.100.7", "192.0.2.99"), v.pick("", "", "anna", "Anna")
	port := "25"
	if v.user != "" {
		port = "587"
	}
	v.net = netip.PrefixFrom(netip.MustParseAddr(v.ip), 24).Masked().String()
	v.session = v.s.server.NewSession()
	r := v.session.Connect(Client{Addr: netip.MustParseAddr(v.ip), DaemonPort: port, MTA: "mx.example.net"})
	v.c.pour("connections", v.ip, 1)
	defer v.session.Close()
	if r.Verb == Refuse {
		return
	}
	greeted := false
	for range v.IntN(3) {
		name := v.pick("mail.example.org", "mail.example.org", "x")
		v.session.Helo(name, TLS{})
		if name == "mail.example.org" && !greeted {
			greeted = true
			v.c.pour("greeted", v.net, 1)
		}
	}
	for range v.IntN(4) {
		again()
		v.message()
	}
}

func (v *visitor) message() {
	sender := v.pick("a@example.org", "bad@example.org", "late@other.test", "b@EXAMPLE.ORG.", "")
	r := v.session.Mail(Sender{Address: sender, User: v.user})
	if domain := mailDomain(sender); domain != "" {
		v.c.pour("messages", v.net+"|"+domain, 1)
	}
	if r.Verb == Refuse {
		return
	}
	domains, taken := map[string]bool{}, []string{}
	for range v.IntN(5) {
		v.recipient(sender, domains, &taken)
	}
	refused := true
	if v.IntN(3) > 0 {
		v.session.HeaderField("From", " a@example.org")
		v.session.EndOfHeader()
		v.session.Body([]byte("hello\r\n"))
		if v.IntN(4) > 0 {
			response, _ := v.session.EndOfMessage("")
			refused = response.Verb == Refuse
			v.c.pour("bytes", v.ip, float64(len("From: a@example.org\r\n")+len("hello\r\n")))
		}
	}
	if refused && v.IntN(2) == 0 {
		v.session.Abort()
	}
	v.c.learn(v.user, taken)
}

// recipient names one, which the MTA may refuse.
func (v *visitor) recipient(sender string, domains map[string]bool, taken *[]string) {
	local, domain := v.pick("u", "v", "no"), v.pick("example.net", "example.com")
	address := local + "@" + domain
	said := Recipient{Address: v.pick(address, `"`+local+`"@`+domain, address+"."), Resolved: address, Mailer: "smtp", Host: domain}
	if code := v.pick("", "", "", "5.1.1", "5.7.1", "4.7.1"); code != "" {
		v.session.Rcpt(Recipient{Address: said.Address, Resolved: "the MTA's text", Mailer: "error", Host: code})
		if code == "5.1.1" {
			v.c.pour("unknown", v.net, 1)
		} else {
			v.c.pour("refused", domain, 1)
		}
		return
	}
	r := v.session.Rcpt(said)
	v.c.pour("recipients", v.ip, 1)
	if !domains[domain] {
		domains[domain] = true
		v.c.pour("domains", domain, 1)
	}
	if v.user == "" {
		v.c.pour("boxes", address, 1)
	} else if !v.c.known[strings.ToLower(v.user)+"|"+address] {
		v.c.pour("strangers", v.user, 1)
	}
	if sender == "" {
		v.c.pour("bounces", address, 1)
	}
	if r.Verb != Refuse {
		*taken = append(*taken, address)
	}
}

func (c *counted) learn(user string, taken []string) {
	for _, address := range taken {
		c.known[strings.ToLower(user)+"|"+address] = user != ""
	}
}

// TestCountsOfRandomSessions: what limits hold after random sessions, which may be refused or break off anywhere, is what a plain count gives,
// in every mode, with reloads and pauses in between. No session is left open.
func TestCountsOfRandomSessions(t *testing.T) {
	for round := range 30 {
		seed := uint64(time.Now().UnixNano()) + uint64(round)
		r := rand.New(rand.NewPCG(seed, 2))
		text := everyLimit
		if r.IntN(2) == 0 {
			text = "[server]\ndelay_reject = false\n" + text
		}
		s := newSite(t, text)
		c := &counted{map[string]float64{}, map[string]bool{}, map[string]float64{}}
		for _, l := range s.server.settings.Load().limits {
			c.bursts[l.Name] = l.Burst[0]
		}
		again := func() {
			switch r.IntN(10) {
			case 0:
				s.server.Reload(SettingsOf(parsed(t, "mode = \""+[]string{"enforce", "observe"}[r.IntN(2)]+"\"\n"+text)))
			case 1:
				s.server.Pause(s.now.Add(time.Hour))
			case 2:
				s.server.Pause(time.Time{})
			}
		}
		for range 25 {
			again()
			(&visitor{Rand: r, s: s, c: c}).play(again)
		}
		got := map[string]float64{}
		for name := range c.bursts {
			entries, _ := s.store.Entries(context.Background(), s.now, "limit:"+name, "", 1000)
			for _, e := range entries {
				got[name+" "+e.Key] = e.Cell.A
			}
		}
		if len(got) < 20 {
			t.Fatalf("seed %d: only %v was counted", seed, got)
		}
		if !maps.Equal(got, c.level) {
			for _, key := range slices.Sorted(maps.Keys(c.level)) {
				if got[key] != c.level[key] {
					t.Errorf("seed %d: %s is %v, a plain count gives %v", seed, key, got[key], c.level[key])
				}
			}
			t.Fatalf("%v\n%v", got, fmt.Sprint(c.level))
		}
	}
}
