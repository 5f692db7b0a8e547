// Package sendmail runs a private Sendmail for tests: in a Debian tree of its own, because it cannot be installed beside Postfix, and in a
// network of its own, where clients come from whatever address a test needs. Gatepost runs outside of the tree.
package sendmail

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gatepost.example/testdata/debian"
	"gatepost.example/testdata/postfix"
)

//go:embed sendmail.mc
var configuration string

// Users of example.net, each with a mailbox; list is an alias of u, info@alias.example.net a virtual user that is v.
var users = []string{"u", "v", "postmaster", "abuse"}

// User and password of the one who may log in.
const (
	Login    = "anna"
	Password = "secret"
)

// deliver writes each message into a file of each recipient's Maildir.
const deliver = `#!/bin/sh
umask 022
f=$(mktemp /mailboxes/tmp.XXXXXXXX) && cat >"$f" && chmod 0644 "$f" || exit 75
for user; do
	mkdir -p "/mailboxes/$user/new" && cp "$f" "$f.$user" && mv "$f.$user" "/mailboxes/$user/new/" || exit 75
done
rm "$f"
`

// Missing names what is not there and without which nothing works here; "" when all is.
func Missing() string {
	for _, t := range []struct{ program, pack string }{{"mmdebstrap", "mmdebstrap"}, {"ip", "iproute2"}} {
		if _, err := exec.LookPath(t.program); err != nil {
			return "package " + t.pack
		}
	}
	if os.Getuid() != 0 {
		return "root (for chroot, a network of its own, and because Sendmail drops its privileges itself)"
	}
	return ""
}

// Instance is a Sendmail in its tree.
type Instance struct {
	Tree    *debian.Tree
	Mail    postfix.Mailboxes
	log     *sysLog
	process *exec.Cmd
}

// endSendmail ends a Sendmail that this process did not live to end.
const endSendmail = `if [ -s "$1/sendmail.pid" ]; then kill "$(cat "$1/sendmail.pid")" 2>/dev/null; fi`

var packages = []string{"sendmail-bin", "sendmail-cf", "sasl2-bin", "libsasl2-modules", "libsasl2-modules-db"}

// treeName is what the tree is kept under.
const treeName = "bookworm-sendmail"

// Prepare makes the tree that New unpacks, where it is not kept yet. It needs the network, which New's own has not.
func Prepare(cache string) error { return debian.Prepare(cache, treeName, packages) }

// New unpacks a tree and configures its Sendmail as it is before Gatepost. cache is the folder in which the tree is kept for the next time.
func New(cache string) (*Instance, error) {
	tree, err := debian.NewTree(cache, treeName, packages, endSendmail)
	if err != nil {
		return nil, err
	}
	i := &Instance{Tree: tree, Mail: postfix.Mailboxes(tree.Path("/mailboxes"))}
	if err := i.prepare(); err != nil {
		return nil, errors.Join(err, i.Close())
	}
	return i, nil
}

func (i *Instance) prepare() (err error) {
	// Debian gives both folders to users of Sendmail, whom Sendmail believes under Debian's own sendmail.mc only.
	if _, err := i.Tree.Run("rm -f /etc/mail/*.db && chown root:root /etc/mail /var/spool/mqueue && chmod 755 /etc/mail"); err != nil {
		return err
	}
	var passwd, names strings.Builder
	for n, user := range append(users, "bulk") {
		fmt.Fprintf(&passwd, "%s:x:%d:%d::/:/bin/sh\n", user, 2000+n, 2000+n)
	}
	for n := range 100 {
		fmt.Fprintf(&names, "u%d: bulk\n", n+1)
	}
	if err = appendTo(i.Tree.Path("/etc/passwd"), passwd.String()); err != nil {
		return err
	}
	for _, f := range []struct {
		path, text string
		mode       os.FileMode
	}{
		{"/usr/local/bin/deliver", deliver, 0o755},
		{"/etc/mail/sendmail.mc", configuration, 0o644},
		{"/etc/mail/aliases", "list: u\n" + names.String(), 0o644},
		{"/etc/mail/virtusertable", "info@alias.example.net v\n@alias.example.net error:5.1.1:550 No such user\n", 0o644},
		{"/etc/mail/local-host-names", "", 0o644},
		{"/etc/resolv.conf", "nameserver 127.0.0.1\n", 0o644},
		{"/etc/hosts", "127.0.0.1 localhost\n" + Server + " mx.example.net\n", 0o644},
		{"/usr/lib/sasl2/Sendmail.conf", "pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN\n", 0o644},
	} {
		if err := os.WriteFile(i.Tree.Path(f.path), []byte(f.text), f.mode); err != nil {
			return err
		}
	}
	if err = postfix.WriteCertificate(i.Tree.Path("/etc/mail")); err != nil {
		return err
	}
	if i.log, err = listenSysLog(i.Tree.Path("/dev/log")); err != nil {
		return err
	}
	_, err = i.Tree.Run("install -d -m 1777 /mailboxes && install -d /run/sendmail/mta && makemap hash /etc/mail/virtusertable </etc/mail/virtusertable && " +
		"echo " + Password + " | saslpasswd2 -p -c -u mx.example.net " + Login)
	return err
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// Start makes sendmail.cf of sendmail.mc as it stands in the tree now, and starts Sendmail.
func (i *Instance) Start() error {
	if _, err := i.Tree.Run("m4 /etc/mail/sendmail.mc >/etc/mail/sendmail.cf && newaliases"); err != nil {
		return err
	}
	i.process = exec.Command("chroot", i.Tree.Dir, "/usr/sbin/sendmail", "-bD", "-q1h")
	i.process.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if err := i.process.Start(); err != nil {
		i.process = nil
		return err
	}
	if err := os.WriteFile(i.pidFile(), []byte(strconv.Itoa(i.process.Process.Pid)), 0o644); err != nil {
		return err
	}
	var err error
	for range 400 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", At(587), time.Second); err == nil { // the last that it opens
			return c.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return fmt.Errorf("sendmail does not answer: %w; it says\n%s", err, i.Log())
}

func (i *Instance) pidFile() string { return filepath.Join(filepath.Dir(i.Tree.Dir), "sendmail.pid") }

// At gives the address of one of Sendmail's ports.
func At(port int) string { return fmt.Sprintf("%s:%d", Server, port) }

// At6 gives the same over IPv6.
func At6(port int) string { return fmt.Sprintf("[%s]:%d", Server6, port) }

// Log gives all that Sendmail has told syslog.
func (i *Instance) Log() string { return i.log.text() }

// Queued gives what mailq prints; quarantined selects the messages in quarantine.
func (i *Instance) Queued(quarantined bool) (string, error) {
	if quarantined {
		return i.Tree.Run("mailq -qQ")
	}
	return i.Tree.Run("mailq")
}

// Close ends Sendmail and removes the tree.
func (i *Instance) Close() error {
	if i.process != nil {
		i.process.Process.Signal(syscall.SIGTERM)
		i.process.Wait() // its status is that of a signal
		os.Remove(i.pidFile())
	}
	if i.log != nil {
		i.log.close()
	}
	return i.Tree.Close()
}
