package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

// A recorded day: sessions of all kinds go through a daemon, and three other policies decide its history again. Some of the sessions that come out
// otherwise are then sent once more, to a daemon with that policy and the same DNS: it must do exactly what replay said.

const dayZone = `
good.example TXT "v=spf1 ip4:192.0.2.0/24 -all"
good.example MX 10 mail.good.example
mail.good.example A 192.0.2.1
_dmarc.good.example TXT "v=DMARC1; p=quarantine"
192.0.2.1 PTR mail.good.example
bank.example TXT "v=spf1 ip4:203.0.113.99 -all"
bank.example MX 10 mail.bank.example
mail.bank.example A 203.0.113.99
_dmarc.bank.example TXT "v=DMARC1; p=reject"
soft.example TXT "v=spf1 ~all"
soft.example A 203.0.113.98
broken.example TXT "v=spf1 ip4:999 -all"
broken.example A 203.0.113.97
null.example MX 0 .
silent.example TXT SERVFAIL
silent.example A 203.0.113.96
2.0.0.127.bl.example A 127.0.0.2
7.100.51.198.bl.example A 127.0.0.2
8.100.51.198.bl.example A 127.0.0.3
`

const dayHead = `
[trust]
relays = ["203.0.113.5"]
[list]
allow = ["partner.example"]
block = ["198.51.100.66", "spam.example"]
[[dnsbl]]
name = "bl"
zone = "bl.example"
query = "client.ip"
weight = { "127.0.0.2" = 4, "127.0.0.3" = 2 }
[[limit]]
name = "messages"
count = "messages"
per = ["client.network"]
rate = "1000000/1h"
`

const dayRules = dayHead + `
[[rule]]
name = "users"
when = 'auth.user != ""'
action = "accept"
[[rule]]
name = "blocked"
when = 'client.ip in list.block || sender.domain in list.block'
reply = "554 5.7.1 Refused by local policy"
[[rule]]
name = "postmaster"
when = 'rcpt.local == "postmaster"'
action = "accept"
[[rule]]
name = "listed"
when = 'client.dnsbl_score >= 4'
reply = "554 5.7.1 {client.ip} is listed by {client.dnsbls}"
[[rule]]
name = "null-mx"
when = 'sender.mx == "null"'
reply = "550 5.7.27 {sender.domain} takes no mail"
[[rule]]
name = "spoofed"
when = 'dmarc.result == "fail" && dmarc.policy == "reject" && dkim.author == "none" && !sender.empty'
reply = "550 5.7.1 Email rejected per DMARC policy for {author.domain}"
[[rule]]
name = "junk"
when = 'dmarc.result == "fail" || spf.result == "fail"'
action = "tag"
header = { "X-Spam-Flag" = "YES" }
`

// dayPolicies are the three others.
var dayPolicies = map[string]string{
	"stricter": strings.Replace(dayRules, "[[rule]]\nname = \"spoofed\"", `[[rule]]
name = "greeting"
when = 'helo.name.contains("again") || helo.name.contains("first")'
reply = "550 5.7.1 {helo.name}"
[[rule]]
name = "spf"
when = 'spf.result in ["fail", "softfail", "permerror"]'
reply = "550 5.7.23 SPF says {spf.result}"
[[rule]]
name = "lightly-listed"
when = 'client.dnsbl_score >= 2'
reply = "450 4.7.1 {client.ip} is listed"
[[rule]]
name = "spoofed"`, 1),
	"milder": strings.NewReplacer(`reply = "550 5.7.1 Email rejected per DMARC policy for {author.domain}"`, `action = "quarantine"`,
		`'rcpt.local == "postmaster"'`, `'rcpt.local in ["postmaster", "a"]'`).Replace(dayRules),
	"early": strings.Replace(dayRules, `reply = "554 5.7.1 {client.ip} is listed by {client.dnsbls}"`,
		"reply = \"554 5.7.1 {client.ip} is listed by {client.dnsbls}\"\nat_once = true", 1) + `
[[rule]]
name = "content"
when = 'author.domain == "good.example" && message.size > 900'
reply = "550 5.7.1 too long"
[[rule]]
name = "plain"
when = 'tls.version == "" && sender.domain == "soft.example"'
reply = "454 4.7.0 STARTTLS first"
[[rule]]
name = "silent"
when = 'spf.result == "temperror"'
reply = "451 4.4.3 DNS"
`,
}

