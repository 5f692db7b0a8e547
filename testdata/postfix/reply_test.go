package postfix

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// rule gives a policy whose one rule refuses at a stage that its fact decides.
func rule(condition, reply, more string) string { return Rule(condition, reply, more) }

var conditions = Conditions()

// TestSpokenAtRcpt: with delay_reject, the default, every refusal that is decided before the end of the message is spoken at RCPT with code,
// enhanced code, text and id; Postfix then serves the next command.
func TestSpokenAtRcpt(t *testing.T) {
	for _, reply := range []string{"450 4.7.1", "451 4.3.0", "452 4.3.1", "550 5.7.1", "553 5.7.1", "554 5.7.1"} {
		for stage, condition := range conditions {
			setPolicy(t, rule(condition, reply+" because", ""))
			c := dial(t, site.Postfix.SMTP, bad)
			want(t, c, "MAIL FROM:<a@example.org>", "250 2.1.0 Ok")
			full := regexp.MustCompile("^" + regexp.QuoteMeta(reply+" ") + `(<u@example.net>: Recipient address rejected: )?because \(id [0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}\)$`)
			if stage == "data" {
				want(t, c, "RCPT TO:<u@example.net>", "250")
				got, err := c.Message(mail("a@example.org", subject()))
				if err != nil || !full.MatchString(got) {
					t.Errorf("%s decided at %s: %q, %v", reply, stage, got, err)
				}
				continue
			}
			got, err := c.Do("RCPT TO:<u@example.net>")
			if err != nil || !full.MatchString(got) {
				t.Errorf("%s decided at %s: %q, %v", reply, stage, got, err)
			}
			want(t, c, "RSET", "250")
		}
	}
}

// Test421 closes the connection where it is spoken.
func Test421(t *testing.T) {
	setPolicy(t, rule(conditions["connect"], "421 4.7.0 slow down", ""))
	c := dial(t, site.Postfix.SMTP, bad)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "421 4.7.0 slow down (id ")
	if reply, err := c.Do("NOOP"); err == nil {
		t.Errorf("the connection is still open: %q", reply)
	}
}

