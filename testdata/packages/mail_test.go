package packages

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/testdata/postfix"
)

// zone is what the daemon asks in TestMailThroughTheChroot: one domain that sends, and one that says it takes no mail (RFC 7505).
const zone = `
sender.example.            MX   10 mail.sender.example.
sender.example.            TXT  "v=spf1 ip4:192.0.2.1 -all"
mail.sender.example.       A    192.0.2.1
1.2.0.192.in-addr.arpa.    PTR  mail.sender.example.
silent.example.            MX   0 .
`

// settings are what the site changes in the policy that the package brings.
const settings = `
[listen]
milter = ["unix:/var/spool/postfix/gatepost/milter.sock"]
http = ""
`

// TestMailThroughTheChroot: mail goes through a chrooted Postfix and the packaged daemon, as its own user, over the unix socket in the
// folder that the package made. One message is taken, one is refused.
func TestMailThroughTheChroot(t *testing.T) {
	tree := tree(t)
	install(t, tree, debHere(t, "dist"))
	parsed, err := resolvetest.Parse(zone)
	if err != nil {
		t.Fatal(err)
	}
	dns, err := resolvetest.NewServer(parsed)
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	changePolicy(t, tree, dns.Addr())
	startDaemon(t, tree)
	address := startPostfix(t, tree)

	run(t, tree, "gatepost mode enforce")
	if got := owners(t, tree, "/etc/gatepost/policy.toml"); got != "640 root:gatepost" {
		t.Errorf("after gatepost mode enforce policy.toml is %s: can the daemon still read it?", got)
	}
	if got := owners(t, tree, "/var/spool/postfix/gatepost/milter.sock"); got != "660 gatepost:postfix" {
		t.Errorf("the socket is %s", got)
	}
	if reply := send(t, tree, address, "anne@sender.example"); !strings.HasPrefix(reply, "250 ") {
		t.Fatalf("a good message got %q; Postfix says:\n%s", reply, maillog(tree))
	}
	mail := delivered(t, tree)
	for _, want := range []string{"Authentication-Results: mx.example.net;", "spf=pass smtp.mailfrom=sender.example", "\nGatepost-Id: "} {
		if !strings.Contains(mail, want) {
			t.Errorf("the message lacks %q:\n%s", want, mail)
		}
	}
	if reply := send(t, tree, address, "bob@silent.example"); !strings.HasPrefix(reply, "550 5.7.27 silent.example says that it takes no mail (id ") {
		t.Errorf("mail from a domain that takes none got %q", reply)
	}
	if out := run(t, tree, "gatepost status"); !strings.Contains(out, "mode enforce") {
		t.Errorf("gatepost status says %s", out)
	}
	if _, err := tree.Run("setpriv --reuid=nobody --regid=nogroup --clear-groups gatepost status"); err == nil {
		t.Error("a user outside of group gatepost may use the daemon's socket for commands")
	}
}

// changePolicy puts the site's settings into the policy that the package brought, as an admin does in an editor.
func changePolicy(t *testing.T, tree *Tree, server string) {
	t.Helper()
	path := tree.Path("/etc/gatepost/policy.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	policy := strings.Replace(string(text), "\n[listen]\n", settings, 1)
	policy = strings.Replace(policy, "\n[dns]\n", fmt.Sprintf("\n[dns]\nservers = [%q]\n", server), 1)
	if err := os.WriteFile(path, []byte(policy), 0o640); err != nil { // the file stays, with its owners
		t.Fatal(err)
	}
	run(t, tree, "gatepost check")
}

// unit gives what the service unit in a tree sets, the last of each key, without what systemd itself reads in front of a command.
func unit(t *testing.T, tree *Tree) map[string]string {
	t.Helper()
	text, err := os.ReadFile(tree.Path("/usr/lib/systemd/system/gatepost.service"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[key] = strings.TrimLeft(value, "+")
		}
	}
	return out
}

// startDaemon starts the packaged daemon as its unit says, but for systemd.
func startDaemon(t *testing.T, tree *Tree) {
	t.Helper()
	u := unit(t, tree)
	who := u["User"] + ":" + u["Group"]
	run(t, tree, fmt.Sprintf("%s && install -d -o %s -g %s -m %s /run/%s", u["ExecStartPre"], u["User"], u["Group"], u["RuntimeDirectoryMode"], u["RuntimeDirectory"]))
	log, err := os.Create(filepath.Join(filepath.Dir(tree.Dir), "daemon.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command("chroot", "--userspec="+who, tree.Dir, "/bin/sh", "-c", "umask "+u["UMask"]+" && exec "+u["ExecStart"])
	daemon.Stderr = log
	daemon.Env = []string{"PATH=/usr/bin"}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(tree.Dir), "daemon.pid"), []byte(strconv.Itoa(daemon.Process.Pid)), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(syscall.SIGTERM)
		if err := daemon.Wait(); err != nil {
			t.Errorf("the daemon ended with %v", err)
		}
		if text, err := os.ReadFile(log.Name()); err == nil {
			t.Logf("the daemon said\n%s", text)
		}
		os.Remove(filepath.Join(filepath.Dir(tree.Dir), "daemon.pid")) // the number may soon be another's
	})
	eventually(t, "the daemon is ready", func() error {
		_, err := tree.Run("gatepost status")
		if text, _ := os.ReadFile(log.Name()); err != nil {
			return fmt.Errorf("%w; it says %s", err, text)
		}
		return err
	})
}

