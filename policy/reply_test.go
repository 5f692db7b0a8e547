package policy

import (
	"strings"
	"testing"
)

func TestNewReplyRefuses(t *testing.T) {
	long := strings.Repeat("x", 501) // with "550 5.7.1 " 511 bytes; RFC 5321 4.5.3.1.5 lets 512 be sent with CRLF
	for _, c := range []struct {
		why            string
		code           int
		enhanced, text string
		want           string
	}{
		{"a code that is no refusal", 250, "2.0.0", "ok", "250 is no code to refuse with"},
		{"354", 354, "3.0.0", "go on", "354 is no code to refuse with"},
		{"a code for something else", 530, "5.7.0", "log in", "530 is no code to refuse with"},
		{"a temporary enhanced code behind 5xx", 550, "4.7.1", "no", "enhanced code 4.7.1 contradicts 550; it must begin with 5"},
		{"a final enhanced code behind 4xx", 451, "5.7.1", "no", "enhanced code 5.7.1 contradicts 451; it must begin with 4"},
		{"no enhanced code", 550, "", "no", `"" is no enhanced code; write one such as 5.7.1 behind 550`},
		{"two numbers", 550, "5.7", "no", `"5.7" is no enhanced code`},
		{"four digits (RFC 3463 2)", 550, "5.7.1234", "no", `"5.7.1234" is no enhanced code`},
		{"no text", 550, "5.7.1", "", "the reply has no text"},
		{"blanks", 550, "5.7.1", "   ", "the reply has no text"},
		{"a line break", 550, "5.7.1", "no\r\n250 ok", "at byte 3; write one line of plain ASCII"},
		{"a line feed", 550, "5.7.1", "no\nok", "at byte 3"},
		{"a control character", 550, "5.7.1", "no\x00", "at byte 3"},
		{"a tab", 550, "5.7.1", "a\tb", "at byte 2"},
		{"UTF-8", 550, "5.7.1", "näin", "at byte 2"},
		{"511 bytes", 550, "5.7.1", long, "the reply has 511 bytes; at most 510 fit in one line"},
		{"an open brace", 550, "5.7.1", "from {client.ip", "a brace stands alone at byte 6"},
		{"a closing brace", 550, "5.7.1", "from client.ip}", "a brace stands alone at byte 15"},
		{"nothing in braces", 550, "5.7.1", "from {}", "{} is no placeholder"},
		{"braces in braces", 550, "5.7.1", "from {{client.ip}}", "{{client.ip} is no placeholder"},
		{"an expression in braces", 550, "5.7.1", "{client.ip + 1}", "{client.ip + 1} is no placeholder"},
	} {
		if _, err := NewReply(c.code, c.enhanced, c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.why, err, c.want)
		}
	}
	if _, err := NewReply(550, "5.7.1", long[1:]); err != nil {
		t.Errorf("510 bytes: %v", err)
	}
}

func TestParseReply(t *testing.T) {
	for _, bad := range []string{"", "554", "554 5.7.1", "554 5.7.1 ", "no", "5.7.1 554 no", "0554 5.7.1 no", "+55 5.7.1 no", "554  5.7.1 no", "554-5.7.1 no text"} {
		if r, err := ParseReply(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, r)
		}
	}
	r, err := ParseReply("451 4.7.1 Come  again, {client.ip}")
	if err != nil || r.Code != 451 || r.Enhanced != "4.7.1" || r.Text() != "Come  again, {client.ip}" || !r.Temporary() {
		t.Errorf("%+v %v", r, err)
	}
	if r, _ := ParseReply("550 5.7.1 no"); r.Temporary() {
		t.Error("a 550 is temporary")
	}
}

