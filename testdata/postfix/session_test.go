package postfix

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"os"
)

const acceptAll = AcceptAll

// TestManyMessages: ten messages over one connection with RSETs between; each is judged by itself.
func TestManyMessages(t *testing.T) {
	setPolicy(t, acceptAll+"[[rule]]\nname = \"odd\"\nwhen = 'sender.local == \"odd\"'\nreply = \"550 5.7.1 odd\"\n")
	c := dial(t, site.Postfix.SMTP, good)
	for i := range 10 {
		want(t, c, "MAIL FROM:<odd@example.org>", "250")
		if i%2 == 0 {
			want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 odd (id ")
		}
		want(t, c, "RSET", "250")
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("message %d: %q, %v", i, got, err)
		}
		if header := delivered(t, "u", s); strings.Count(header, "Gatepost-Id: ") != 1 || !strings.Contains(header, "spf=pass") {
			t.Errorf("message %d:\n%s", i, header)
		}
	}
}

// TestMessagesApart: what was found in one message is not there in the next, whatever came between: a refusal, RSET, another greeting,
// another sender, a message without what the last one had.
func TestMessagesApart(t *testing.T) {
	setPolicy(t, acceptAll+`[[rule]]
name = "mine"
when = 'rcpt.local == "v"'
reply = "550 5.7.1 not v"
[[rule]]
name = "marked"
when = 'header("X-Mark").exists(v, v == "1")'
action = "tag"
header = { "X-Spam-Flag" = "YES" }
`)
	c := dial(t, site.Postfix.SMTP, good)
	for i, m := range []struct {
		sender, from string
		signed       bool
		above        string
		between      string
		has, not     string
	}{
		{"a@example.org", "a@example.org", true, "X-Mark: 1\n", "RSET", "dkim=pass header.d=example.org", "none.example"},
		{"b@none.example", "b@none.example", false, "", "EHLO mail.example.org", "dmarc=pass header.from=none.example", "example.org header.s"},
		{"", "c@nospf.example", false, "X-Mark: 2\n", "NOOP", "spf=none smtp.helo=mail.example.org; dkim=none;", "smtp.mailfrom"},
		{"d@quarantine.example", "d@none.example", true, "X-Mark: 1\n", "VRFY u", "spf=pass smtp.mailfrom=quarantine.example", "nospf.example"},
		{"e@nospf.example", "e@nospf.example", false, "", "RSET", "spf=none smtp.mailfrom=nospf.example", "none.example policy"},
	} {
		want(t, c, "MAIL FROM:<refused@example.org>", "250")
		want(t, c, "RCPT TO:<v@example.net>", "550 5.7.1 not v (id ")
		want(t, c, "RSET", "250")
		want(t, c, "MAIL FROM:<"+m.sender+">", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		text := m.above + mail(m.from, s)
		if m.signed {
			text = sign(t, text, m.from[strings.Index(m.from, "@")+1:], nil)
		}
		if got, err := c.Message(text); err != nil || !strings.HasPrefix(got, "250") {
			t.Fatalf("message %d: %q, %v", i, got, err)
		}
		header := delivered(t, "u", s)
		marked := m.above == "X-Mark: 1\n"
		if !strings.Contains(header, m.has) || strings.Contains(header, m.not) || strings.Contains(header, "X-Spam-Flag") != marked {
			t.Errorf("message %d: %q, not %q, marked: %v\n%s", i, m.has, m.not, marked, header)
		}
		want(t, c, m.between, "25")
	}
}

// TestLargeMessage: 20 MB arrive whole, and the signature over them holds.
func TestLargeMessage(t *testing.T) {
	setPolicy(t, acceptAll)
	s := subject()
	text := sign(t, mail("a@example.org", s)+strings.Repeat(strings.Repeat("x", 76)+"\n", 20<<20/77), "example.org", nil)
	if reply := sendMail(t, good, "a@example.org", text); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); !strings.Contains(header, "dkim=pass header.d=example.org") {
		t.Errorf("the signature does not hold:\n%s", header)
	}
}

