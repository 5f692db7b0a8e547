package postfix

import (
	"strings"
	"testing"
)

// TestEnvelopeAsPostfixReadsIt: Postfix takes more than RFC 5321 allows as an address and tells the milter what the client wrote. Whatever that is, the
// sender is judged whose mail Postfix delivers, and the recipient who gets it.
func TestEnvelopeAsPostfixReadsIt(t *testing.T) {
	setPolicy(t, rule("true", "550 5.7.1 {sender.address} {sender.domain} {spf.result} to {rcpt.address} {rcpt.domain}", ""))
	for _, c := range []struct{ from, to, reply string }{
		{"<a@example.org>", "<u@example.net>", "a@example.org example.org fail to u@example.net example.net"},
		{"a@example.org SIZE=100", "u@example.net", "a@example.org example.org fail to u@example.net example.net"},
		{"<<a@example.org>>", "<<u@example.net>>", "a@example.org example.org fail to u@example.net example.net"},
		{"<a@example.org(x)> BODY=8BITMIME", "<u@example.net(x)> NOTIFY=NEVER ORCPT=rfc822;v@example.net", "a@example.org example.org fail to u@example.net example.net"},
		{"<a@example.org(x@none.example>", "<u@example.net(v@example.net>", "a@example.org example.org fail to u@example.net example.net"},
		{"<@none.example:a@example.org>", "<@example.net:u@example.net>", "a@example.org example.org fail to u@example.net example.net"},
		{`<"a"@example.org>`, `<"u"@example.net>`, "a@example.org example.org fail to u@example.net example.net"},
		{"< a @ example.org >", "< u @ example.net >", "a@example.org example.org fail to u@example.net example.net"},
		{"<a@example.org,>", "<u@example.net,>", "a@example.org example.org fail to u@example.net example.net"},
		{"<a%none.example@example.org>", "<u@example.net>", "a%none.example@example.org example.org fail to u@example.net example.net"},
		{"<root>", "<postmaster>", "root@example.net example.net none to postmaster@example.net example.net"},
		{"<>", "<list@alias.example.net(x)>", "- - none to list@alias.example.net alias.example.net"},
		{"<(x)>", "<u@example.net>", "- - none to u@example.net example.net"},
	} {
		client := dial(t, site.Postfix.SMTP, "ADDR=192.0.2.99")
		want(t, client, "MAIL FROM:"+c.from, "250")
		want(t, client, "RCPT TO:"+c.to, "550 5.7.1 "+c.reply+" (id ")
	}
}

// TestReturnPath: what Postfix writes above a message as its sender is what a rule found.
func TestReturnPath(t *testing.T) {
	setPolicy(t, acceptAll+"[[rule]]\nname = \"sender\"\nwhen = 'true'\naction = \"tag\"\nheader = { \"X-Sender\" = \"<{sender.address}>\" }\n")
	for _, from := range []string{"<a@example.org(x@none.example>", "<@none.example:a@example.org>", "<<a@example.org>>", "<a%none.example@example.net>", "<root>", `<"a b"@example.org>`} {
		c := dial(t, site.Postfix.SMTP, good)
		want(t, c, "MAIL FROM:"+from, "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("%s: %q, %v", from, got, err)
		}
		header := delivered(t, "u", s)
		if path := fieldOf(header, "Return-Path"); path == "" || path != fieldOf(header, "X-Sender") {
			t.Errorf("%s: Postfix delivers mail of %q, and the rule saw %q", from, path, fieldOf(header, "X-Sender"))
		}
	}
}

func fieldOf(header, name string) string {
	for line := range strings.Lines(header) {
		if value, found := strings.CutPrefix(line, name+": "); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestClientWithoutAddress: a front end that does not know its client, and a client whose address Postfix cannot see any more, are served.
func TestClientWithoutAddress(t *testing.T) {
	setPolicy(t, rule("true", "550 5.7.1 [{client.ip}] [{client.name}] {server.role} {spf.result}", ""))
	for _, attributes := range []string{"ADDR=[UNAVAILABLE]", "ADDR=[UNAVAILABLE] NAME=[UNAVAILABLE] PORT=[UNAVAILABLE] DESTADDR=[UNAVAILABLE] DESTPORT=25"} {
		c := dial(t, site.Postfix.SMTP, attributes)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 [-] [-] mx none (id ")
	}
	setPolicy(t, acceptAll)
	s := subject()
	if reply := sendMail(t, "ADDR=[UNAVAILABLE]", "a@example.org", mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); strings.Count(header, "Gatepost-Id: ") != 1 || !strings.Contains(header, "dmarc=fail") {
		t.Errorf("the message has not been judged:\n%s", header)
	}
}

// TestWithoutGreeting: Postfix takes mail of clients that say neither HELO nor EHLO; rules that ask for it do not make those below them wait.
func TestWithoutGreeting(t *testing.T) {
	setPolicy(t, rule(`helo.name == "liar.example" || sender.local == "b"`, "550 5.7.1 [{helo.name}]", ""))
	c, err := Dial(site.Postfix.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "MAIL FROM:<b@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 [-] (id ")
	want(t, c, "RSET", "250")
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	want(t, c, "HELO liar.example", "250")
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 [liar.example] (id ")
}
