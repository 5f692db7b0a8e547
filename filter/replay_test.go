package filter

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/history"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
	"gatepost.example/policy/policyfile"
)

// recordedZone is the DNS of generated sessions: right, wrong and silent.
const recordedZone = `
192.0.2.1 PTR mail.example.org
mail.example.org A 192.0.2.1
example.org MX 10 mail.example.org
example.org TXT "v=spf1 ip4:192.0.2.0/24 -all"
_dmarc.example.org TXT "v=DMARC1; p=reject"
bank.example TXT "v=spf1 -all"
bank.example MX 10 mail.example.org
_dmarc.bank.example TXT "v=DMARC1; p=reject"
silent.example TXT TIMEOUT
silent.example MX TIMEOUT
null.example MX 0 .
3.2.0.192.bl.example A 127.0.0.2
9.100.51.198.bl.example A 127.0.0.4
`

// everyKind is a policy with everything that a walk can meet: rules of every scope and action, observed and shared ones, a definition, lists, pairs,
// fields, limits of every scope with and without conditions, greylisting, a relay.
const everyKind = `
[server]
delay_reject = %[1]v
[trust]
relays = ["203.0.113.5"]
[recipients]
mixed = "%[2]s"
[list]
allow = ["partner.example", "192.0.2.77", "vip@example.org"]
block = ["198.51.100.0/28", ".spam.example"]
[define]
odd = '(spf.result != "pass" ? 1 : 0) + (client.iprev != "pass" ? 1 : 0)'
[[dnsbl]]
name = "bl"
zone = "bl.example"
query = "client.ip"
weight = { "127.0.0.2" = 4, "127.0.0.4" = 2 }
[[limit]]
name = "messages"
count = "messages"
per = ["client.network"]
rate = { good = "100/1h", neutral = "50/1h", new = "12/1h", poor = "5/1h", bad = "2/1h" }
when = 'server.role == "mx" && client.dnsbl_score < 9'
[[limit]]
name = "connections"
count = "connections"
per = ["client.ip"]
rate = "20/1h"
[[limit]]
name = "open"
count = "sessions"
per = ["client.ip"]
at_most = 3
[[limit]]
name = "greetings"
count = "messages"
per = ["helo.name", "client.network"]
rate = "15/1h"
[[limit]]
name = "harvest"
count = "unknown_recipients"
per = ["client.network"]
rate = "5/1h"
[[limit]]
name = "boxes"
count = "recipients"
per = ["rcpt.address"]
rate = "30/1h"
[[limit]]
name = "strangers"
count = "first_time_recipients"
per = ["auth.user"]
rate = "6/1d"
[[limit]]
name = "volume"
count = "bytes"
per = ["sender.domain"]
rate = "20kB/1h"
[[rule]]
name = "flood"
when = 'over.connections || over.open || (over.harvest && client.reputation != "good")'
reply = "421 4.7.0 Too much from {client.network}"
at_once = true
[[rule]]
name = "greeting"
when = 'helo.name == "bad.example" && client.dnsbl_score > 0'
reply = "550 5.7.1 Greet with your name"
at_once = true
[[rule]]
name = "watched"
when = 'spf.result == "fail"'
reply = "550 5.7.23 SPF"
observe = true
[[rule]]
name = "strangers"
when = 'auth.user != "" && over.strangers'
reply = "450 4.7.1 {auth.user} writes to many; again in {over.strangers.retry}"
[[rule]]
name = "users"
when = 'auth.user != ""'
action = "accept"
[[rule]]
name = "blocked"
when = 'client.ip in list.block || sender.domain in list.block'
reply = "554 5.7.1 {client.ip} is refused"
[[rule]]
name = "mark"
when = 'odd >= 2'
action = "tag"
header = { "X-Odd" = "yes {spf.result}" }
[[rule]]
name = "mark-box"
when = 'rcpt.domain == "example.net" && odd >= 1'
action = "tag"
header = { "X-Box" = "{rcpt.local}" }
[[rule]]
name = "allowed"
when = 'client.ip in list.allow || sender.address in list.allow'
action = "accept"
[[rule]]
name = "share"
when = 'sender.mx == "none"'
reply = "450 4.1.8 not found"
enforce = "40%%"
[[rule]]
name = "postmaster"
when = 'rcpt.local == "postmaster"'
action = "accept"
[[rule]]
name = "listed"
when = 'client.dnsbl_score >= 4'
reply = "554 5.7.1 listed by {client.dnsbls}"
[[rule]]
name = "over-box"
when = 'over.boxes && rcpt.local != "b"'
reply = "452 4.2.2 slow down"
[[rule]]
name = "slow"
when = 'over.messages || over.greetings'
reply = "421 4.7.0 again in {over.messages.retry}"
[[rule]]
name = "grey"
when = 'client.reputation == "new" && odd >= 2 && rcpt.local != "nogrey"'
action = "greylist"
[[rule]]
name = "allowed-author"
when = 'author.domain in list.allow'
action = "accept"
[[rule]]
name = "verdict"
when = 'rcpt.local != "v" && header("X-Verdict").exists(v, v == "bad")'
reply = "550 5.7.1 content"
[[rule]]
name = "dmarc"
when = 'dmarc.result == "fail" && dkim.author == "none" && !sender.empty'
reply = "550 5.7.1 DMARC {author.domain}"
[[rule]]
name = "volume"
when = 'over.volume || message.size > 3000'
action = "quarantine"
[[rule]]
name = "drop"
when = 'author.fields == 0 && sender.empty'
action = "discard"
`

