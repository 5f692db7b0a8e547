package sendmail

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/testdata/postfix"
)

// gatepostUser stands for the user of the packages, whose folder and socket it is.
const gatepostUser = 990

// unixPort is that of a second Sendmail, which finds Gatepost at a unix socket.
const unixPort = 2025

// startUnix makes the second Sendmail of what gatepost setup writes for a policy that listens at the socket, and starts it.
func startUnix(t *testing.T, socket string) {
	t.Helper()
	mc := strings.NewReplacer("Port=smtp", "Port=2025", "Port=submission", "Port=2587",
		"define(`confTO_IDENT'", "define(`confPID_FILE', `/run/sendmail/unix.pid')dnl\ndefine(`confTO_IDENT'").Replace(configuration)
	for path, text := range map[string]string{
		"/etc/mail/unix.mc": mc, "/etc/gatepost/unix.toml": "[listen]\nmilter = [\"unix:" + socket + "\"]\n",
	} {
		if err := os.WriteFile(mta.Tree.Path(path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := mta.Tree.Run("gatepost setup sendmail --apply --mc /etc/mail/unix.mc --policy /etc/gatepost/unix.toml && m4 /etc/mail/unix.mc >/etc/mail/unix.cf && cat /etc/mail/unix.cf")
	if err != nil || !strings.Contains(out, "\nXgatepost, S=unix:"+socket+", F=T, ") {
		t.Fatalf("%v\n%s", err, out)
	}
	process := exec.Command("chroot", mta.Tree.Dir, "/usr/sbin/sendmail", "-bD", "-C/etc/mail/unix.cf")
	process.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Signal(syscall.SIGTERM)
		_ = process.Wait() // its status is that of a signal
	})
	for range 400 {
		if c, err := postfix.DialFrom(Bad, At(unixPort)); err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("the second Sendmail does not answer:\n%s", logEnd())
}

// TestUnixSocket: Sendmail starts while there is no socket yet, uses it as the package's daemon makes it, and uses none in a folder that others than
// its owner may write to.
func TestUnixSocket(t *testing.T) {
	setPolicy(t, postfix.Rule(postfix.Conditions()["connect"], "550 5.7.1 through the socket", ""))
	const place = "/run/gatepost/milter.sock"
	socket := mta.Tree.Path(place)
	folder := filepath.Dir(socket)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	startUnix(t, place)
	away := dialAt(t, Bad, At(unixPort))
	want(t, away, "MAIL FROM:<a@example.org>", "451 4.3.2 ")

	outside := strings.TrimPrefix(site.UnixSocket(), "unix:")
	if err := os.Rename(outside, socket); err != nil { // Sendmail takes no hard links
		t.Fatal(err)
	}
	defer os.Rename(socket, outside)
	for _, path := range []string{folder, socket} {
		if err := os.Chown(path, gatepostUser, gatepostUser); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		mode   uint32
		usable bool
	}{{0o750, true}, {0o755, true}, {0o770, false}, {0o757, false}, {0o1777, false}} {
		if err := syscall.Chmod(folder, c.mode); err != nil {
			t.Fatal(err)
		}
		before, client := len(mta.Log()), dialAt(t, Bad, At(unixPort))
		if !c.usable {
			want(t, client, "MAIL FROM:<a@example.org>", "451 4.3.2 ")
			awaitLog(t, before, "Milter (gatepost): local socket name "+place+" unsafe")
			continue
		}
		want(t, client, "MAIL FROM:<a@example.org>", "250")
		want(t, client, "RCPT TO:<u@example.net>", "550 5.7.1 <u@example.net>... through the socket (id ")
	}
}

// awaitLog waits until Sendmail's log has a text behind a place.
func awaitLog(t *testing.T, after int, text string) {
	t.Helper()
	for range 200 {
		if strings.Contains(mta.Log()[after:], text) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Errorf("Sendmail does not say %q:\n%s", text, mta.Log()[after:])
}
