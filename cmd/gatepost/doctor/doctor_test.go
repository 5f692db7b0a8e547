package doctor

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/cmd/gatepost/mta"
	"gatepost.example/filter"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/policy/policyfile"
)

func policyOf(t testing.TB, text string) *policyfile.File {
	t.Helper()
	v, err := filter.Vocabulary()
	if err != nil {
		t.Fatal(err)
	}
	f, err := policyfile.Parse("policy.toml", []byte(text), v)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// said gives the lines of a doctor, one text a line.
func said(d *Doctor) string {
	var out []string
	for _, l := range d.lines {
		out = append(out, string(l.State)+" "+l.Check+": "+l.Text+" -> "+l.Fix)
	}
	return strings.Join(out, "\n")
}

// TestDaemonLines: what runs, under which policy, and whether it refuses.
func TestDaemonLines(t *testing.T) {
	file := policyOf(t, "")
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		d    Doctor
		want string
	}{
		"no daemon":   {Doctor{RunErr: errors.New("no daemon answers at x")}, "wrong daemon: no daemon answers at x -> systemctl start gatepost"},
		"other file":  {Doctor{Running: &Daemon{Hash: "1", Mode: "enforce"}}, "-> gatepost reload"},
		"refused":     {Doctor{Running: &Daemon{Hash: file.Hash, Refused: "policy.toml:1:1: no\nmore"}}, "wrong loaded: the policy file was refused and an older one is in force: policy.toml:1:1: no -> gatepost check /etc/gatepost/policy.toml"},
		"in force":    {Doctor{Running: &Daemon{Hash: file.Hash, Mode: "enforce"}}, "ok enforced: mode enforce"},
		"a day":       {Doctor{Running: &Daemon{Hash: file.Hash, Mode: "observe"}, Would: &Would{Since: now.Add(-24 * time.Hour)}}, "nothing is refused yet"},
		"eight days":  {Doctor{Running: &Daemon{Hash: file.Hash, Mode: "observe"}, Would: &Would{now.Add(-8 * 24 * time.Hour), 12, 3400}}, "mode observe for 8 days: 12 of 3400 messages would have been refused; when you are content, enforce it -> gatepost mode enforce"},
		"redis gone":  {Doctor{Running: &Daemon{Hash: file.Hash, Memory: "Redis does not answer"}}, "wrong memory: Redis does not answer"},
		"all is well": {Doctor{Running: &Daemon{Hash: file.Hash, Mode: "enforce"}}, "ok memory"},
	} {
		d := c.d
		d.File, d.Path, d.Now = file, "/etc/gatepost/policy.toml", now
		if d.daemon(t.Context()); !strings.Contains(said(&d), c.want) {
			t.Errorf("%s: there is no %q in\n%s", name, c.want, said(&d))
		}
	}
}

// TestMemoryLine: what is wrong with the memory, and what mends it where several machines share it.
func TestMemoryLine(t *testing.T) {
	for policy, want := range map[string]string{
		"": "wrong memory: gone -> see the log: journalctl -u gatepost",
		"[store]\nkind = \"redis\"\nurl = \"redis://127.0.0.1:6379/0\"\n": "wrong memory: gone -> start Redis, or mend [store] url; Gatepost joins it again by itself",
	} {
		file := policyOf(t, policy)
		d := Doctor{File: file, Running: &Daemon{Hash: file.Hash, Mode: "enforce", Memory: "gone"}}
		if d.daemon(t.Context()); !strings.Contains(said(&d), want) {
			t.Errorf("there is no %q in\n%s", want, said(&d))
		}
	}
}