// dayMail gives session number n of the day: one message or several, some broken off by RSET, with a second HELO here and there. What stands first
// in its HELO names tells it from all others.
func dayMail(n int) Mail {
	r := rand.New(rand.NewPCG(uint64(n), 3))
	m := dayMessage(r, n)
	if r.IntN(5) == 0 {
		m.First = fmt.Sprintf("h%d.first.example.org", n)
		m.TLS = []string{"", "TLSv1.3"}[r.IntN(2)]
	}
	last := &m
	for r.IntN(3) == 0 && m.Stop != "connect" && m.Stop != "helo" {
		next := dayMessage(r, n)
		next.Addr, next.Name, next.Port, next.Helo = m.Addr, m.Name, m.Port, ""
		if r.IntN(4) == 0 {
			next.Helo, next.TLS = fmt.Sprintf("h%d.again.example.org", n), "TLSv1.2"
		}
		if next.Stop == "helo" {
			next.Stop = ""
		}
		last.Next = &next
		last = &next
	}
	return m
}

func dayMessage(r *rand.Rand, n int) Mail {
	pick := func(all ...string) string { return all[r.IntN(len(all))] }
	helo := fmt.Sprintf("h%d.example.org", n)
	m := Mail{
		Addr: pick("192.0.2.1", "192.0.2.20", "198.51.100.7", "198.51.100.8", "198.51.100.66", "203.0.113.5", "203.0.113.40", "2001:db8::9", "127.0.0.1"),
		Name: pick("[192.0.2.1]", "mail.good.example"), Helo: helo, Port: pick("25", "25", "25", "25", "587"),
		Sender: pick("a@good.example", "news@soft.example", "service@bank.example", "b@broken.example", "c@null.example", "d@silent.example", "", "e@spam.example",
			"f@nowhere.example", "g@partner.example"),
		Body: strings.Repeat("text\r\n", 1+r.IntN(300)),
		Stop: pick("", "", "", "", "", "", "", "", "helo", "mail", "rcpt", "header", "body"),
	}
	if m.Port == "587" {
		m.User = pick("anna", "bert", "")
	}
	for range 1 + r.IntN(3) {
		m.Recipients = append(m.Recipients, pick("a", "b", "postmaster", "c")+"@example.net")
	}
	if r.IntN(8) == 0 {
		m.Unknown = []string{"nobody@example.net"}
	}
	m.Header = [][2]string{{"From", " " + pick("a@good.example", "service@bank.example", "x@soft.example", "nobody", "a@partner.example")}, {"Subject", " " + helo}}
	if r.IntN(12) == 0 {
		m.Header = append(m.Header, [2]string{"From", " second@bank.example"})
	}
	if m.Addr == "203.0.113.5" {
		m.Header = append([][2]string{{"Received", " from mail.good.example (mail.good.example [" + pick("192.0.2.1", "198.51.100.7") + "]) by backup.example.net"}}, m.Header...)
	}
	return m
}

// daySessions is how many sessions the day has; GATEPOST_DAY says otherwise.
func daySessions(t *testing.T) int {
	text := os.Getenv("GATEPOST_DAY")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("GATEPOST_DAY: %q is no number", text)
	}
	return n
}