func parsed(t testing.TB, text string) *policyfile.File {
	t.Helper()
	vocabulary, err := Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	file, err := policyfile.Parse("test.toml", []byte(text), vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// keeper keeps records as they are handed over.
type keeper []*history.Record

func (k *keeper) Add(r *history.Record, _ *history.Policy) { *k = append(*k, r) }

// generator makes sessions of all kinds, those that an MTA would carry on no further too.
type generator struct {
	*rand.Rand
	server *Server
	now    time.Time
}

func newGenerator(t testing.TB, text string, seed uint64, keep Keeper) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 7)), now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	n := 0
	g.server = NewServer(SettingsOf(parsed(t, text)), Deps{
		Resolver: resolvetest.Must(recordedZone), Store: state.NewEmbedded(100_000, g.now), Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return g.now }, NewID: func() string { n++; return fmt.Sprintf("GEN-%06d", n) }, History: keep,
	})
	return g
}

func pick[T any](g *generator, all ...T) T { return all[g.IntN(len(all))] }

func (g *generator) session() {
	g.now = g.now.Add(time.Duration(g.IntN(90)) * time.Second)
	s := g.server.NewSession()
	defer func() {
		if g.IntN(10) > 0 { // else it stays open
			s.Close()
		}
	}()
	c := Client{
		Addr: netip.MustParseAddr(pick(g, "192.0.2.1", "192.0.2.3", "192.0.2.77", "198.51.100.9", "198.51.100.200", "2001:db8::1", "127.0.0.1", "203.0.113.5")),
		Name: pick(g, "", "mail.example.org"), DaemonPort: pick(g, "25", "25", "25", "587"), MTA: "mx.example.net",
	}
	if g.IntN(30) == 0 {
		c = Client{DaemonPort: "0", QueueID: "4fLOCAL", MTA: "mx.example.net"}
	}
	if s.Connect(c).Verb == Refuse && g.IntN(20) > 0 || g.IntN(25) == 0 {
		return
	}
	for range 1 + g.IntN(5)/4 {
		if s.Helo(pick(g, "mail.example.org", "bad.example", "[192.0.2.1]", "x"), TLS{}).Verb == Refuse && g.IntN(20) > 0 || g.IntN(25) == 0 {
			return
		}
	}
	for range 1 + g.IntN(8)/5 {
		if !g.message(s, c) {
			return
		}
		if g.IntN(30) == 0 {
			s.Helo("again.example.org", TLS{Version: "TLSv1.3", Bits: 256})
		}
	}
}

func (g *generator) message(s *Session, c Client) (goesOn bool) {
	g.now = g.now.Add(time.Duration(g.IntN(40)) * time.Second)
	from := Sender{Address: pick(g, "a@example.org", "vip@example.org", "b@bank.example", "c@silent.example", "d@null.example", "e@x.spam.example", "", "f@nowhere.example", "odd")}
	if c.DaemonPort == "587" || g.IntN(12) == 0 {
		from.User, from.Method = pick(g, "anna", "bert", ""), "PLAIN"
	}
	if s.Mail(from).Verb == Refuse && g.IntN(20) > 0 {
		return false
	}
	taken := false
	for range g.IntN(5) {
		address := fmt.Sprintf("%s@%s", pick(g, "a", "b", "v", "postmaster", "nogrey", fmt.Sprint("u", g.IntN(50))), pick(g, "example.net", "other.example"))
		r := Recipient{Address: address, Resolved: address, Mailer: "smtp", Host: "example.net"}
		if g.IntN(8) == 0 {
			r.Mailer, r.Host, r.Resolved = "error", pick(g, "5.1.1", "5.7.1"), "no such user"
		}
		answer := s.Rcpt(r)
		taken = taken || answer.Verb == GoOn && !r.refused()
	}
	switch {
	case !taken || g.IntN(6) == 0:
		if g.IntN(2) == 0 {
			s.Abort()
		}
		return g.IntN(3) > 0
	case g.IntN(40) == 0:
		return false // in the middle of a message
	}
	if g.IntN(10) > 0 {
		s.HeaderField("From", " "+pick(g, "a@example.org", "b@bank.example", "x@partner.example", "nobody"))
	}
	if c.Addr.String() == "203.0.113.5" && g.IntN(4) > 0 {
		s.HeaderField("Received", fmt.Sprintf(" from mail.example.org (mail.example.org [%s]) by backup.example.net", pick(g, "192.0.2.1", "198.51.100.9", "192.0.2.3")))
	}
	for range g.IntN(3) {
		s.HeaderField("X-Verdict", " "+pick(g, "good", "bad"))
	}
	s.EndOfHeader()
	s.Body([]byte(strings.Repeat("text\r\n", 1+g.IntN(900))))
	s.EndOfMessage(fmt.Sprintf("4fQ%d", g.IntN(1000)))
	return true
}

