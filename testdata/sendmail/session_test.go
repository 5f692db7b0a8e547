package sendmail

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter"
	"gatepost.example/testdata/postfix"
)

// TestManyMessages: ten messages over one connection, with refusals and RSETs between; each is judged by itself, under its own queue id.
func TestManyMessages(t *testing.T) {
	setPolicy(t, acceptAll+`[[rule]]
name = "odd"
when = 'sender.local == "odd"'
reply = "451 4.7.1 odd"
[[rule]]
name = "marked"
when = 'header("X-Mark").exists(v, v == "1")'
action = "tag"
header = { "X-Spam-Flag" = "YES" }
`)
	c := dial(t, Good)
	before := len(site.Decisions())
	for i := range 10 {
		want(t, c, "MAIL FROM:<odd@example.org>", "250")
		if i%2 == 0 {
			want(t, c, "RCPT TO:<u@example.net>", "451 4.7.1 odd (id ")
		}
		if i%3 == 0 {
			want(t, c, "EHLO mail.example.org", "250")
		} else {
			want(t, c, "RSET", "250")
		}
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s, mark := subject(), ""
		if i%2 == 0 {
			mark = "X-Mark: 1\n"
		}
		wantMessage(t, c, mark+postfix.Mail("a@example.org", s), "250")
		header := delivered(t, "u", s)
		if strings.Count(header, "Gatepost-Id: ") != 1 || !strings.Contains(header, "spf=pass") || strings.Contains(header, "X-Spam-Flag") != (mark != "") {
			t.Errorf("message %d:\n%s", i, header)
		}
	}
	queues := map[string]bool{}
	for _, d := range site.Decisions()[before:] {
		queue, _ := d["queue"].(string)
		if d["sender"] == "a@example.org" && (queues[queue] || !strings.Contains(mta.Log(), queue+": from=<a@example.org>")) {
			t.Errorf("%v is not under Sendmail's own queue id", d)
		}
		queues[queue] = true
	}
}