// TestSpace: bytes and files that are left, and a folder that is not there.
func TestSpace(t *testing.T) {
	for want, left := range map[string][3]uint64{
		"wrong space: only 199 MB are free in /s -> make room, or lower [history] keep and size": {200<<20 - 1, 1e6, 1e6},
		"wrong space: only 999 files more fit into /s -> make room: df -i /s":                    {1 << 30, 1e6, 999},
		"ok space: 1024 MB are free in /s -> ":                                                   {1 << 30, 0, 0},
		"ok space: 200 MB are free in /s -> ":                                                    {200 << 20, 1e6, 1000},
	} {
		d := Doctor{}
		if d.judgeSpace("/s", left[0], left[1], left[2]); said(&d) != want {
			t.Errorf("%d: %s, want %s", left, said(&d), want)
		}
	}
	d := Doctor{File: policyOf(t, "[server]\ndirectory = \"/none/such\"\n")}
	if d.space(t.Context()); !strings.HasPrefix(said(&d), "wrong space: /none/such cannot be looked at: no such file or directory -> install -d -o gatepost") {
		t.Error(said(&d))
	}
}

// TestLocalMail: mail made on this machine is judged where cleanup has Gatepost among non_smtpd_milters (postconf(5)), by the configuration.
func TestLocalMail(t *testing.T) {
	for main, want := range map[string]string{
		"smtpd_milters = inet:127.0.0.1:8894\n":                                                                  "wrong local: mail made on this machine does not ask Gatepost",
		"non_smtpd_milters = inet:127.0.0.1:8891\n":                                                              "wrong local: ",
		"milter_default_action = accept\nnon_smtpd_milters = inet:127.0.0.1:8891, inet:localhost:8894\n":         "ok local: mail made on this machine asks Gatepost, role local; while Gatepost is away: accept",
		"milter_default_action = accept\nnon_smtpd_milters = { inet:localhost:8894, default_action=tempfail }\n": "ok local: mail made on this machine asks Gatepost, role local; while Gatepost is away: tempfail",
	} {
		d := &Doctor{Path: "/etc/gatepost/policy.toml", File: policyOf(t, ""), Postfix: mta.ParsePostfix(main, main, "cleanup/unix/command = cleanup\n", "", "")}
		if d.local(t.Context()); !strings.HasPrefix(said(d), want) {
			t.Errorf("%q: %s, want %s", main, said(d), want)
		}
	}
}

// TestJudgeRelay: by the configuration alone, where nobody can look like a stranger (postconf(5), smtpd_relay_restrictions).
func TestJudgeRelay(t *testing.T) {
	for main, want := range map[string]string{
		"smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination": "ok relay: by the configuration: smtpd_relay_restrictions has defer_unauth_destination",
		"smtpd_relay_restrictions = permit\nsmtpd_recipient_restrictions = reject_unauth_destination":       "ok relay: by the configuration: smtpd_recipient_restrictions",
		"smtpd_relay_restrictions = permit\nsmtpd_recipient_restrictions = permit, reject":                  "wrong relay: by the configuration: neither",
		"mynetworks = 0.0.0.0/0\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination":   "wrong relay: mynetworks holds 0.0.0.0/0",
		"smtpd_relay_restrictions = check_client_access hash:/x reject":                                     "ok relay",
	} {
		d := &Doctor{Postfix: mta.ParsePostfix(main, main, "smtp/inet/command = smtpd\n", "", "")}
		d.judgeRelay(d.Postfix.Servers()[0])
		if !strings.HasPrefix(said(d), want) {
			t.Errorf("%q: %s, want %s", main, said(d), want)
		}
	}
}