// startPostfix starts the tree's Postfix on a free port of loopback, with the services that its package brings, and gives the address.
func startPostfix(t *testing.T, tree *Tree) string {
	t.Helper()
	ports, err := postfix.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	run(t, tree, "useradd --create-home u && postconf -M# smtp/inet && postconf -M "+
		address+"/inet='"+address+" inet n - y - - smtpd'")
	run(t, tree, "postconf -e myhostname=mx.example.net mydestination=example.net inet_interfaces=loopback-only maillog_file=/var/log/maillog mynetworks=127.0.0.2/32 "+
		"smtpd_milters=unix:gatepost/milter.sock milter_default_action=tempfail smtpd_authorized_xclient_hosts=127.0.0.1 smtpd_peername_lookup=no "+
		"disable_dns_lookups=yes local_recipient_maps= alias_maps= home_mailbox=Maildir/ mailbox_command= && postfix start")
	t.Cleanup(func() {
		if _, err := tree.Run("postfix stop"); err != nil {
			t.Error(err)
		}
	})
	return address
}

// send hands a message from a sender to Postfix, as if a host of that sender came, and gives the last reply. While the session is open it
// sees that smtpd is in its chroot.
func send(t *testing.T, tree *Tree, address, from string) string {
	t.Helper()
	var c *postfix.Client
	eventually(t, "Postfix answers", func() (err error) {
		c, err = postfix.Dial(address)
		return err
	})
	defer c.Close()
	if _, err := c.From("ADDR=192.0.2.1 NAME=mail.sender.example", "mail.sender.example"); err != nil {
		t.Fatal(err)
	}
	if !chrooted(tree) {
		t.Error("no smtpd of the tree is in the chroot of the queue directory")
	}
	for _, command := range []string{"MAIL FROM:<" + from + ">", "RCPT TO:<u@example.net>"} {
		if reply, err := c.Do("%s", command); err != nil || !strings.HasPrefix(reply, "250") {
			return reply
		}
	}
	reply, err := c.Message("From: " + from + "\nTo: u@example.net\nSubject: packaged\nDate: Wed, 25 Nov 2026 12:00:00 +0000\nMessage-ID: <1@sender.example>\n\nText.\n")
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// chrooted reports whether a process smtpd has the tree's queue directory as its root.
func chrooted(tree *Tree) bool {
	roots, _ := filepath.Glob("/proc/[0-9]*/root")
	for _, root := range roots {
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(root), "comm"))
		if where, err := os.Readlink(root); err == nil && strings.TrimSpace(string(name)) == "smtpd" && where == tree.Path("/var/spool/postfix") {
			return true
		}
	}
	return false
}

// delivered waits for the message in the mailbox of user u.
func delivered(t *testing.T, tree *Tree) string {
	t.Helper()
	var text []byte
	eventually(t, "the message arrives", func() error {
		found, _ := filepath.Glob(tree.Path("/home/u/Maildir/new/*"))
		if len(found) != 1 {
			return fmt.Errorf("%d messages; Postfix says:\n%s", len(found), maillog(tree))
		}
		var err error
		text, err = os.ReadFile(found[0])
		return err
	})
	return string(text)
}

func maillog(tree *Tree) string {
	text, _ := os.ReadFile(tree.Path("/var/log/maillog"))
	return string(text)
}

// eventually waits until something holds, for half a minute.
func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	err := errors.New("never asked")
	for range 300 {
		if err = holds(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s: %v", what, err)
}