func dayFile(t *testing.T, path string) *policyfile.File {
	t.Helper()
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	file, err := policyfile.Load(path, vocabulary)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// dayRecords gives the records of a daemon by session and number, and how many there are.
func dayRecords(t *testing.T, d *Daemon) (found map[string]*history.Record, all int) {
	t.Helper()
	r, err := history.OpenReader(filepath.Join(d.Dir, "state", "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	u, err := history.NewUnpacker()
	if err != nil {
		t.Fatal(err)
	}
	found = map[string]*history.Record{}
	if err := r.Blocks(context.Background(), time.Time{}, func(b history.Block) error {
		return u.Records(b, func(rec *history.Record) {
			all++
			copied := *rec
			session, _, _ := strings.Cut(rec.Helo, ".")
			found[fmt.Sprintf("%s/%d", session, rec.Number)] = &copied
		})
	}); err != nil {
		t.Fatal(err)
	}
	return found, all
}

// startDay starts a daemon whose blocklist has been tested.
func startDay(t *testing.T, policy string) *Daemon {
	t.Helper()
	d := Start(t, Options{Zone: dayZone, Policy: policy})
	for range 400 {
		if out, _ := d.Command("status"); !strings.Contains(out, "out of use") {
			return d
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("the blocklist stays out of use")
	return nil
}

// spotChecks is how many of the changed sessions of each policy are sent again.
const spotChecks = 100

// TestRecordedDay records the day and replays it.
func TestRecordedDay(t *testing.T) {
	sessions := daySessions(t)
	day := startDay(t, dayRules)
	began := time.Now()
	numbers := make(chan int)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for n := range numbers {
				if _, err := day.Send(dayMail(n)); err != nil {
					t.Errorf("session %d: %v", n, err)
				}
			}
		})
	}
	for n := range sessions {
		numbers <- n
	}
	close(numbers)
	work.Wait()
	t.Logf("%d sessions in %s", sessions, time.Since(began).Round(time.Millisecond))
	if err := day.Stop(); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(day.Dir, "state")
	records, all := dayRecords(t, day)
	out, status := day.Command("replay", "--since", "1d", "--directory", state)
	t.Logf("under the policy that was in force:\n%s", out)
	if status != 0 || !strings.Contains(out, fmt.Sprintf("\n%d the same, 0 changed, 0 would go further, 0 unknown", all)) || all < sessions {
		t.Fatalf("exit status %d", status)
	}
	for name, policy := range dayPolicies {
		t.Run(name, func(t *testing.T) { spotCheck(t, policy, state, sessions, records) })
	}
	if wanted := wantedRecords(t); wanted > 0 {
		replayMany(t, day, wanted)
	}
}

// spotCheck replays the day under a policy, and sends some of the sessions that change to a daemon that has it.
func spotCheck(t *testing.T, policy, state string, sessions int, records map[string]*history.Record) {
	d := startDay(t, policy)
	out, _ := d.Command("replay", d.PolicyFile(), "--since", "1d", "--directory", state)
	t.Log(out)
	replayer := filter.NewReplayer(filter.SettingsOf(dayFile(t, d.PolicyFile())), nil, false)
	said := map[string][]history.Line{}
	checked, several := 0, 0
	for n := 0; n < sessions && (checked < spotChecks || several < spotChecks/4); n++ {
		number := n * 7919 % sessions
		lines, changed := saidOf(replayer, records, number)
		if !changed || checked >= spotChecks && len(lines) < 2 {
			continue
		}
		if checked++; len(lines) > 1 {
			several++
		}
		for key, l := range lines {
			said[key] = l
		}
		if _, err := d.Send(dayMail(number)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	done, _ := dayRecords(t, d)
	for key, lines := range said {
		if done[key] == nil || !history.SameLines(done[key].Lines, lines) {
			t.Errorf("%s: replay said\n%+v\ndone was\n%+v", key, lines, done[key])
		}
	}
	if checked < min(spotChecks, sessions/100) {
		t.Errorf("only %d sessions change", checked)
	}
	t.Logf("%d changed sessions, %d of them with several messages, were sent again: each got what replay said", checked, several)
}

// saidOf gives what replay says of each message of a session, and whether that is something else than was done. Of a session that would have gone
// further somewhere nobody knows the rest.
func saidOf(replayer *filter.Replayer, records map[string]*history.Record, number int) (lines map[string][]history.Line, changed bool) {
	lines = map[string][]history.Line{}
	for n := 1; ; n++ {
		key := fmt.Sprintf("h%d/%d", number, n)
		rec := records[key]
		if rec == nil {
			return lines, changed
		}
		got := replayer.Decide(rec)
		if got.Unknown != "" || got.Further {
			return nil, false
		}
		lines[key], changed = got.Lines, changed || len(got.Changes(rec, false)) > 0
	}
}