// TestAtOnce: what Postfix makes of a refusal at each stage. At connect it greets with words of its own: of a 554 ours come at MAIL to a client
// that goes on all the same, of a 421 never; a 450 it keeps for MAIL. At HELO it keeps all but a 421 for MAIL.
func TestAtOnce(t *testing.T) {
	const because = " because (id "
	for _, mode := range []string{"at_once = true", "[server]\ndelay_reject = false"} {
		for _, c := range []struct{ stage, reply, greeting, helo, mail, rcpt, data string }{
			{stage: "connect", reply: "554 5.7.1", greeting: "554 " + Hostname + " ESMTP not accepting connections", mail: "554 5.7.1" + because},
			{stage: "connect", reply: "550 5.7.1", greeting: "554 " + Hostname + " ESMTP not accepting connections", mail: "550 5.7.1" + because},
			{stage: "connect", reply: "421 4.7.0", greeting: "421 " + Hostname + " Service unavailable - try again later"},
			{stage: "connect", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "450 4.7.1" + because},
			{stage: "helo", reply: "550 5.7.1", greeting: "220", helo: "250", mail: "550 5.7.1" + because},
			{stage: "helo", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "450 4.7.1" + because},
			{stage: "helo", reply: "421 4.7.0", greeting: "220", helo: "421 4.7.0" + because},
			{stage: "mail", reply: "553 5.7.1", greeting: "220", helo: "250", mail: "553 5.7.1" + because},
			{stage: "mail", reply: "451 4.7.1", greeting: "220", helo: "250", mail: "451 4.7.1" + because},
			{stage: "mail", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "421 4.7.0" + because},
			{stage: "rcpt", reply: "554 5.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "554 5.7.1" + because},
			{stage: "rcpt", reply: "450 4.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "450 4.7.1" + because},
			{stage: "rcpt", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "250", rcpt: "421 4.7.0" + because},
			{stage: "data", reply: "550 5.7.1", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "550 5.7.1" + because},
			{stage: "data", reply: "452 4.3.1", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "452 4.3.1" + because},
			{stage: "data", reply: "421 4.7.0", greeting: "220", helo: "250", mail: "250", rcpt: "250", data: "421 4.7.0" + because},
		} {
			t.Run(strings.Fields(mode)[0]+" "+c.stage+" "+c.reply, func(t *testing.T) {
				policy := rule(conditions[c.stage], c.reply+" because", mode)
				if strings.HasPrefix(mode, "[") {
					policy = strings.Replace(rule(conditions[c.stage], c.reply+" because", ""), "[trust]", mode+"\n[trust]", 1)
				}
				setPolicy(t, policy)
				playEarly(t, c.greeting, c.helo, c.mail, c.rcpt, c.data)
			})
		}
	}
}

// playEarly says one message and compares the replies; an empty one is any, and a refusal or 421 is the last that is looked at.
func playEarly(t *testing.T, greeting, helo, sender, rcpt, data string) {
	t.Helper()
	c, err := Dial(site.Postfix.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "EHLO xclient.test", "250")
	want(t, c, "XCLIENT "+bad, greeting)
	last := greeting
	for _, step := range []struct{ command, reply string }{
		{"EHLO mail.example.org", helo}, {"MAIL FROM:<a@example.org>", sender}, {"RCPT TO:<u@example.net>", rcpt},
	} {
		if strings.HasPrefix(last, "421") {
			break
		}
		want(t, c, step.command, step.reply)
		if step.reply != "" && step.reply[0] > '3' {
			last = step.reply
			break
		}
	}
	if data != "" {
		if got, err := c.Message(mail("a@example.org", subject())); err != nil || !strings.HasPrefix(got, data) {
			t.Fatalf("the end of DATA: %q, %v; want %q", got, err, data)
		}
		last = data
	}
	if !strings.HasPrefix(last, "421") {
		return
	}
	if reply, err := c.Do("NOOP"); err == nil {
		t.Errorf("after %q the connection is still open: %q", last, reply)
	}
}

// TestRecipients: each recipient gets its own decision; nothing slips through behind another's accept (RFC 5321 4.5.1).
func TestRecipients(t *testing.T) {
	policy := `mode = "enforce"
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
name = "late"
when = 'author.domain == "nodmarc.example"'
reply = "550 5.7.1 late"
`
	setPolicy(t, policy)
	t.Run("postmaster of a listed client, then another", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, bad)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<postmaster@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 listed (id ")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%q, %v", got, err)
		}
		delivered(t, "postmaster", s)
	})
	t.Run("the reverse, and <Postmaster> without a domain", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, bad)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 listed (id ")
		want(t, c, "RCPT TO:<Postmaster>", "250")
		want(t, c, "RCPT TO:<abuse@example.net>", "250")
	})
	t.Run("of another class: 452, then in a transaction of its own", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, good)
		want(t, c, "MAIL FROM:<a@nodmarc.example>", "250")
		want(t, c, "RCPT TO:<postmaster@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "452 4.5.3 ")
		if got, err := c.Message(mail("a@nodmarc.example", subject())); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("postmaster: %q, %v", got, err)
		}
		want(t, c, "MAIL FROM:<a@nodmarc.example>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		if got, err := c.Message(mail("a@nodmarc.example", subject())); err != nil || !strings.HasPrefix(got, "550 5.7.1 late (id ") {
			t.Fatalf("u: %q, %v", got, err)
		}
	})
	t.Run("virtual alias recipients are judged though {rcpt_mailer} says error", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, bad)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<list@alias.example.net>", "554 5.7.1 listed (id ")
		want(t, c, "RCPT TO:<postmaster@alias.example.net>", "250")
		want(t, c, "RCPT TO:<list@alias.example.net>", "554 5.7.1 listed (id ")
	})
	t.Run("a virtual alias recipient of a good client gets its mail", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<list@alias.example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%q, %v", got, err)
		}
		delivered(t, "u", s)
	})
	t.Run("nobody else gets what was taken for postmaster", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, bad)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<v@example.net>", "554")
		want(t, c, "RCPT TO:<postmaster@example.net>", "250")
		want(t, c, "RCPT TO:<v@example.net>", "554")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%q, %v", got, err)
		}
		delivered(t, "postmaster", s)
		others, err := site.Postfix.Mailbox("v")
		if err != nil || strings.Contains(strings.Join(others, ""), s) {
			t.Errorf("v got it too (%v)", err)
		}
	})
	t.Run("one that Postfix refuses among accepted ones", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		want(t, c, "RCPT TO:<nobody@example.net>", "550 5.1.1")
		want(t, c, "RCPT TO:<v@example.net>", "250")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%q, %v", got, err)
		}
		delivered(t, "u", s)
		delivered(t, "v", s)
	})
	t.Run("2,000 recipients", func(t *testing.T) {
		c := dial(t, site.Postfix.SMTP, good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		for i := range 2000 {
			want(t, c, fmt.Sprintf("RCPT TO:<u%d@example.net>", i+1), "250")
		}
		want(t, c, "RCPT TO:<postmaster@example.net>", "452 4.5.3 ")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%q, %v", got, err)
		}
		if err := site.Postfix.Copies("bulk", "Subject: "+s+"\n", 2000); err != nil {
			t.Error(err)
		}
	})
}

// TestHoldAndDiscard: the sender hears 250 in both cases; what is held waits in the MTA's hold queue, what is discarded is nowhere.
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
	for _, sender := range []string{"hold@example.org", "gone@example.org"} {
		if reply := sendMail(t, good, sender, mail("a@example.org", subject())); !strings.HasPrefix(reply, "250") {
			t.Fatalf("%s: %q", sender, reply)
		}
	}
	queue, err := site.Postfix.Queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if held := regexp.MustCompile(`(?m)^[0-9A-F]+! .* hold@example\.org$`).FindAllString(queue, -1); len(held) != 1 {
		t.Errorf("not one message of hold@example.org is on hold:\n%s", queue)
	}
	for _, user := range []string{"u", "v"} {
		messages, err := site.Postfix.Mailbox(user)
		if all := strings.Join(messages, ""); err != nil || strings.Contains(queue, "gone@") || strings.Contains(all, "Return-Path: <gone@") || strings.Contains(all, "Return-Path: <hold@") {
			t.Errorf("%s got what was held or discarded (%v)", user, err)
		}
	}
}

// TestForgedWithoutEnd: fields that only we may write, more than Postfix can remove in time (it goes through the header for each), do not reach anybody.
func TestForgedWithoutEnd(t *testing.T) {
	setPolicy(t, acceptAll)
	if reply := sendMail(t, good, "forger@example.org", strings.Repeat("Gatepost-Id: 0000-0000\n", 10_000)+mail("a@example.org", subject())); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	queue, err := site.Postfix.Queue(t.Context())
	if err != nil || !regexp.MustCompile(`(?m)^[0-9A-F]+! .* forger@example\.org$`).MatchString(queue) {
		t.Errorf("not on hold: %v\n%s", err, queue)
	}
}