// TestFill: what a sender wrote changes nothing but the place where it stands.
func TestFill(t *testing.T) {
	e := compile(t, source()).NewEvidence()
	publish(e, Connect, facts{"client.ip": "192.0.2.1", "helo.name": "", "client.trusted": true, "rcpt.count": 3})
	e.Publish("dkim.domains", StringsOf([]string{"a.example", "b.example"}), Data)
	for _, c := range []struct{ why, text, id, footer, want string }{
		{"no placeholder", "No", "", "", "No"},
		{"a value", "No {client.ip}, no", "", "", "No 192.0.2.1, no"},
		{"an empty value", "No {helo.name}.", "", "", "No -."},
		{"a fact that is not known", "No {dmarc.result}.", "", "", "No -."},
		{"no text but a value", "{client.ip}", "", "", "192.0.2.1"},
		{"values of all types", "{client.trusted} {rcpt.count} {dkim.domains}", "", "", "true 3 a.example, b.example"},
		{"an id", "No", "7K3Q-9MXA", "", "No (id 7K3Q-9MXA)"},
		{"the id in the text too", "No: {id}", "7K3Q-9MXA", "", "No: 7K3Q-9MXA (id 7K3Q-9MXA)"},
		{"a footer", "No", "7K3Q-9MXA", "help: https://example.net/mail/{id}", "No (id 7K3Q-9MXA) help: https://example.net/mail/7K3Q-9MXA"},
		{"a footer that is no ASCII", "No", "", "hélp\r\n250 ok", "No h?lp??250 ok"},
	} {
		r, err := NewReply(550, "5.7.1", c.text)
		if err != nil {
			t.Fatalf("%s: %v", c.why, err)
		}
		if got := r.Fill(e, c.id, c.footer); got != c.want {
			t.Errorf("%s: got %q, want %q", c.why, got, c.want)
		}
	}
}

// checkLine demands of a filled reply what RFC 5321 4.2.1 and 4.5.3.1.5 ask of a line, and that the id can still be read.
func checkLine(t *testing.T, r Reply, e *Evidence, footer string) {
	t.Helper()
	got := r.Fill(e, "7K3Q-9MXA", footer)
	if n := len("550 " + r.Enhanced + " " + got + "\r\n"); n > 512 {
		t.Errorf("a line of %d bytes", n)
	}
	if i := strings.IndexFunc(got, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		t.Errorf("%q at byte %d of %q", got[i], i, got)
	}
	if !strings.Contains(got, "(id 7K3Q-9MXA)") {
		t.Errorf("the id is lost: %q", got)
	}
}

func TestFillHostile(t *testing.T) {
	r, err := ParseReply("550 5.700.100 From {sender.address} by {helo.name} " + strings.Repeat("and {sender.domain} ", 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{
		"\r\n250 ok", "\r", "\n.\r\n", "\x00\x01\x7f", "é\u2028\u202e漢字", "\xff\xfe", "{id}", "%s%n%%", strings.Repeat("x", 10_000),
		strings.Repeat("漢", 10_000), strings.Repeat("\r\n", 10_000),
	} {
		e := compile(t, source()).NewEvidence()
		publish(e, Mail, facts{"sender.address": value, "helo.name": value, "sender.domain": value})
		for _, footer := range []string{"", value, strings.Repeat("{id}", 500)} {
			checkLine(t, r, e, footer)
		}
	}
}

func FuzzFill(f *testing.F) {
	f.Add("No {sender.address}", "a\r\nb", "help {id}")
	f.Add("{client.ip}{client.ip}", "{client.ip}", "")
	p := compile(f, source())
	f.Fuzz(func(t *testing.T, text, value, footer string) {
		r, err := NewReply(550, "5.7.1", text)
		if err != nil {
			return
		}
		if r.Text() != text {
			t.Errorf("%q became %q", text, r.Text())
		}
		e := p.NewEvidence()
		publish(e, Mail, facts{"sender.address": value, "client.ip": value})
		checkLine(t, r, e, footer)
	})
}

// TestTagValues: a field that a rule adds is one line of printable ASCII too.
func TestTagValues(t *testing.T) {
	s := Source{Rules: []RuleSource{{Name: "t", When: "true", Action: "tag", Header: []HeaderText{{"X-From", "{sender.address} {id}"}, {"X-Two", "{helo.name}"}}}}}
	p := compile(t, s)
	e, w := p.NewEvidence(), p.NewWalk()
	publish(e, Mail, facts{"sender.address": "a\r\nBcc: é@example.org"})
	w.Step(e, Mail)
	got := w.Tags(e, "7K3Q-9MXA")
	want := []Field{{"X-From", "a??Bcc: ?@example.org 7K3Q-9MXA", "t"}, {"X-Two", "-", "t"}}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if names := p.Headers(); len(names) != 2 || names[0] != "X-From" {
		t.Errorf("the policy adds %v", names)
	}
}
