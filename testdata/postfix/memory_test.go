package postfix

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// command runs gatepost against the site's daemon and gives what it printed.
func command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, append(args, "--policy", site.PolicyFile())...).CombinedOutput()
	if err != nil {
		t.Fatalf("gatepost %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestClientOverItsRate: a client over its rate gets 421 and is closed; another one is served; a reset from the shell helps at once.
func TestClientOverItsRate(t *testing.T) {
	setPolicy(t, acceptAll+`[[limit]]
name = "few"
count = "messages"
per = ["client.ip"]
rate = "2/1h"
[[rule]]
name = "too-much"
when = 'over.few'
reply = "421 4.7.0 Too many messages from {client.ip}; try again in {over.few.retry}"
`)
	const client = "ADDR=203.0.113.7 NAME=mail.example.org"
	c := dial(t, site.Postfix.SMTP, client)
	for range 2 {
		want(t, c, "MAIL FROM:<a@nospf.example>", "250")
		want(t, c, "RCPT TO:<u@example.net>", "250")
		want(t, c, "RSET", "250")
	}
	want(t, c, "MAIL FROM:<a@nospf.example>", "250")
	// The third message is refused and counts for one all the same, so that room for one more is there when two have drained.
	want(t, c, "RCPT TO:<u@example.net>", "421 4.7.0 Too many messages from 203.0.113.7; try again in 60m (id ")
	if got, err := c.Do("NOOP"); err == nil {
		t.Errorf("the connection is open: %q", got)
	}
	other := dial(t, site.Postfix.SMTP, "ADDR=203.0.113.8 NAME=mail.example.org")
	want(t, other, "MAIL FROM:<a@nospf.example>", "250")
	want(t, other, "RCPT TO:<u@example.net>", "250")
	if out := command(t, "limit", "show", "few"); !strings.Contains(out, "203.0.113.7") || !strings.Contains(out, "over for") {
		t.Errorf("limit show:\n%s", out)
	}
	command(t, "limit", "reset", "few", "203.0.113.7")
	c = dial(t, site.Postfix.SMTP, client)
	want(t, c, "MAIL FROM:<a@nospf.example>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
}

// TestHarvester: who guesses addresses meets 421 in the next session under the shipped rules; with settled memory and a bad record 550.
func TestHarvester(t *testing.T) {
	setPolicy(t, shipped(t, "#networks = [\"127.0.0.0/8\", \"::1\"]", "networks = []", "#settle = \"14d\"", "settle = \"0s\""))
	const client = "ADDR=203.0.113.77 NAME=[UNAVAILABLE]"
	c := dial(t, site.Postfix.SMTP, client)
	want(t, c, "MAIL FROM:<a@nospf.example>", "250")
	for range 40 {
		want(t, c, "RCPT TO:<nobody@example.net>", "550 5.1.1")
	}
	want(t, c, "QUIT", "221")
	second, err := Dial(site.Postfix.SMTP)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	reply, err := second.From(client, "mail.example.org")
	if err == nil && strings.HasPrefix(reply, "250") {
		reply, err = second.Do("MAIL FROM:<a@nospf.example>")
	}
	if err != nil || !strings.HasPrefix(reply, "421") {
		t.Fatalf("the next session: %q, %v, want 421", reply, err)
	}
	for _, key := range []string{"203.0.113.0/24"} {
		command(t, "limit", "reset", "harvest", key)
	}
	if out := command(t, "reputation", "show", "203.0.113.77"); !strings.Contains(out, "bad") {
		t.Fatalf("40 unknown recipients:\n%s", out)
	}
	if reply := sendMail(t, client, "a@nospf.example", mail("a@nospf.example", subject())); !strings.HasPrefix(reply, "550 5.7.1 Refused for the record of 203.0.113.0/24 here; write to postmaster (id ") {
		t.Errorf("a client of bad record: %q", reply)
	}
	command(t, "reputation", "forget", "203.0.113.77")
	command(t, "reputation", "forget", "203.0.113.0/24")
}

// TestUserLimits: 450 for a user over the day's strangers, latched until the shell resets it; 553 for somebody else's address.
func TestUserLimits(t *testing.T) {
	logins := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(logins, []byte("anna@example.net anna\ninfo@example.net anna, bert\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	setPolicy(t, shipped(t, "#networks = [\"127.0.0.0/8\", \"::1\"]", "networks = []", `rate   = "200/1d"`, `rate   = "3/1d"`,
		`#login_maps = ""`, `login_maps = "texthash:`+logins+`"`))
	const anna = "DESTPORT=587 ADDR=198.51.100.7 NAME=[UNAVAILABLE] LOGIN=anna"
	c := dial(t, site.Postfix.SMTP, anna)
	for _, step := range []struct{ command, reply string }{
		{"MAIL FROM:<bert@example.net>", "250"},
		{"RCPT TO:<u@example.net>", "553 5.7.1 Sender address not owned by anna (id "},
		{"RSET", "250"},
		{"MAIL FROM:<INFO@example.net>", "250"},
		{"RCPT TO:<u@example.net>", "250"},
		{"RCPT TO:<v@example.net>", "250"},
		{"RCPT TO:<u1@example.net>", "450 4.7.1 Sending limit of anna reached; call your help desk if this was not you (id "},
		{"RSET", "250"},
		{"MAIL FROM:<>", "250"},
		{"RCPT TO:<u@example.net>", "450 4.7.1 Sending limit of anna reached"},
		{"RSET", "250"},
	} {
		want(t, c, step.command, step.reply)
	}
	if out := command(t, "limit", "show", "user_strangers"); !strings.Contains(out, "over until it is reset") {
		t.Errorf("limit show:\n%s", out)
	}
	if !strings.Contains(site.Log(), "limit tripped; over until it is reset") {
		t.Error("the log does not say that the limit tripped")
	}
	command(t, "limit", "reset", "user_strangers", "anna")
	want(t, c, "MAIL FROM:<anna@example.net>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
}

// TestSenderInDisguise: Postfix takes quotes that need not be, comments and routes off a sender, and so does who may send as it.
func TestSenderInDisguise(t *testing.T) {
	logins := filepath.Join(t.TempDir(), "logins")
	if err := os.WriteFile(logins, []byte("ceo@example.net carla\n@example.net anna\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	setPolicy(t, shipped(t, "#networks = [\"127.0.0.0/8\", \"::1\"]", "networks = []", `#login_maps = ""`, `login_maps = "texthash:`+logins+`"`))
	c := dial(t, site.Postfix.SMTP, "DESTPORT=587 ADDR=198.51.100.7 NAME=[UNAVAILABLE] LOGIN=anna")
	for _, sender := range []string{`"ceo"@example.net`, `"c\eo"@example.net`, "ceo(x)@example.net", "(x)ceo@example.net", "ceo @example.net", "@a.example,@b.example:ceo@example.net", "ceo@example.net(x)", "CEO@example.net."} {
		want(t, c, "MAIL FROM:<"+sender+">", "250")
		want(t, c, "RCPT TO:<u@example.net>", "553 5.7.1 Sender address not owned by anna (id ")
		want(t, c, "RSET", "250")
	}
	want(t, c, `MAIL FROM:<"anna"@example.net>`, "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
}

// TestCorrespondent: whoever our users write to is let through a limit that holds for strangers.
func TestCorrespondent(t *testing.T) {
	setPolicy(t, acceptAll+`[[limit]]
name = "few"
count = "messages"
per = ["client.ip"]
rate = "1/1h"
[[rule]]
name = "too-much"
when = 'auth.user == "" && over.few && !sender.correspondent'
reply = "450 4.7.0 Too many"
`)
	c := dial(t, site.Postfix.SMTP, "DESTPORT=587 ADDR=198.51.100.7 NAME=[UNAVAILABLE] LOGIN=carla")
	want(t, c, "MAIL FROM:<carla@example.net>", "250")
	want(t, c, "RCPT TO:<u77@example.net>", "250")
	if got, err := c.Message(mail("carla@example.net", subject())); err != nil || !strings.HasPrefix(got, "250") {
		t.Fatalf("%q, %v", got, err)
	}
	c = dial(t, site.Postfix.SMTP, "ADDR=203.0.113.9 NAME=mail.example.org")
	for _, step := range []struct{ sender, reply string }{
		{"stranger@nospf.example", "250"}, {"stranger@nospf.example", "450 4.7.0 Too many"}, {"u77@example.net", "250"}, {"stranger@nospf.example", "450"},
	} {
		want(t, c, "MAIL FROM:<"+step.sender+">", "250")
		want(t, c, "RCPT TO:<u@example.net>", step.reply)
		want(t, c, "RSET", "250")
	}
}

// TestGreylisted: put off once with the time to wait, then taken, also from another machine where SPF says that it is the same sender.
func TestGreylisted(t *testing.T) {
	setPolicy(t, strings.Replace(acceptAll, "[trust]", "[greylist]\ndelay = \"2s\"\n[trust]", 1)+`[[rule]]
name = "grey"
when = 'client.reputation == "new"'
action = "greylist"
`)
	ask := func(client, sender, reply string) {
		t.Helper()
		c := dial(t, site.Postfix.SMTP, client)
		want(t, c, "MAIL FROM:<"+sender+">", "250")
		want(t, c, "RCPT TO:<u@example.net>", reply)
	}
	ask("ADDR=203.0.113.20 NAME=[UNAVAILABLE]", "a@nospf.example", "451 4.7.1 Greylisted; try again in 2s (id ")
	ask("ADDR=203.0.113.20 NAME=[UNAVAILABLE]", "b@nospf.example", "451 4.7.1")
	ask("ADDR=192.0.2.1 NAME=mail.example.org", "a@example.org", "451 4.7.1")
	time.Sleep(2100 * time.Millisecond)
	ask("ADDR=203.0.113.20 NAME=[UNAVAILABLE]", "a@nospf.example", "250")
	ask("ADDR=IPv6:2001:db8::1 NAME=six.example.org", "a@example.org", "250")
	ask("ADDR=203.0.113.20 NAME=[UNAVAILABLE]", "c@nospf.example", "451 4.7.1")
}
