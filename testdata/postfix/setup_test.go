package postfix

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// bare starts a Postfix that asks no milter yet; the site's daemon is there for it. Its smtpd serve one client each (max_use), so that none answers by
// a configuration that postconf has changed since.
func bare(t *testing.T) *Instance {
	t.Helper()
	i, err := Start(t.Context(), "", map[string]string{"mynetworks": "127.0.0.2/32, 198.51.100.0/24", "smtpd_recipient_restrictions": "reject_unauth_destination", "max_use": "1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(); err != nil {
			t.Error(err)
		}
	})
	return i
}

func (i *Instance) etc() string { return filepath.Join(i.Dir, "etc") }

func postconf(i *Instance, args ...string) error {
	out, err := exec.Command("/usr/sbin/postconf", append([]string{"-c", i.etc()}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("postconf %v: %w: %s", args, err, out)
	}
	return nil
}

// gatepost runs a command on an instance and gives its exit status and what it printed.
func gatepost(t *testing.T, i *Instance, args ...string) (int, string) {
	t.Helper()
	args = append(args, "--policy", site.PolicyFile(), "-c", i.etc(), "--root", t.TempDir())
	c := exec.Command(binary, args...)
	out, err := c.CombinedOutput()
	if err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// stranger sends one mail as a stranger and gives its header as it was delivered.
func stranger(t *testing.T, i *Instance) string {
	t.Helper()
	s := subject()
	c := dial(t, i.SMTP, good)
	want(t, c, "MAIL FROM:<a@example.org>", "250")
	want(t, c, "RCPT TO:<u@example.net>", "250")
	if got, err := c.Message(mail("a@example.org", s)); err != nil || !strings.HasPrefix(got, "250") {
		t.Fatalf("%q, %v", got, err)
	}
	text, err := i.Delivered("u", s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestSetup: lines are printed, applied once, found there a second time, and taken back byte for byte; mail is judged in between.
func TestSetup(t *testing.T) {
	setPolicy(t, acceptAll)
	i := bare(t)
	files := func() map[string]string {
		out := map[string]string{}
		for _, path := range []string{filepath.Join(i.etc(), "main.cf"), filepath.Join(i.etc(), "master.cf"), site.PolicyFile()} {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out[path] = string(text)
		}
		return out
	}
	before := files()
	if header := stranger(t, i); strings.Contains(header, "Gatepost-Id") {
		t.Fatal("the mail is judged already")
	}
	status, out := gatepost(t, i, "setup", "postfix")
	for _, line := range []string{"postconf -c " + i.etc() + " -e 'smtpd_milters = { inet:" + site.milter + ",", `"198.51.100.0/24",  # imported: mynetworks`, `fileinto "Junk"`, "Nothing was written"} {
		if status != 0 || !strings.Contains(out, line) {
			t.Errorf("exit status %d, without %q:\n%s", status, line, out)
		}
	}
	if fmt.Sprint(files()) != fmt.Sprint(before) {
		t.Error("printing writes")
	}
	if status, out := gatepost(t, i, "setup", "postfix", "--apply", "--reload"); status != 0 || !strings.Contains(out, "Postfix is reloaded\nthe policy is in force") {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	if header := stranger(t, i); !strings.Contains(header, "Gatepost-Id: ") || !strings.Contains(header, "spf=pass") {
		t.Errorf("the mail is not judged:\n%s", header)
	}
	applied := files()
	if status, out := gatepost(t, i, "setup", "postfix", "--apply"); status != 0 || !strings.Contains(out, "nothing to change") || fmt.Sprint(files()) != fmt.Sprint(applied) {
		t.Errorf("a second time: exit status %d\n%s", status, out)
	}
	if status, out := gatepost(t, i, "setup", "postfix", "--undo", "--reload"); status != 0 || strings.Count(out, "is as it was") != 3 {
		t.Errorf("undo: exit status %d\n%s", status, out)
	}
	if fmt.Sprint(files()) != fmt.Sprint(before) {
		t.Errorf("undo leaves\n%v\nof\n%v", files(), before)
	}
	if header := stranger(t, i); strings.Contains(header, "Gatepost-Id") {
		t.Error("the mail is judged after undo")
	}
	if status, _ := gatepost(t, i, "setup", "postfix", "--undo"); status != 1 {
		t.Errorf("undo a second time: exit status %d", status)
	}
}

// TestSetupKeepsOthersChanges: what somebody changed in main.cf after --apply is there after --undo.
func TestSetupKeepsOthersChanges(t *testing.T) {
	setPolicy(t, acceptAll)
	i := bare(t)
	if status, out := gatepost(t, i, "setup", "postfix", "--apply"); status != 0 {
		t.Fatal(out)
	}
	if err := postconf(i, "-e", "smtpd_banner=$myhostname ours"); err != nil {
		t.Fatal(err)
	}
	status, out := gatepost(t, i, "setup", "postfix", "--undo")
	text, err := os.ReadFile(filepath.Join(i.etc(), "main.cf"))
	if err != nil || status != 0 || !strings.Contains(out, "changed by others since") || strings.Contains(string(text), "default_action=tempfail") || !strings.Contains(string(text), "ours") {
		t.Errorf("exit status %d, %v\n%s\n%s", status, err, out, text)
	}
}

// TestSetupRetires: a policy server is taken out of the restrictions.
func TestSetupRetires(t *testing.T) {
	setPolicy(t, acceptAll)
	i := bare(t)
	if err := postconf(i, "-e", "smtpd_recipient_restrictions=reject_unauth_destination, check_policy_service inet:127.0.0.1:10023, permit"); err != nil {
		t.Fatal(err)
	}
	if status, out := gatepost(t, i, "setup", "postfix", "--apply", "--retire", "postgrey"); status != 0 || !strings.Contains(out, "smtpd_recipient_restrictions = reject_unauth_destination, permit\n") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// finding is a line of gatepost doctor --json.
type finding struct{ Check, State, Text, Fix string }

// examine runs the doctor without the checks of this machine's clock, and gives the lines that are wrong.
func examine(t *testing.T, i *Instance) (wrong []finding) {
	t.Helper()
	status, out := gatepost(t, i, "doctor", "--json", "--without", "clock")
	var all []finding
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, f := range all {
		if f.State == "wrong" {
			wrong = append(wrong, f)
		}
	}
	if (status == 0) != (len(wrong) == 0) || status > 1 {
		t.Errorf("exit status %d with %d wrong", status, len(wrong))
	}
	return wrong
}

// mend runs a command that the doctor named.
func mend(t *testing.T, command string) {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", command)
	c.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":/usr/sbin:"+os.Getenv("PATH"))
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
}

// TestDoctor: what is broken is named, the command of its line mends it, and the next run finds nothing.
func TestDoctor(t *testing.T) {
	setPolicy(t, acceptAll)
	i := bare(t)
	wrong := examine(t, i)
	if len(wrong) == 0 || !strings.HasPrefix(wrong[0].Check, "service ") || !strings.Contains(wrong[0].Text, "does not ask Gatepost") {
		t.Fatalf("not wired: %+v", wrong)
	}
	mend(t, wrong[0].Fix)
	well := func(after string) {
		t.Helper()
		if wrong := examine(t, i); len(wrong) > 0 {
			t.Errorf("after %s: %+v\n%s", after, wrong, i.Log())
		}
	}
	well("setup")
	edit := func(args ...string) {
		t.Helper()
		if err := postconf(i, args...); err != nil {
			t.Fatal(err)
		}
		if out, err := i.command(t.Context(), "reload"); err != nil {
			t.Fatal(err, out)
		}
	}
	one := func(broken, check, text string) finding {
		t.Helper()
		for _, f := range examine(t, i) {
			if f.Check == check && strings.Contains(f.Text, text) {
				return f
			}
		}
		t.Fatalf("%s is not named: %+v", broken, examine(t, i))
		return finding{}
	}

	edit("-e", "smtpd_milters="+site.UnixSocket())
	mend(t, one("a wrong group", "socket", "user postfix may not use "+strings.TrimPrefix(site.UnixSocket(), "unix:")).Fix)
	well("the group")
	edit("-F", i.SMTP+"/inet/chroot=y")
	mend(t, one("a socket outside of the chroot", "socket", "runs in the chroot").Fix)
	well("the chroot")

	text, err := os.ReadFile(site.PolicyFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(site.PolicyFile(), append(text, "# changed\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	mend(t, one("a policy that is not loaded", "loaded", "is not the file as it is now").Fix)
	well("reload")

	if err := os.WriteFile(site.PolicyFile(), append(text, "[trsut]\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if wrong := examine(t, i); len(wrong) != 1 || wrong[0].Check != "policy" || !strings.Contains(wrong[0].Text, "trsut") {
		t.Errorf("a mistake in the policy: %+v", wrong)
	}
	if err := os.WriteFile(site.PolicyFile(), append(text, "# changed\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	well("the mistake")

	edit("-e", "default_transport=discard:", "mynetworks=0.0.0.0/0", "smtpd_relay_restrictions=permit_mynetworks, reject_unauth_destination", "smtpd_recipient_restrictions=")
	if f := one("an open relay", "relay", "a stranger (as 192.0.2.99 by XCLIENT) may send to anywhere"); !strings.Contains(f.Fix, "reject_unauth_destination") {
		t.Errorf("%+v", f)
	}
	edit("-e", "mynetworks=127.0.0.2/32")

	if err := site.StopDaemon(); err != nil {
		t.Fatal(err)
	}
	f := one("no daemon", "daemon", "no daemon answers")
	if err := site.StartDaemon(binary); err != nil {
		t.Fatal(err)
	}
	if f.Fix != "systemctl start gatepost" {
		t.Errorf("%+v", f)
	}
	well("the daemon's start")
}

// TestDoctorSends: what became of a test mail, from this machine and from a stranger who spoofs.
func TestDoctorSends(t *testing.T) {
	setPolicy(t, shipped(t))
	i := bare(t)
	if status, out := gatepost(t, i, "setup", "postfix", "--apply", "--reload"); status != 0 {
		t.Fatal(out)
	}
	status, out := gatepost(t, i, "doctor", "--send", "good", "--to", "u@example.net")
	if status != 0 || !strings.Contains(out, "role mx, trusted") || !strings.Contains(out, "accept by rule own-machines") || !strings.Contains(out, "why: gatepost explain ") {
		t.Errorf("good: exit status %d\n%s", status, out)
	}
	status, out = gatepost(t, i, "doctor", "--send", "spoof", "--to", "u@example.net", "--from", "ceo@example.org", "--sender", "a@nodmarc.example")
	if status != 0 || !strings.Contains(out, "as 192.0.2.99 by XCLIENT") || !strings.Contains(out, "the mail server said at the end of the message: 550 5.7.1 Email rejected per DMARC policy for example.org") || !strings.Contains(out, "550 by rule spoofed") {
		t.Errorf("spoof: exit status %d\n%s", status, out)
	}
	if err := postconf(i, "-e", "smtpd_authorized_xclient_hosts="); err != nil {
		t.Fatal(err)
	}
	if out, err := i.command(t.Context(), "reload"); err != nil {
		t.Fatal(err, out)
	}
	status, out = gatepost(t, i, "doctor", "--send", "spoof", "--to", "u@example.net", "--from", "ceo@example.org", "--sender", "a@nodmarc.example")
	if status != 0 || !strings.Contains(out, "no way to look like a stranger") || !strings.Contains(out, "Gatepost said at the end of the message: 550 5.7.1 Email rejected per DMARC policy for example.org (id ") ||
		!strings.Contains(out, "550 by rule spoofed") {
		t.Errorf("spoof without XCLIENT: exit status %d\n%s", status, out)
	}
	if status, out := gatepost(t, i, "doctor", "--without", "clock"); status != 0 || !strings.Contains(out, "by the configuration: smtpd_relay_restrictions has reject_unauth_destination") {
		t.Errorf("relaying without XCLIENT: exit status %d\n%s", status, out)
	}
	if status, out := gatepost(t, i, "doctor", "--send", "nothing"); status != 2 || !strings.Contains(out, "there are good, spoof, user") {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

// TestDoctorSendsAsUser: a real login at the submission service, seen as such by Gatepost; a wrong password is said.
func TestDoctorSendsAsUser(t *testing.T) {
	setPolicy(t, shipped(t))
	logins, err := StartLogins("alice", "secret")
	if err != nil {
		t.Fatal(err)
	}
	defer logins.Close()
	i := bare(t)
	if err := postconf(i, "-e", "smtpd_sasl_auth_enable=yes", "smtpd_sasl_type=dovecot", "smtpd_sasl_path="+logins.Path(), "smtpd_tls_auth_only=yes"); err != nil {
		t.Fatal(err)
	}
	if status, out := gatepost(t, i, "setup", "postfix", "--apply", "--reload"); status != 0 {
		t.Fatal(out)
	}
	for password, want := range map[string]string{"secret\n": "logged in as alice)\nit decided: accept by rule our-users", "wrong": "the login was answered 535"} {
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out := gatepost(t, i, "doctor", "--send", "user", "--login", "alice", "--password-file", file, "--to", "u@example.net"); (status == 0) != (password != "wrong") || !strings.Contains(out, want) {
			t.Errorf("%q: exit status %d, without %q\n%s", password, status, want, out)
		}
	}
}
