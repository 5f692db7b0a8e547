package sendmail

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost.example/testdata/postfix"
)

const acceptAll = postfix.AcceptAll

// TestSpokenAtRcpt: with delay_reject, the default, every refusal that is decided before the end of the message is spoken at RCPT with code,
// enhanced code, text and id, and one at the end of the message there; Sendmail then serves the next command. Of most codes it puts the recipient
// in front of the text.
func TestSpokenAtRcpt(t *testing.T) {
	for _, reply := range []string{"450 4.7.1", "451 4.3.0", "452 4.3.1", "550 5.7.1", "553 5.7.1", "554 5.7.1"} {
		for stage, condition := range postfix.Conditions() {
			setPolicy(t, postfix.Rule(condition, reply+" because 100% sure", ""))
			c := dial(t, Bad)
			want(t, c, "MAIL FROM:<a@example.org>", "250 2.1.0 <a@example.org>... Sender ok")
			full := regexp.MustCompile("^" + regexp.QuoteMeta(reply) + prefixed(reply, "u@example.net") + ` because 100% sure \(id [0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\)$`)
			got, err := c.Do("RCPT TO:<u@example.net>")
			if stage == "data" {
				full = regexp.MustCompile("^" + regexp.QuoteMeta(reply) + ` because 100% sure \(id [0-9A-Z-]{9}\)$`)
				got, err = c.Message(postfix.Mail("a@example.org", subject()))
			}
			if err != nil || !full.MatchString(got) {
				t.Errorf("%s decided at %s: %q, %v", reply, stage, got, err)
			}
			want(t, c, "RSET", "250")
		}
	}
}

// prefixed gives what Sendmail writes between the enhanced code and our text at MAIL and RCPT: the address, where its own replies have it.
func prefixed(reply, address string) string {
	if reply[:3] == "450" || reply[:2] == "55" && reply[:3] != "554" {
		return " <" + address + ">..."
	}
	return ""
}

// Test421 closes the connection where it is spoken.
func Test421(t *testing.T) {
	setPolicy(t, postfix.Rule(postfix.Conditions()["connect"], "421 4.7.0 slow down", ""))
	c := dial(t, Bad)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "421 4.7.0 slow down (id ")
	if reply, err := c.Do("NOOP"); err == nil {
		t.Errorf("the connection is still open: %q", reply)
	}
}