// TestMessagesApart: what was found in one message is not there in the next.
func TestMessagesApart(t *testing.T) {
	setPolicy(t, acceptAll+"[[rule]]\nname = \"mine\"\nwhen = 'rcpt.local == \"v\"'\nreply = \"550 5.7.1 not v\"\n")
	c := dial(t, Good)
	for i, m := range []struct {
		sender, from string
		signed       bool
		between      string
		has, not     string
	}{
		{"a@example.org", "a@example.org", true, "RSET", "dkim=pass header.d=example.org", "none.example"},
		{"b@none.example", "b@none.example", false, "EHLO mail.example.org", "dmarc=pass header.from=none.example", "example.org header.s"},
		{"", "c@nospf.example", false, "NOOP", "spf=none smtp.helo=mail.example.org; dkim=none;", "smtp.mailfrom"},
		{"d@quarantine.example", "d@none.example", true, "VRFY u", "spf=pass smtp.mailfrom=quarantine.example", "nospf.example"},
		{"e@nospf.example", "e@nospf.example", false, "RSET", "spf=none smtp.mailfrom=nospf.example", "none.example policy"},
	} {
		want(t, c, "MAIL FROM:<refused@example.org>", "250")
		want(t, c, "RCPT TO:<v@example.net>", "550 5.7.1 <v@example.net>... not v (id ")
		want(t, c, "RSET", "250")
		want(t, c, "MAIL FROM:<"+m.sender+">", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		s := subject()
		text := postfix.Mail(m.from, s)
		if m.signed {
			text = sign(t, text, m.from[strings.Index(m.from, "@")+1:], nil)
		}
		wantMessage(t, c, text, "250")
		if header := delivered(t, "u", s); !strings.Contains(header, m.has) || strings.Contains(header, m.not) {
			t.Errorf("message %d: %q, not %q\n%s", i, m.has, m.not, header)
		}
		want(t, c, m.between, "25")
	}
}

// TestPipelining: several commands in one write.
func TestPipelining(t *testing.T) {
	setPolicy(t, postfix.Rule(postfix.Conditions()["rcpt"], "452 4.7.1 later", ""))
	c := dial(t, Good)
	if err := c.Say("MAIL FROM:<a@example.org>\r\nRCPT TO:<u@example.net>\r\nRCPT TO:<v@example.net>\r\nRSET\r\n"); err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{"250", "452 4.7.1 later (id ", "250", "250"} {
		if got, err := c.Read(); err != nil || !strings.HasPrefix(got, reply) {
			t.Fatalf("%q, %v; want %q", got, err, reply)
		}
	}
}

// macrosOf gives what a session showed of itself, as gatepost doctor sees it.
func macrosOf(t *testing.T, name string) filter.Probe {
	t.Helper()
	admin := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(filepath.Dir(site.PolicyFile()), "admin.sock"))
	}}}
	response, err := admin.Get("http://gatepost/probe?name=" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var p filter.Probe
	if err := json.NewDecoder(response.Body).Decode(&p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestMacros: what Sendmail tells when it is asked. Nothing of it has to be written into sendmail.mc.
func TestMacros(t *testing.T) {
	setPolicy(t, acceptAll)
	const name = filter.ProbePrefix + "macros"
	c, err := postfix.DialFrom(Good, At(25))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want(t, c, "EHLO first.example.org", "250")
	if reply, err := c.StartTLS(name); err != nil || !strings.HasPrefix(reply, "250") {
		t.Fatalf("STARTTLS: %q, %v", reply, err)
	}
	want(t, c, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+Login+"\x00"+Password)), "235")
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	p := macrosOf(t, name)
	for macro, value := range map[string]string{
		"j": "mx.example.net", "{daemon_name}": "MTA-v4", "{daemon_port}": "25", "{client_addr}": Good, "{client_ptr}": "mail.example.org",
		"{auth_authen}": "anna", "{auth_type}": "PLAIN", "{rcpt_addr}": "u", "{rcpt_mailer}": "local", "{tls_version}": "TLSv1.3",
	} {
		if p.Macros[macro] != value {
			t.Errorf("%s is %q, want %q", macro, p.Macros[macro], value)
		}
	}
	if p.Macros["i"] == "" || p.Macros["{client_port}"] == "" || p.Role != "mx" {
		t.Errorf("role %s, %v", p.Role, p.Macros)
	}
	want(t, c, "RCPT TO:<missing@example.net>", "550 5.1.1")
	for range 100 { // Sendmail waits for no answer of ours to what it refused itself
		if p = macrosOf(t, name); p.Macros["{rcpt_mailer}"] == "error" {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if p.Macros["{rcpt_mailer}"] != "error" || p.Macros["{rcpt_host}"] != "5.1.1" {
		t.Errorf("a recipient that Sendmail refused: %v", p.Macros)
	}
}

// TestStartTLS: the second greeting counts, and what is known of encryption is there for every message.
func TestStartTLS(t *testing.T) {
	setPolicy(t, postfix.Rule(`tls.version == "" || tls.bits < 128 || helo.name == "first.example"`, "550 5.7.30 no", ""))
	c, err := postfix.DialFrom(Good, At(25))
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
	plain := dial(t, Good)
	want(t, plain, "MAIL FROM:<a@example.org>", "250")
	want(t, plain, "RCPT TO:<u@example.net>", "550 5.7.30 <u@example.net>... no (id ")
}

// TestRoles: by the port that the client came to, or by the name in DAEMON_OPTIONS; and by the login.
func TestRoles(t *testing.T) {
	for _, submission := range []string{"587", `"MSA"`} {
		setPolicy(t, `mode = "enforce"
[trust]
networks = []
[server]
submission = [`+submission+`]
[[rule]]
name = "users"
when = 'server.role == "submission" && auth.user == "anna"'
reply = "554 5.7.1 user {auth.user}"
[[rule]]
name = "mx"
when = 'server.role == "mx"'
reply = "554 5.7.1 mx"
`)
		c := dialAt(t, Bad, At(587))
		want(t, c, "MAIL FROM:<anna@example.net>", "530 5.7.0 Authentication required")
		want(t, c, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+Login+"\x00"+Password)), "235")
		want(t, c, "MAIL FROM:<anna@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 user anna (id ")
		c = dial(t, Bad)
		want(t, c, "MAIL FROM:<anna@example.net>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 mx (id ")
	}
}