// TestResolvers: one that answers, one that makes up addresses, one that a blocklist refuses, a list that is gone.
func TestResolvers(t *testing.T) {
	server, err := resolvetest.NewServer(resolvetest.Must(`
2.0.0.127.good.example A 127.0.0.2
2.0.0.127.refuses.example A 127.255.255.254
1.0.0.127.refuses.example A 127.255.255.254
`))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	client := resolve.New(resolve.Config{Servers: []string{server.Addr()}, Timeout: 2 * time.Second})
	defer client.Close()
	list := func(zone string) string {
		return "[[dnsbl]]\nname = \"" + zone + "\"\nzone = \"" + zone + "\"\nweight = { \"127.0.0.2\" = 4 }\n"
	}
	d := &Doctor{Resolver: client, File: policyOf(t, list("good.example")+list("refuses.example")+list("gone.example"))}
	d.dns(t.Context())
	d.blocklists(t.Context())
	for _, want := range []string{"ok dns: ", "ok dnsbl good.example: its test points answer right", "wrong dnsbl refuses.example: it refuses this resolver: 127.255.255.254",
		"wrong dnsbl gone.example: its test points answer wrongly"} {
		if !strings.Contains(said(d), want) {
			t.Errorf("there is no %q in\n%s", want, said(d))
		}
	}
	liar, err := resolvetest.NewServer(resolvetest.Must(nowhere + " A 192.0.2.80\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	second := resolve.New(resolve.Config{Servers: []string{liar.Addr()}, Timeout: 2 * time.Second})
	defer second.Close()
	d = &Doctor{Resolver: second}
	if d.dns(t.Context()); !strings.HasPrefix(said(d), "wrong dns: the resolver makes up answers") {
		t.Error(said(d))
	}
}

// TestLaterFilters: who believes Authentication-Results, by opendmarc.conf(5) and Mail::SpamAssassin::Plugin::AuthRes(3).
func TestLaterFilters(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"nobody":             {"etc/other", "", "ok authserv-id: we write Authentication-Results as mx.example.net"},
		"opendmarc with us":  {"etc/opendmarc.conf", "TrustedAuthservIDs other.example,MX.example.net # comment\n", "ok authserv-id: OpenDMARC believes mx.example.net"},
		"opendmarc without":  {"etc/opendmarc.conf", "AuthservID HOSTNAME\n", "wrong authserv-id: OpenDMARC believes HOSTNAME and not mx.example.net, our name in Authentication-Results -> write into /etc/opendmarc.conf: TrustedAuthservIDs mx.example.net"},
		"spamassassin other": {"etc/spamassassin/local.cf", "# x\nauthres_trusted_authserv old.example\n", "-> write into /etc/spamassassin/local.cf: authres_trusted_authserv mx.example.net"},
		"spamassassin none":  {"etc/spamassassin/local.cf", "required_score 5\n", "no filter behind us says whom it believes"},
	} {
		root := t.TempDir()
		path := filepath.Join(root, c.file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		main := "myhostname = mx.example.net\nsmtpd_milters = inet:localhost:8893\n"
		d := &Doctor{Root: root, Postfix: mta.ParsePostfix(main, main, "", "", "")}
		if d.later(t.Context()); !strings.Contains(said(d), c.want) {
			t.Errorf("%s: %s, want %s", name, said(d), c.want)
		}
	}
}

// TestExamineLeavesOut: what monitoring leaves out is not asked; without Postfix and policy the rest is.
func TestExamineLeavesOut(t *testing.T) {
	d := &Doctor{FileErr: errors.New("policy.toml:1:1: no"), RunErr: errors.New("nobody"), Path: "policy.toml"}
	lines := d.Examine(context.Background(), []string{"clock", "Service"})
	var names []string
	for _, l := range lines {
		names = append(names, l.Check)
	}
	if got := strings.Join(names, " "); got != "policy daemon" {
		t.Errorf("asked: %s", got)
	}
}

// FuzzBelievers: no name has a blank in it, and none comes out of a comment.
func FuzzBelievers(f *testing.F) {
	f.Add("TrustedAuthservIDs a,b # c\nauthres_trusted_authserv d\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range append(openDMARC(text).names, spamAssassin(text)...) {
			if name == "" || strings.ContainsAny(name, " \t\n#,") && !strings.Contains(text, "authres") {
				t.Errorf("%q of %q", name, text)
			}
		}
	})
}

// FuzzAnswer: an answer of the milter protocol is what its length says, or an error.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01c"))
	f.Add([]byte("\x00\x00\x00\x0by550 5.7.1\x00"))
	f.Add([]byte("\xff\xff\xff\xffc"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		s := &direct{in: bufio.NewReader(strings.NewReader(string(bytes)))}
		code, data, err := s.answer()
		if err == nil && (bytes[4] != code || string(bytes[5:5+len(data)]) != data || len(data)+1 > maxAnswer) {
			t.Errorf("%q: %q %q", bytes, code, data)
		}
	})
}