// recordedPolicies are the policies of the tests by a name.
func recordedPolicies(t testing.TB) map[string]string {
	t.Helper()
	shipped, err := os.ReadFile("../policy.toml")
	if err != nil {
		t.Fatal(err)
	}
	enforce := strings.Replace(string(shipped), `mode = "observe"`, `mode = "enforce"`, 1)
	return map[string]string{
		"shipped": string(shipped), "shipped enforcing": enforce,
		"every kind":              "mode = \"enforce\"\n" + fmt.Sprintf(everyKind, true, "split"),
		"every kind, early":       "mode = \"enforce\"\n" + fmt.Sprintf(everyKind, false, "split"),
		"every kind, mildest":     "mode = \"enforce\"\n" + fmt.Sprintf(everyKind, true, "mildest"),
		"every kind, observing":   "mode = \"observe\"\n" + fmt.Sprintf(everyKind, true, "split"),
		"nothing but the default": "mode = \"enforce\"\n",
	}
}

// TestGeneratedSessionsDecideTheSameAgain: thousands of varied sessions under policies of every kind give every decision again, bit for bit, also
// when they have gone through a file.
func TestGeneratedSessionsDecideTheSameAgain(t *testing.T) {
	sessions, records, lines := 700, 0, 0
	for name, text := range recordedPolicies(t) {
		t.Run(name, func(t *testing.T) {
			var kept keeper
			g := newGenerator(t, text, 1, &kept)
			for i := range sessions {
				if i == sessions/2 {
					g.server.Pause(g.now.Add(20 * time.Minute))
				}
				g.session()
			}
			r := NewReplayer(SettingsOf(parsed(t, text)), nil, false)
			wrong := 0
			for _, rec := range kept {
				records, lines = records+1, lines+len(rec.Lines)
				got := r.Decide(rec)
				if got.Unknown == "" && !got.Further && !got.Ended && history.SameLines(got.Lines, rec.Lines) {
					continue
				}
				if wrong++; wrong < 4 {
					t.Errorf("record %s, number %d, of %+v: unknown %q, further %v, ended %v\ngot  %+v\nwant %+v", rec.ID, rec.Number, rec.Client, got.Unknown, got.Further, got.Ended, got.Lines, rec.Lines)
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d records differ", wrong, len(kept))
			}
		})
	}
	t.Logf("%d records with %d decisions", records, lines)
	if records < 4000 || lines < 3000 {
		t.Errorf("only %d records with %d decisions", records, lines)
	}
}

// BenchmarkReplay decides recorded sessions of the shipped policy again, one a round.
func BenchmarkReplay(b *testing.B) {
	text := recordedPolicies(b)["shipped enforcing"]
	var kept keeper
	g := newGenerator(b, text, 1, &kept)
	for len(kept) < 1000 {
		g.session()
	}
	r := NewReplayer(SettingsOf(parsed(b, text)), nil, false)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r.Decide(kept[i%len(kept)])
	}
}

// TestAnotherPolicyNeverGuesses: what was not recorded is unknown, what a refusal had ended would go further, and limits that are counted anew
// change what a limit changes.
func TestAnotherPolicyNeverGuesses(t *testing.T) {
	refuses := "mode = \"enforce\"\n[[rule]]\nname = \"all\"\nwhen = 'client.ip != \"192.0.2.77\"'\nreply = \"550 5.7.1 no\"\n"
	takes := "mode = \"enforce\"\n"
	limits := takes + "[[limit]]\nname = \"few\"\ncount = \"messages\"\nper = [\"client.ip\"]\nrate = \"2/1d\"\n[[rule]]\nname = \"few\"\nwhen = 'over.few'\nreply = \"450 4.7.1 no\"\n"
	count := func(recorded, under string, recount bool) (same, changed, further, unknown int) {
		var kept keeper
		g := newGenerator(t, recorded, 5, &kept)
		for range 300 {
			g.session()
		}
		r, all := NewReplayer(SettingsOf(parsed(t, under)), nil, recount), newTally()
		for _, rec := range kept {
			all.note(rec, r.Decide(rec), false)
		}
		return all.Same, all.Changed, all.Further, all.Unknown
	}
	if same, changed, further, unknown := count(refuses, takes, false); further < 100 || changed > 20 || unknown > 0 { // a relay's and local mail, which was tagged, changes
		t.Errorf("a milder policy: %d the same, %d changed, %d further, %d unknown", same, changed, further, unknown)
	}
	if same, changed, _, unknown := count(takes, limits, false); unknown < 100 || changed != 0 {
		t.Errorf("a limit that was not there: %d the same, %d changed, %d unknown", same, changed, unknown)
	}
	if same, changed, _, unknown := count(takes, limits, true); changed < 50 || unknown > 40 {
		t.Errorf("the limit counted anew: %d the same, %d changed, %d unknown", same, changed, unknown)
	}
}