// TestPipelining: several commands in one write.
func TestPipelining(t *testing.T) {
	setPolicy(t, rule(conditions["rcpt"], "450 4.7.1 later", ""))
	c := dial(t, site.Postfix.SMTP, good)
	if err := c.Say("MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.net>\r\nRCPT TO:<v@example.net>\r\nRSET\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"250", "450 4.7.1 later (id ", "250", "250"} {
		if got, err := c.Read(); err != nil || !strings.HasPrefix(got, reply) {
			t.Fatalf("%q, %v; want %q", got, err, reply)
		}
	}
}

// TestStartTLS: the second greeting counts, and what is known of encryption is there for every message.
func TestStartTLS(t *testing.T) {
	setPolicy(t, rule(`tls.version == "" || tls.bits < 128 || helo.name == "first.example"`, "550 5.7.30 no", ""))
	c, err := Dial(site.Postfix.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "EHLO first.example", "250")
	if got, err := c.StartTLS("second.example"); err != nil || !strings.HasPrefix(got, "250") {
		t.Fatalf("STARTTLS: %q, %v", got, err)
	}
	for range 2 {
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		want(t, c, "RSET", "250")
	}
	plain := dial(t, site.Postfix.SMTP, good)
	want(t, plain, "MAIL FROM:<a@example.org>", "250")
	want(t, plain, "RCPT TO:<u@example.net>", "550 5.7.30 no (id ")
}

// TestSMTPUTF8: the reply to a sender in other letters is clean ASCII.
func TestSMTPUTF8(t *testing.T) {
	setPolicy(t, rule(`sender.domain == "xn--exmple-cua.example"`, "550 5.7.1 no mail from {sender.address} of {sender.domain}", ""))
	c := dial(t, site.Postfix.SMTP, good)
	want(t, c, "MAIL FROM:<jos\xc3\xa9@ex\xc3\xa4mple.example> SMTPUTF8", "250")
	want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 no mail from jos?@xn--exmple-cua.example of xn--exmple-cua.example (id ")
}

// TestRoles: by the port that the client came to, and by the login.
func TestRoles(t *testing.T) {
	setPolicy(t, `mode = "enforce"
[trust]
networks = []
[server]
submission = [587]
[[rule]]
name = "users"
when = 'server.role == "submission" && auth.user == "anna"'
action = "accept"
[[rule]]
name = "strangers"
when = 'server.role == "submission"'
reply = "550 5.7.1 submission"
[[rule]]
name = "mx"
when = 'server.role == "mx"'
reply = "550 5.7.1 mx"
`)
	for _, c := range []struct{ attributes, reply string }{
		{"DESTPORT=587 ADDR=198.51.100.7 LOGIN=anna", "250"},
		{"DESTPORT=587 ADDR=198.51.100.7", "550 5.7.1 submission (id "},
		{"DESTPORT=25 ADDR=198.51.100.7", "550 5.7.1 mx (id "},
		{"DESTPORT=25 ADDR=198.51.100.7 LOGIN=anna", "550 5.7.1 mx (id "},
	} {
		client := dial(t, site.Postfix.SMTP, c.attributes)
		want(t, client, "MAIL FROM:<anna@example.net>", "250")
		want(t, client, "RCPT TO:<u@example.net>", c.reply)
	}
}

// TestRoleByName: a service with -o milter_macro_daemon_name=ORIGINATING takes submissions, whatever its port is.
func TestRoleByName(t *testing.T) {
	setPolicy(t, rule(`server.role == "submission"`, "550 5.7.1 submission", ""))
	for address, reply := range map[string]string{site.Postfix.Submission: "550 5.7.1 submission (id ", site.Postfix.SMTP: "250"} {
		c := dial(t, address, good)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", reply)
	}
}

// TestIPv6Connection: a client that really comes over IPv6.
func TestIPv6Connection(t *testing.T) {
	if site.Postfix.SMTP6 == "" {
		if os.Getenv("GATEPOST_CI") != "" {
			t.Fatal("this machine has no ::1, and in CI nothing may be left out")
		}
		t.Skip("this machine has no ::1")
	}
	setPolicy(t, rule(`client.ip == "::1"`, "550 5.7.1 {client.ip} in {client.network}", ""))
	c, err := Dial(site.Postfix.SMTP6)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "EHLO mail.example.org", "250")
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 ::1 in ::/56 (id ")
}

// TestUnixSocket: Postfix finds the daemon at a unix socket as well.
func TestUnixSocket(t *testing.T) {
	setPolicy(t, rule(conditions["mail"], "550 5.7.1 heard", ""))
	// The group of the socket is that of Postfix, as the folder's set-group-ID bit makes it in an installation. Later tests want it as it was.
	socket := strings.TrimPrefix(site.UnixSocket(), "unix:")
	if out, err := exec.Command("chgrp", "postfix", socket).CombinedOutput(); err != nil {
		t.Fatalf("chgrp: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := os.Chown(socket, -1, os.Getgid()); err != nil {
			t.Error(err)
		}
	})
	other, err := Start(context.Background(), site.UnixSocket(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Stop()
	c := dial(t, other.SMTP, good)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "550 5.7.1 heard (id ")
}

// TestReloadRefusesABadPolicy: the old one stays, and the log names the mistake.
func TestReloadRefusesABadPolicy(t *testing.T) {
	setPolicy(t, rule(conditions["connect"], "554 5.7.1 old", ""))
	err := site.SetPolicy(rule(`client.ipp == ""`, "554 5.7.1 new", ""))
	if err == nil || !strings.Contains(err.Error(), `unknown fact \"client.ipp\" (did you mean client.ip?)`) {
		t.Errorf("the mistake is not named: %v", err)
	}
	c := dial(t, site.Postfix.SMTP, bad)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 old (id ")
}

// TestObserve: nothing is refused, the message says what would have been, and Postfix is not made to wait before its end.
func TestObserve(t *testing.T) {
	setPolicy(t, strings.Replace(rule(conditions["connect"], "554 5.7.1 no", ""), `"enforce"`, `"observe"`, 1))
	s := subject()
	if reply := sendMail(t, bad, "a@example.org", mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); !strings.Contains(header, "\nX-Gatepost-Would: 554 at rcpt by r\n") {
		t.Errorf("the message does not say what would have been:\n%s", header)
	}
}

// TestLocalMail: mail of local programs, by the pseudo session of non_smtpd_milters, is never refused.
func TestLocalMail(t *testing.T) {
	other, err := StartSite(context.Background(), binary, "", "mode = \"enforce\"\n[[rule]]\nname = \"all\"\nwhen = 'true'\nreply = \"550 5.7.1 no\"\n", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.Postfix.Stop()
	if other.Postfix, err = Start(context.Background(), "inet:"+other.milter, map[string]string{"non_smtpd_milters": "$smtpd_milters"}); err != nil {
		t.Fatal(err)
	}
	s := subject()
	if err := other.Postfix.Sendmail(context.Background(), "root@example.net", "root@example.net", mail("root@example.net", s)); err != nil {
		t.Fatal(err)
	}
	message, err := other.Postfix.Delivered("root", "Subject: "+s+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(message, "X-Spam-Flag: YES\n") || strings.Contains(message, "Authentication-Results") {
		t.Errorf("tagged, and without results of ours, it should be:\n%s", message)
	}
}

// TestDaemonStops: in mid-session Postfix does what milter_default_action says; once the daemon is back all is as before.
func TestDaemonStops(t *testing.T) {
	other, err := StartSite(context.Background(), binary, "", rule(conditions["connect"], "554 5.7.1 no", ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := dial(t, other.Postfix.SMTP, good)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	// Its end, because Postfix tells the daemon of an RSET only with the next command.
	if got, err := c.Message(mail("a@example.org", subject())); err != nil || !strings.HasPrefix(got, "250") {
		t.Fatalf("%q, %v", got, err)
	}
	if err := other.StopDaemon(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	// Postfix notices where it waits for an answer, which with this policy is RCPT.
	want(t, c, "MAIL FROM:<a@example.org>", "")
	want(t, c, "RCPT TO:<u@example.net>", "451 4.7.1")
	if err := other.StartDaemon(binary); err != nil {
		t.Fatal(err)
	}
	again := dial(t, other.Postfix.SMTP, good)
	want(t, again, "MAIL FROM:<a@example.org>", "250")
	want(t, again, "RCPT TO:<u@example.net>", "250")
}

// TestStartErrors: an address in use, an unwritable folder, a missing file, a broken policy: each one clear line and no daemon.
func TestStartErrors(t *testing.T) {
	used, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer used.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, policy string
		status       int
		want         string
	}{
		{"address in use", fmt.Sprintf("[listen]\nmilter = [\"inet:%s\"]\n[server]\ndirectory = %q\n", used.Addr(), dir), 2, "inet:" + used.Addr().String()},
		{"folder that cannot be", fmt.Sprintf("[server]\ndirectory = %q\n", filepath.Join(dir, "file")), 2, "server.directory " + filepath.Join(dir, "file")},
		{"no folder for a socket", fmt.Sprintf("[listen]\nmilter = [\"unix:%s/no/socket\"]\n[server]\ndirectory = %q\n", dir, dir), 2, "unix:" + dir + "/no/socket"},
		{"broken policy", "mode = \"sharp\"\n", 1, `policy.toml:1:8: mode: unknown word "sharp"`},
		{"missing file", "", 2, "no such file or directory"},
	} {
		path := filepath.Join(t.TempDir(), "policy.toml")
		if c.policy != "" {
			if err := os.WriteFile(path, []byte(c.policy), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var errs bytes.Buffer
		serve := exec.Command(binary, "serve", "--policy", path)
		serve.Stderr = &errs
		serve.Run()
		if status := serve.ProcessState.ExitCode(); status != c.status || !strings.Contains(errs.String(), c.want) || strings.Count(errs.String(), "\n") != 1 {
			t.Errorf("%s: exit status %d, %q; want %d, one line with %q", c.name, status, errs.String(), c.status, c.want)
		}
	}
}

// TestDecisionLines: one line a decision, with where it was decided and where it was spoken.
func TestDecisionLines(t *testing.T) {
	setPolicy(t, rule(conditions["connect"], "554 5.7.1 no", ""))
	before := len(site.Decisions())
	c := dial(t, site.Postfix.SMTP, bad)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "554")
	_, id, _ := strings.Cut(c.Last, "(id ")
	id = strings.TrimSuffix(id, ")")
	lines := site.Decisions()[before:]
	if len(lines) != 1 {
		t.Fatalf("%d lines: %v", len(lines), lines)
	}
	for key, value := range map[string]string{
		"id": id, "action": "554", "rule": "r", "decided": "connect", "spoken": "rcpt", "client": "198.51.100.1", "sender": "a@example.org", "recipients": "u@example.net",
	} {
		if lines[0][key] != value {
			t.Errorf("%s is %v, want %s", key, lines[0][key], value)
		}
	}
}
