package postfix

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"
)

// TestAuthentication sends real mails and reads what their recipients get: the Authentication-Results at the very top, above Postfix's
// own Received, and what became of the message under the shipped rules.
func TestAuthentication(t *testing.T) {
	setPolicy(t, shipped(t, "#networks = [\"127.0.0.0/8\", \"::1\"]", "networks = []"))
	signed := func(domain string) func(*testing.T, string) string {
		return func(t *testing.T, m string) string { return sign(t, m, domain, nil) }
	}
	for _, c := range []struct {
		name   string
		client string // default: good
		sender string
		from   string
		make   func(*testing.T, string) string // what happens to the message before it is sent
		reply  string                          // default: accepted
		has    []string                        // in Authentication-Results, or in the header
		not    string
	}{
		{name: "SPF pass, DKIM pass", sender: "a@example.org", from: "a@example.org", make: signed("example.org"),
			has: []string{"spf=pass smtp.mailfrom=example.org;", "dkim=pass header.d=example.org header.s=s header.a=ed25519-sha256 header.b=", "dmarc=pass header.from=example.org policy.dmarc=reject", "iprev=pass policy.iprev=192.0.2.1;"}, not: "X-Spam-Flag"},
		{name: "body changed", sender: "a@none.example", from: "a@none.example",
			make: func(t *testing.T, m string) string { return sign(t, m, "none.example", nil) + "one more line\n" },
			has:  []string{"dkim=fail header.d=none.example", "dmarc=pass"}},
		{name: "header changed", sender: "a@none.example", from: "a@none.example",
			make: func(t *testing.T, m string) string {
				return strings.Replace(sign(t, m, "none.example", nil), "To: u@example.net", "To: v@example.net", 1)
			}, has: []string{"dkim=fail header.d=none.example"}},
		{name: "two signatures", sender: "a@example.org", from: "a@example.org",
			make: func(t *testing.T, m string) string {
				return sign(t, sign(t, m, "example.org", nil), "none.example", nil)
			}, has: []string{"dkim=pass header.d=none.example", "dkim=pass header.d=example.org"}},
		{name: "expired signature", sender: "a@none.example", from: "a@none.example",
			make: func(t *testing.T, m string) string {
				return signThen(m, "none.example", time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
			}, has: []string{"dkim=policy header.d=none.example"}},
		{name: "key missing", sender: "a@none.example", from: "a@none.example",
			make: func(t *testing.T, m string) string {
				return sign(t, m, "none.example", func(o *dkim.SignOptions) { o.Selector = "missing" })
			}, has: []string{"dkim=permerror header.d=none.example header.s=missing"}},
		{name: "DNS silent for p=reject: 451", sender: "a@silent.example", from: "a@silent.example", reply: "451 4.7.5 DNS does not answer for silent.example; try again later (id "},
		{name: "DNS silent for the key of a p=reject author: 451, for anybody can name such a key", client: bad, sender: "a@nospf.example", from: "a@silent.example",
			make: signed("silent.example"), reply: "451 4.7.5 DNS does not answer for silent.example; try again later (id "},
		{name: "SPF temperror, no DMARC", client: bad, sender: "a@silent.example", from: "a@nospf.example",
			has: []string{"spf=temperror smtp.mailfrom=silent.example", "dmarc=none header.from=nospf.example"}, not: "X-Spam-Flag"},
		{name: "SPF neutral", client: bad, sender: "a@neutral.example", from: "a@neutral.example", has: []string{"spf=neutral smtp.mailfrom=neutral.example"}, not: "X-Spam-Flag"},
		{name: "an RSA signature", sender: "a@none.example", from: "a@none.example",
			make: func(t *testing.T, m string) string { return sign(t, m, "none.example", withRSA) },
			has:  []string{"dkim=pass header.d=none.example header.s=rsa header.a=rsa-sha256 header.b="}},
		{name: "a good signature below a broken one", client: bad, sender: "a@nospf.example", from: "a@example.org",
			make: func(t *testing.T, m string) string {
				inner := sign(t, m, "example.org", func(o *dkim.SignOptions) { o.HeaderKeys = []string{"From", "Date"} })
				outer := sign(t, inner, "none.example", func(o *dkim.SignOptions) { o.HeaderKeys = []string{"From", "Subject", "X-Gone"} })
				return strings.Replace(outer, "\nFrom:", "\nX-Gone: added on the way\nFrom:", 1)
			}, has: []string{"dkim=fail header.d=none.example", "dkim=pass header.d=example.org", "dmarc=pass header.from=example.org"}, not: "X-Spam-Flag"},
		{name: "DMARC by DKIM although SPF fails", client: bad, sender: "a@none.example", from: "a@example.org", make: signed("example.org"),
			has: []string{"spf=fail smtp.mailfrom=none.example", "dmarc=pass header.from=example.org"}, not: "X-Spam-Flag"},
		{name: "two authors in one From field: refused", sender: "a@example.org", from: "a@example.org, b@none.example", reply: "550 5.6.0 More than one From: domain, or a From: field that can be read in two ways (id "},
		{name: "no From field: an observed rule says what it would do", sender: "a@example.org", from: "a@example.org",
			make: func(t *testing.T, m string) string { return m[strings.Index(m, "To:"):] },
			has:  []string{"X-Gatepost-Would: 550 at data by no-from"}, not: "header.from"},
		{name: "SPF fail, no DMARC: Junk", client: bad, sender: "a@nodmarc.example", from: "a@nodmarc.example",
			has: []string{"spf=fail smtp.mailfrom=nodmarc.example", "dmarc=none header.from=nodmarc.example", "X-Spam-Flag: YES"}},
		{name: "SPF softfail", client: bad, sender: "a@soft.example", from: "a@soft.example", has: []string{"spf=softfail smtp.mailfrom=soft.example"}, not: "X-Spam-Flag"},
		{name: "SPF none", client: bad, sender: "a@nospf.example", from: "a@nospf.example", has: []string{"spf=none smtp.mailfrom=nospf.example"}, not: "X-Spam-Flag"},
		{name: "SPF permerror", client: bad, sender: "a@permerror.example", from: "a@permerror.example", has: []string{"spf=permerror smtp.mailfrom=permerror.example"}, not: "X-Spam-Flag"},
		{name: "null sender: SPF of HELO only", sender: "", from: "mailer-daemon@nospf.example", has: []string{"spf=none smtp.helo=mail.example.org"}, not: "smtp.mailfrom"},
		{name: "DMARC by SPF only", sender: "a@example.org", from: "a@example.org", has: []string{"dkim=none;", "dmarc=pass header.from=example.org"}},
		{name: "DMARC by DKIM only", client: bad, sender: "a@nospf.example", from: "a@example.org", make: signed("example.org"), has: []string{"spf=none", "dmarc=pass header.from=example.org"}, not: "X-Spam-Flag"},
		{name: "DMARC fail, p=none", client: bad, sender: "a@nospf.example", from: "a@none.example", has: []string{"dmarc=fail header.from=none.example policy.dmarc=none"}, not: "X-Spam-Flag"},
		{name: "DMARC fail, p=quarantine: Junk", client: bad, sender: "a@nospf.example", from: "a@quarantine.example", has: []string{"dmarc=fail header.from=quarantine.example policy.dmarc=quarantine", "X-Spam-Flag: YES"}},
		{name: "DMARC fail, p=reject, no signature: refused", client: bad, sender: "a@nospf.example", from: "a@example.org", reply: "550 5.7.1 Email rejected per DMARC policy for example.org (id "},
		{name: "DMARC fail, p=reject, a signature broken on the way: Junk", client: bad, sender: "a@nospf.example", from: "a@example.org",
			make: func(t *testing.T, m string) string { return sign(t, m, "example.org", nil) + "footer\n" },
			has:  []string{"dmarc=fail header.from=example.org policy.dmarc=reject", "X-Spam-Flag: YES"}},
		{name: "subdomain policy: sp=reject", client: bad, sender: "a@nospf.example", from: "a@mail.sub.example", reply: "550 5.7.1 Email rejected per DMARC policy for mail.sub.example"},
		{name: "strict alignment: a subdomain's signature does not count", client: bad, sender: "a@nospf.example", from: "a@strict.example", make: signed("example.org"),
			has: []string{"dkim=pass header.d=example.org", "dmarc=fail header.from=strict.example", "X-Spam-Flag: YES"}},
		{name: "two From fields: refused", sender: "a@example.org", from: "a@example.org",
			make: func(t *testing.T, m string) string { return "From: b@none.example\n" + m }, reply: "550 5.6.0 More than one From: domain, or a From: field that can be read in two ways (id "},
		{name: "over IPv6", client: "ADDR=IPv6:2001:db8::1 NAME=six.example.org", sender: "a@example.org", from: "a@example.org",
			has: []string{`iprev=pass policy.iprev="2001:db8::1";`, "spf=pass smtp.mailfrom=example.org"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.client == "" {
				c.client = good
			}
			s := subject()
			text := mail(c.from, s)
			if c.make != nil {
				text = c.make(t, text)
			}
			reply := sendMail(t, c.client, c.sender, text)
			if c.reply != "" {
				if !strings.HasPrefix(reply, c.reply) {
					t.Fatalf("reply %q, want %q", reply, c.reply)
				}
				return
			}
			if !strings.HasPrefix(reply, "250") {
				t.Fatalf("reply %q", reply)
			}
			header := delivered(t, "u", s)
			if top := strings.Index(header, "Authentication-Results: mx.example.net;"); top < 0 || top > strings.Index(header, "\nReceived: ") {
				t.Errorf("no Authentication-Results of ours above Received:\n%s", header)
			}
			if !strings.Contains(header, "\nGatepost-Id: ") {
				t.Errorf("no Gatepost-Id:\n%s", header)
			}
			for _, part := range c.has {
				if !strings.Contains(header, part) {
					t.Errorf("there is no %q in\n%s", part, header)
				}
			}
			if c.not != "" && strings.Contains(header, c.not) {
				t.Errorf("there is %q in\n%s", c.not, header)
			}
		})
	}
}

// withRSA makes the selector rsa sign.
func withRSA(o *dkim.SignOptions) { o.Selector, o.Signer = "rsa", senders.RSA }

// TestSimpleCanonicalization: a simple/simple signature holds over fields folded and spaced in odd ways, because nothing between the wire
// and the hash changes a byte; and it does not hold where one blank of them is another.
func TestSimpleCanonicalization(t *testing.T) {
	setPolicy(t, acceptAll)
	simple := func(o *dkim.SignOptions) {
		o.HeaderCanonicalization, o.BodyCanonicalization = dkim.CanonicalizationSimple, dkim.CanonicalizationSimple
	}
	odd := func(subject string) string {
		return "From:a@example.org\nX-Odd:\n  value on the next line\nX-Empty:\nX-Tabs:\t\ttabs\t \nto:   u@example.net  \nSubject: " + subject +
			"\nDate: Tue, 24 Nov 2026 12:00:00 +0000\n\n  blanks  \n\n\nlines, then empty ones\n\n\n"
	}
	for name, c := range map[string]struct{ old, new, result string }{
		"as signed":               {"", "", "dkim=pass"},
		"one blank is a tab":      {"\n  value", "\n\t value", "dkim=fail"},
		"a blank in the body":     {"  blanks  ", "  blanks ", "dkim=fail"},
		"a name in other letters": {"\nto:", "\nTo:", "dkim=fail"},
	} {
		s := subject()
		text := sign(t, odd(s), "example.org", simple)
		if c.old != "" {
			text = strings.Replace(text, c.old, c.new, 1)
		}
		if reply := sendMail(t, good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
			t.Fatalf("%s: %q", name, reply)
		}
		if header := delivered(t, "u", s); !strings.Contains(header, c.result+" header.d=example.org") {
			t.Errorf("%s: no %s in\n%s", name, c.result, header)
		}
	}
}

// signThen signs a message whose body is "hello" as of a moment in the past, which the library cannot: relaxed/relaxed by hand, over From
// and Subject (RFC 6376 3.7).
func signThen(text, domain string, at, expires time.Time) string {
	body := sha256.Sum256([]byte("hello\r\n"))
	field := fmt.Sprintf("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=%s; s=s; t=%d; x=%d; h=From:Subject; bh=%s; b=",
		domain, at.Unix(), expires.Unix(), base64.StdEncoding.EncodeToString(body[:]))
	value := func(name string) string {
		_, rest, _ := strings.Cut(text, name+": ")
		line, _, _ := strings.Cut(rest, "\n")
		return line
	}
	header := sha256.Sum256([]byte("from:" + value("From") + "\r\nsubject:" + value("Subject") + "\r\ndkim-signature:" + field))
	return "DKIM-Signature: " + field + base64.StdEncoding.EncodeToString(ed25519.Sign(senders.Key, header[:])) + "\n" + text
}

// sendMail sends one message to u and gives the reply that ended it.
func sendMail(t *testing.T, client, sender, text string) string {
	t.Helper()
	c := dial(t, site.Postfix.SMTP, client)
	reply, err := c.Mail(sender, "u@example.net", text)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// TestForgedResults: fields under our own name are removed, whatever their disguise and wherever they stand; others stay byte for byte.
func TestForgedResults(t *testing.T) {
	setPolicy(t, "mode = \"enforce\"\n[trust]\nnetworks = []\n")
	s := subject()
	foreign := "Authentication-Results: other.example;\n  spf=pass   smtp.mailfrom=example.org; (mx.example.net says so)"
	text := "Authentication-Results: mx.example.net; dmarc=pass header.from=forged1.example\n" + foreign + "\n" +
		"authentication-results:   MX.EXAMPLE.NET 1 ;\n\tdkim=pass header.d=forged2.example\n" +
		"Authentication-Results: (x) \"mx.example.net\"; arc=pass header.d=forged3.example\n" +
		"Gatepost-Id: 0000-0000\n" + mail("a@example.org", s) // the body follows below all
	if reply := sendMail(t, good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	message, err := site.Postfix.Delivered("u", "Subject: "+s+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(message, "forged") || strings.Contains(message, "0000-0000") {
		t.Errorf("a forged field is there:\n%s", message)
	}
	if !strings.Contains(message, foreign+"\n") {
		t.Errorf("a foreign field was changed:\n%s", message)
	}
	if n := strings.Count(message, "Authentication-Results: mx.example.net;"); n != 1 {
		t.Errorf("%d fields of ours:\n%s", n, message)
	}
}
