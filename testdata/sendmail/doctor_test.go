package sendmail

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// doctor runs gatepost doctor in the tree, where it finds the daemon's socket and the state's folder as outside, and gives what it printed, with one
// blank between words.
func doctor(t *testing.T, args ...string) string {
	t.Helper()
	dir := filepath.Dir(site.PolicyFile())
	if err := copyFile(site.PolicyFile(), mta.Tree.Path("/etc/gatepost/policy.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(mta.Tree.Path(filepath.Join(dir, "state")), 0o755); err != nil {
		t.Fatal(err)
	}
	inside := mta.Tree.Path(filepath.Join(dir, "admin.sock"))
	os.Remove(inside) // of an earlier daemon
	if err := os.Link(filepath.Join(dir, "admin.sock"), inside); err != nil {
		t.Fatal(err)
	}
	out, _ := mta.Tree.Run("gatepost doctor --without clock,space " + strings.Join(args, " ")) // its status stands in the text
	return strings.Join(strings.Fields(out), " ")
}

// changedCF runs a function while sendmail.cf is made of a changed sendmail.mc; what Sendmail itself read when it started stays.
func changedCF(t *testing.T, edit func(string) string, then func()) {
	t.Helper()
	mc, cf := mta.Tree.Path("/etc/mail/sendmail.mc"), mta.Tree.Path("/etc/mail/sendmail.cf")
	text, err := os.ReadFile(mc)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(cf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mc+".tried", []byte(edit(string(text))), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Tree.Run("m4 /etc/mail/sendmail.mc.tried >/etc/mail/sendmail.cf"); err != nil {
		t.Fatal(err)
	}
	then()
	if err := os.WriteFile(cf, before, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDoctor: behind a Sendmail that setup has wired nothing is wrong, and each thing that is made wrong is found, with what mends it.
func TestDoctor(t *testing.T) {
	setPolicy(t, acceptAll)
	out := doctor(t)
	for _, line := range []string{
		" answers, and Sendmail may use it ", "127.0.0.1:25 asks Gatepost, role mx, macros come; while Gatepost is away: tempfail ",
		"[2001:db8::25]:25 asks Gatepost, role mx, macros come; while Gatepost is away: tempfail ",
		"127.0.0.1:587 asks Gatepost, role submission, macros come; while Gatepost is away: accept ",
		"a stranger (192.0.2.99) may not send to a foreign domain: ruleset check_rcpt gives $# error $@ 5 . 7 . 1 $: \"550 Relaying denied",
		"we write Authentication-Results as mx.example.net;", ", 0 wrong",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	replace := func(old, new string) func(string) string {
		return func(text string) string {
			if !strings.Contains(text, old) {
				t.Fatalf("sendmail.mc has no %s", old)
			}
			return strings.Replace(text, old, new, 1)
		}
	}
	for name, c := range map[string]struct {
		edit func(string) string
		want []string
	}{
		"an open relay": {replace("FEATURE(`nocanonify')dnl", "FEATURE(`nocanonify')dnl\nFEATURE(`promiscuous_relay')dnl"),
			[]string{"WRONG relay", "a stranger (192.0.2.99) may send to anywhere: ruleset check_rcpt takes a foreign domain", "-> take FEATURE(`promiscuous_relay') out of /etc/mail/sendmail.mc"}},
		"not made anew": {func(text string) string { return strings.ReplaceAll(text, "MAIL_FILTER(`gatepost", "dnl (`gatepost") },
			[]string{"WRONG service MTA-v4", "/etc/mail/sendmail.mc names it, and /etc/mail/sendmail.cf was not made anew since", "-> make -C /etc/mail && systemctl restart sendmail"}},
		"another port": {func(text string) string { return strings.ReplaceAll(text, "S=inet:", "S=inet:1") },
			[]string{"WRONG socket", "where it does not listen", "-> gatepost setup sendmail --mc /etc/mail/sendmail.mc --apply"}},
		"switched off": {replace("InputMailFilters=gatepost-submission", "InputMailFilters="),
			[]string{"note service MSA", "milters are switched off there"}},
	} {
		changedCF(t, c.edit, func() {
			out := doctor(t)
			for _, text := range c.want {
				if !strings.Contains(out, text) {
					t.Errorf("%s: no %q in\n%s", name, text, out)
				}
			}
		})
	}
}

// TestDoctorSends: the three test mails go through Sendmail, and it is told what became of each.
func TestDoctorSends(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "examples", "policies", "minimal.toml"))
	if err != nil {
		t.Fatal(err)
	}
	setPolicy(t, string(text))
	if err := os.WriteFile(mta.Tree.Path("/root/password"), []byte(Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[string][]string{
		"good":  {"the mail server said at the end of the message: 250", "Gatepost took the client for 127.0.0.1 (role mx, trusted)"},
		"spoof": {", which is in none of your networks", "550 5.7.1 Email rejected per DMARC policy for strict.example (id "},
		"user":  {"(role submission, trusted, logged in as anna)", "it decided: accept by rule our-users"},
	} {
		args := []string{"--send", kind, "--to", "u@example.net"}
		switch kind {
		case "spoof":
			args = append(args, "--from", "service@strict.example")
		case "user":
			args = append(args, "--login", Login, "--password-file", "/root/password")
		}
		out := doctor(t, args...)
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q in\n%s", kind, text, out)
			}
		}
	}
}