// TestClients: address and names, over IPv4 and IPv6 (Sendmail writes "IPv6:" in front), with a verified name, with none, with a forged one.
func TestClients(t *testing.T) {
	setPolicy(t, postfix.Rule("true", "554 5.7.1 {client.ip} in {client.network} name {client.name} ptr {client.ptr}", ""))
	for client, text := range map[string]string{
		Good:   "192.0.2.1 in 192.0.2.0/24 name mail.example.org ptr mail.example.org",
		Good6:  "2001:db8::1 in 2001:db8::/56 name six.example.org ptr six.example.org",
		Bad:    "198.51.100.1 in 198.51.100.0/24 name - ptr -",
		Forged: "198.51.100.2 in 198.51.100.0/24 name - ptr forged.example.org",
	} {
		c := dial(t, client)
		want(t, c, "MAIL FROM:<a@example.org>", "250")
		if got, err := c.Do("RCPT TO:<u@example.net>"); err != nil || !strings.HasPrefix(got, "554 5.7.1 "+text+" (id ") {
			t.Errorf("%s: %q, %v; want %q", client, got, err, text)
		}
	}
}

// TestDaemonStops: while Gatepost is away strangers are put off (F=T) and users' mail is taken, in a session under way too; once it is back all is as
// before.
func TestDaemonStops(t *testing.T) {
	setPolicy(t, acceptAll)
	c := dial(t, Good)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	wantMessage(t, c, postfix.Mail("a@example.org", subject()), "250")
	if err := site.StopDaemon(); err != nil {
		t.Fatalf("SIGTERM: %v", err)
	}
	want(t, c, "MAIL FROM:<a@example.org>", "451 4.3.2 Please try again later")
	away := dial(t, Good)
	want(t, away, "MAIL FROM:<a@example.org>", "451 4.3.2 Please try again later")
	user := dialAt(t, Good, At(587))
	want(t, user, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+Login+"\x00"+Password)), "235")
	want(t, user, "MAIL FROM:<anna@example.net>", "250")
	want(t, user, "RCPT TO:<u@example.net>", "250")
	s := subject()
	wantMessage(t, user, postfix.Mail("anna@example.net", s), "250")
	if header := delivered(t, "u", s); strings.Contains(header, "Gatepost-Id") {
		t.Errorf("judged while Gatepost was away:\n%s", header)
	}
	if err := site.StartDaemon(binary); err != nil {
		t.Fatal(err)
	}
	s = subject()
	if reply := send(t, Good, "a@example.org", postfix.Mail("a@example.org", s)); !strings.HasPrefix(reply, "250") {
		t.Fatal(reply)
	}
	if header := delivered(t, "u", s); !strings.Contains(header, "Gatepost-Id") {
		t.Errorf("not judged:\n%s", header)
	}
}

// TestLogs: Sendmail's own line of a refusal names our text, with the id by which gatepost explain finds it.
func TestLogs(t *testing.T) {
	setPolicy(t, postfix.Rule(postfix.Conditions()["connect"], "554 5.7.1 because", ""))
	c := dial(t, Bad)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "554 5.7.1 because (id ")
	_, text, _ := strings.Cut(c.Last, "554 5.7.1 ")
	want(t, c, "QUIT", "221")
	decisions := site.Decisions()
	d := decisions[len(decisions)-1]
	for _, line := range []string{
		fmt.Sprintf("%s: Milter: to=<u@example.net>, reject=554 5.7.1 %s", d["queue"], text),
	} {
		if !strings.Contains(mta.Log(), line) {
			t.Errorf("no %q in\n%s", line, logEnd())
		}
	}
}
