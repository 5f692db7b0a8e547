package packages

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// bootTime bounds a whole life of the container.
const bootTime = 6 * time.Minute

// life is what an admin does on a machine with systemd. Each answer stands behind a line "== " that names what was asked. The watchdog's time is
// shortened, as an admin does it, so that the test need not wait a minute.
const life = `#!/bin/bash
exec >/root/life.log 2>&1
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
service() { systemctl show -p "$1" --value gatepost.service; }
asked() { echo "== $1"; }
waited() { for i in $(seq 300); do if [ "$(service NRestarts)" = "$1" ] && systemctl --quiet is-active gatepost; then echo "restarted $1"; return; fi; sleep 0.2; done; }
asked booted; systemctl --version | head -1
mkdir -p /etc/systemd/system/gatepost.service.d
printf '[Service]\nWatchdogSec=4\nRestartSec=1\n' >/etc/systemd/system/gatepost.service.d/soon.conf
postconf -e myhostname=mx.example.net; systemctl restart postfix
apt install -y /root/gatepost.deb
asked started; systemctl is-active gatepost; systemctl is-enabled gatepost gatepost.socket; service StatusText
asked sandbox; grep -E '^(NoNewPrivs|Seccomp|CapBnd):' "/proc/$(service MainPID)/status"
gatepost setup postfix --apply --reload; gatepost mode enforce --rule spoofed
asked doctor; gatepost doctor --without clock
asked spoof; gatepost doctor --send spoof
asked journal; journalctl --no-pager -o cat GATEPOST_RULE=spoofed
asked reload; systemctl reload gatepost; echo "status $?"
cat /etc/gatepost/policy.toml >/root/good; echo 'mode = "sometimes"' >/etc/gatepost/policy.toml
asked mistake; systemctl reload gatepost; echo "status $?"; systemctl is-active gatepost
cat /root/good >/etc/gatepost/policy.toml
asked killed; kill -9 "$(service MainPID)"; waited 1
asked hung; kill -STOP "$(service MainPID)"; waited 2
asked sockets; systemctl stop gatepost && systemctl enable --now gatepost.socket && systemctl start gatepost && gatepost status; ls -l /var/spool/postfix/gatepost
asked through; gatepost doctor --send spoof
asked stopped; systemctl stop gatepost.socket gatepost; service Result
asked upgraded; apt install -y -o Dpkg::Options::=--force-confold /root/next.deb; systemctl is-active gatepost
asked removed; apt purge -y gatepost; ls -d /var/lib/gatepost /etc/gatepost /run/gatepost; systemctl --failed --no-legend
asked end
poweroff
`

// lifeUnit runs it when the machine is up.
const lifeUnit = "[Unit]\nAfter=multi-user.target\n[Service]\nExecStart=/root/life\n"

// TestSystemd: the deb on a Debian whose first process is systemd, with a real journal: started by the installation, shut in, reloaded, started
// anew when it was killed and when it hung, behind sockets of systemd, upgraded, removed. `make systemd` runs it.
func TestSystemd(t *testing.T) {
	if os.Getenv("GATEPOST_SYSTEMD") == "" {
		t.Skip("make systemd runs it")
	}
	tree, err := NewSystemdTree()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tree.Close() })
	dns, err := resolvetest.NewServerAt(resolvetest.Must(claimed), "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	next, err := Package("dist/upgrade", "*.deb")
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{debHere(t, "dist"): "/root/gatepost.deb", next: "/root/next.deb"} {
		content, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tree.Path(to), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{"/root/life": life, "/etc/systemd/system/life.service": lifeUnit, "/etc/resolv.conf": "nameserver 127.0.0.1\n"} {
		if err := os.WriteFile(tree.Path(path), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, tree, "mkdir -p /etc/systemd/system/multi-user.target.wants && ln -s ../life.service /etc/systemd/system/multi-user.target.wants/")
	console := boot(t, tree)
	said, err := os.ReadFile(tree.Path("/root/life.log"))
	if err != nil {
		t.Fatalf("systemd did not come up in a container here:\n%s", console)
	}
	t.Logf("%s", said)
	for asked, want := range map[string]string{
		"started":  `^active\nenabled\ndisabled\nmode observe, policy [0-9a-f]{16}\n$`,
		"sandbox":  `^CapBnd:\t0{16}\nNoNewPrivs:\t1\nSeccomp:\t2\n`,
		"doctor":   `, 0 wrong\n$`,
		"spoof":    `\nthe mail server said at the end of the message: 550 5\.7\.1 Email rejected per DMARC policy for example\.com \(id `,
		"journal":  `^decision id=\S+ action=550 rule=spoofed decided=data spoken=data client=203\.0\.113\.25 [^\n]*\n$`,
		"reload":   `^status 0\n$`,
		"mistake":  `status 1\nactive\n$`,
		"killed":   `^restarted 1\n$`,
		"hung":     `^restarted 2\n$`,
		"sockets":  `(?s)all is well\n.*srw-rw---- 1 root postfix +0 \S+ +\S+ \S+ milter\.sock\n$`,
		"through":  ` 550 5\.7\.1 Email rejected `,
		"stopped":  `^success\n$`,
		"upgraded": `\nactive\n$`,
		"removed":  `cannot access '/run/gatepost': No such file or directory\n$`,
	} {
		found := regexp.MustCompile(`(?s)\n== ` + asked + `\n(.*?\n)== `).FindSubmatch(append([]byte("\n"), said...))
		if found == nil || !regexp.MustCompile(want).Match(found[1]) {
			t.Errorf("%s: want %s; the whole stands above", asked, want)
		}
	}
}

// boot runs the tree as a container in this network until it powers off, and gives what its console showed.
func boot(t *testing.T, tree *Tree) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	c := exec.CommandContext(ctx, "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--resolv-conf=off", "--machine="+filepath.Base(filepath.Dir(tree.Dir)),
		"--directory="+tree.Dir, "--boot")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c.WaitDelay = 10 * time.Second
	out, _ := c.CombinedOutput() // how it went stands in the tree
	return out
}