// TestAtOnce: what Sendmail makes of a refusal at each stage, as packaging/sendmail/README.md tells.
func TestAtOnce(t *testing.T) {
	const because = " because (id "
	for _, c := range []struct{ stage, reply, greeting, helo, mail, rcpt, data string }{
		{stage: "connect", reply: "554 5.7.1", greeting: "554 mx.example.net ESMTP not accepting messages", helo: "250", mail: "550 5.0.0 Command rejected"},
		{stage: "connect", reply: "550 5.7.1", greeting: "554 mx.example.net ESMTP not accepting messages", helo: "250", mail: "550 5.0.0 Command rejected"},
		{stage: "connect", reply: "421 4.7.0", greeting: "421 4.7.0 mx.example.net closing connection"},
		{stage: "connect", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "451 4.3.2 Please try again later"},
		{stage: "helo", reply: "550 5.7.1", greeting: "220", helo: "250", mail: "550 5.7.1" + because},
		{stage: "helo", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "450 4.7.1" + because},
		{stage: "helo", reply: "421 4.7.0", greeting: "220", helo: "421 4.7.0" + because},
		{stage: "mail", reply: "553 5.7.1", greeting: "220", helo: "250", mail: "553 5.7.1 <a@example.org>..." + because},
		{stage: "mail", reply: "451 4.7.1", greeting: "220", helo: "250", mail: "451 4.7.1" + because},
		{stage: "mail", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "421 4.7.0" + because},
		{stage: "rcpt", reply: "554 5.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "554 5.7.1" + because},
		{stage: "rcpt", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "450 4.7.1 <u@example.net>..." + because},
		{stage: "rcpt", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "250", rcpt: "421 4.7.0" + because},
		{stage: "data", reply: "550 5.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "550 5.7.1" + because},
		{stage: "data", reply: "452 4.3.1", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "452 4.3.1" + because},
		{stage: "data", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "421 4.7.0" + because},
	} {
		t.Run(c.stage+" "+c.reply, func(t *testing.T) {
			setPolicy(t, postfix.Rule(postfix.Conditions()[c.stage], c.reply+" because", "at_once = true"))
			playEarly(t, c.greeting, c.helo, c.mail, c.rcpt, c.data)
		})
	}
}

// playEarly says one message and compares the beginnings of the replies; the first refusal is the last that is looked at, but for a closed connection
// after 421.
func playEarly(t *testing.T, greeting, helo, sender, rcpt, data string) {
	t.Helper()
	c, err := postfix.DialFrom(Bad, At(25))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !strings.HasPrefix(c.Last, greeting) {
		t.Fatalf("the greeting is %q, want %q", c.Last, greeting)
	}
	for _, step := range []struct{ command, reply string }{
		{"EHLO mail.example.org", helo}, {"MAIL FROM:<a@example.org>", sender}, {"RCPT TO:<u@example.net>", rcpt},
	} {
		if step.reply == "" {
			break
		}
		want(t, c, step.command, step.reply)
	}
	if data != "" {
		wantMessage(t, c, postfix.Mail("a@example.org", subject()), data)
	}
	if !strings.HasPrefix(c.Last, "421") {
		return
	}
	if reply, err := c.Do("NOOP"); err == nil {
		t.Errorf("after 421 the connection is still open: %q", reply)
	}
}

// TestRecipients: each recipient gets its own decision; what Sendmail itself refuses is told to Gatepost and counts as an unknown or refused one.
func TestRecipients(t *testing.T) {
	setPolicy(t, `mode = "enforce"
[trust]
networks = []
[list]
block = ["198.51.100.0/24"]
[[rule]]
name = "postmaster"
when = 'rcpt.local in ["postmaster", "abuse"]'
action = "accept"
[[rule]]
name = "listed"
when = 'client.ip in list.block'
reply = "554 5.7.1 listed"
[[rule]]
name = "elsewhere"
when = 'rcpt.domain != "example.net" && rcpt.domain != "alias.example.net" && rcpt.domain != ""'
reply = "550 5.7.1 {rcpt.domain}"
[[rule]]
name = "late"
when = 'author.domain == "nodmarc.example"'
reply = "550 5.7.1 late"
`)
	t.Run("postmaster of a listed client, then another", func(t *testing.T) {
		c := dial(t, Bad)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<postmaster@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 listed (id ")
		want(t, c, "RCPT TO:<Postmaster>", "250")
		want(t, c, "RCPT TO:<abuse@example.net>", "250")
		s := subject()
		wantMessage(t, c, postfix.Mail("a@example.org", s), "250")
		delivered(t, "postmaster", s)
		delivered(t, "abuse", s)
		if others, err := mta.Mail.Of("u"); err != nil || strings.Contains(strings.Join(others, ""), s) {
			t.Errorf("u got it too (%v)", err)
		}
	})
	t.Run("of another class: 452, then in a transaction of its own", func(t *testing.T) {
		c := dial(t, Good)
		want(t, c, "MAIL FROM:<a@nodmarc.example>", "250")
		want(t, c, "RCPT TO:<postmaster@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "452 4.5.3 ")
		wantMessage(t, c, postfix.Mail("a@nodmarc.example", subject()), "250")
		want(t, c, "MAIL FROM:<a@nodmarc.example>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		wantMessage(t, c, postfix.Mail("a@nodmarc.example", subject()), "550 5.7.1 late (id ")
	})
	t.Run("aliases, virtual users, and those whom Sendmail refuses", func(t *testing.T) {
		c := dial(t, Good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<missing@example.net>", "550 5.1.1 <missing@example.net>... User unknown")
		want(t, c, "RCPT TO:<missing@alias.example.net>", "550 5.1.1 <missing@alias.example.net>... No such user")
		want(t, c, "RCPT TO:<x@other.example>", "550 5.7.1 <x@other.example>... Relaying denied")
		want(t, c, "RCPT TO:<list@example.net>", "250")
		want(t, c, "RCPT TO:<info@alias.example.net>", "250")
		s := subject()
		wantMessage(t, c, postfix.Mail("a@example.org", s), "250")
		delivered(t, "u", s)
		delivered(t, "v", s)
	})
	t.Run("100 recipients", func(t *testing.T) {
		c := dial(t, Good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		for i := range 100 {
			want(t, c, fmt.Sprintf("RCPT TO:<u%d@example.net>", i+1), "250")
		}
		want(t, c, "RCPT TO:<postmaster@example.net>", "452 4.5.3 ")
		s := subject()
		wantMessage(t, c, postfix.Mail("a@example.org", s), "250")
		delivered(t, "bulk", s)
	})
}

// TestRecipientFacts: rcpt.local and rcpt.domain are of the address as the client typed it where Sendmail gives a local user without a domain.
func TestRecipientFacts(t *testing.T) {
	setPolicy(t, postfix.Rule("true", "550 5.7.1 {rcpt.local} at {rcpt.domain}", ""))
	for address, fact := range map[string]string{
		"u@example.net": "u at example.net", "V@Example.NET": "V at example.net", "list@example.net": "list at example.net",
		"info@alias.example.net": "info at alias.example.net", "u+tag@example.net": "u+tag at example.net", "Postmaster": "postmaster at mx.example.net",
	} {
		c := dial(t, Good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		if got, err := c.Do("RCPT TO:<%s>", address); err != nil || !strings.HasPrefix(got, "550 5.7.1 <"+address+">... "+fact+" (id ") {
			t.Errorf("%s: %q, %v; want %q", address, got, err, fact)
		}
	}
}

// TestShippedPolicy: mail that is what it says is taken, a spoof of a p=reject domain is refused at its end, a silent DNS puts off, SPF's fail without
// DMARC is for Junk.
func TestShippedPolicy(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "policy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	setPolicy(t, strings.Replace(string(text), `mode = "observe"`, `mode = "enforce"`, 1))
	for _, c := range []struct{ name, client, sender, from, reply, has string }{
		{"good", Good, "a@example.org", "a@example.org", "250", "dmarc=pass header.from=example.org policy.dmarc=reject"},
		{"over IPv6", Good6, "a@example.org", "a@example.org", "250", `spf=pass smtp.mailfrom=example.org`},
		{"a spoof", Bad, "a@nospf.example", "a@example.org", "550 5.7.1 Email rejected per DMARC policy for example.org (id ", ""},
		{"DNS is silent", Good, "a@silent.example", "a@silent.example", "451 4.7.5 DNS does not answer for silent.example; try again later (id ", ""},
		{"SPF fail", Bad, "a@nodmarc.example", "a@nodmarc.example", "250", "X-Spam-Flag: YES"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := subject()
			if reply := send(t, c.client, c.sender, postfix.Mail(c.from, s)); !strings.HasPrefix(reply, c.reply) {
				t.Fatalf("%q, want %q", reply, c.reply)
			}
			if c.has == "" {
				return
			}
			if header := delivered(t, "u", s); !strings.Contains(header, c.has) {
				t.Errorf("no %q:\n%s", c.has, header)
			}
		})
	}
}

// TestGreylisted: put off with the time to wait, then taken.
func TestGreylisted(t *testing.T) {
	setPolicy(t, "mode = \"enforce\"\n[greylist]\ndelay = \"2s\"\n[trust]\nnetworks = []\n[[rule]]\nname = \"grey\"\nwhen = 'true'\naction = \"greylist\"\n")
	ask := func(reply string) {
		t.Helper()
		c := dial(t, Bad)
		want(t, c, "MAIL FROM:<a@nospf.example>", "250")
		want(t, c, "RCPT TO:<v@example.net>", reply)
	}
	ask("451 4.7.1 Greylisted; try again in 2s (id ")
	ask("451 4.7.1 Greylisted; try again in ")
	time.Sleep(2500 * time.Millisecond)
	ask("250")
}

// TestHoldAndDiscard: the sender hears 250 in both cases; what is held waits in the quarantine of the queue with the reason and can be
// released, what is discarded is nowhere.
func TestHoldAndDiscard(t *testing.T) {
	setPolicy(t, acceptAll+`[[rule]]
name = "hold"
when = 'sender.local == "hold"'
action = "quarantine"
[[rule]]
name = "gone"
when = 'sender.local == "gone"'
action = "discard"
`)
	held, gone := subject(), subject()
	if reply := send(t, Good, "hold@example.org", postfix.Mail("a@example.org", held)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if reply := send(t, Good, "gone@example.org", postfix.Mail("a@example.org", gone)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	queue, err := mta.Queued(true)
	if err != nil || strings.Count(queue, "hold@example.org") != 1 || !strings.Contains(queue, "gatepost rule hold (id ") {
		t.Errorf("not one message of hold@example.org is in quarantine (%v):\n%s", err, queue)
	}
	queue, err = mta.Queued(false)
	messages, err2 := mta.Mail.Of("u")
	if all := strings.Join(messages, "") + queue; err != nil || err2 != nil || strings.Contains(all, held) || strings.Contains(all, gone) || strings.Contains(all, "gone@") {
		t.Errorf("what was held or discarded is delivered or queued (%v, %v):\n%s", err, err2, queue)
	}
	quarantined, _ := mta.Queued(true)
	id := regexp.MustCompile(`(?m)^([0-9A-Za-z]{14})[ *?]`).FindStringSubmatch(quarantined)
	if id == nil {
		t.Fatalf("no queue id in\n%s", quarantined)
	}
	if out, err := mta.Tree.Run("sendmail -qQ -Q -qI" + id[1] + " && sendmail -qI" + id[1]); err != nil {
		t.Fatalf("release: %v\n%s", err, out)
	}
	delivered(t, "u", held)
}

// TestObserve: nothing is refused, and the message says what would have been.
func TestObserve(t *testing.T) {
	setPolicy(t, strings.Replace(postfix.Rule(postfix.Conditions()["connect"], "554 5.7.1 no", ""), `"enforce"`, `"observe"`, 1))
	s := subject()
	if reply := send(t, Bad, "a@example.org", postfix.Mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); !strings.Contains(header, "\nX-Gatepost-Would: 554 at rcpt by r\n") {
		t.Errorf("the message does not say what would have been:\n%s", header)
	}
}
