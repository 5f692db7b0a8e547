package packages

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/resolve/resolvetest"
)

// claimed is what DNS says of the domain that gatepost doctor --send spoof claims to be, as example.com really does, and of this machine.
const claimed = `
example.com.               MX   0 .
example.com.               TXT  "v=spf1 -all"
_dmarc.example.com.        TXT  "v=DMARC1;p=reject;sp=reject;adkim=s;aspf=s"
mx.example.net.            A    203.0.113.25
25.113.0.203.in-addr.arpa. PTR  mx.example.net.
`

// fromREADME gives the shortest command of README that begins so, without the remark behind it.
func fromREADME(t *testing.T, beginning string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(Project, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shortest := ""
	for _, found := range regexp.MustCompile(`(?m)^    (`+regexp.QuoteMeta(beginning)+`.*?)(?:\s+#.*)?$`).FindAllSubmatch(text, -1) {
		if command := string(found[1]); shortest == "" || len(command) < len(shortest) {
			shortest = command
		}
	}
	if shortest == "" {
		t.Fatalf("README has no command %s", beginning)
	}
	return shortest
}

// TestFirstHour: from a machine with Debian's Postfix to the reason of a refusal by four commands, as README has them, and on from there. The daemon
// is started as the unit says, because systemd is not the first process here.
func TestFirstHour(t *testing.T) {
	tree := tree(t)
	dns, err := resolvetest.NewServerAt(resolvetest.Must(claimed), "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	defer dns.Close()
	if err := os.MkdirAll(tree.Path("/dist"), 0o755); err != nil {
		t.Fatal(err)
	}
	deb := debHere(t, "dist")
	content, err := os.ReadFile(deb)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tree.Path("/dist/"+filepath.Base(deb)), content, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, tree, "echo nameserver 127.0.0.1 >/etc/resolv.conf && postconf -e myhostname=mx.example.net maillog_file=/var/log/maillog && postfix start")
	t.Cleanup(func() {
		if _, err := tree.Run("postfix stop"); err != nil {
			t.Error(err)
		}
	})

	begin := time.Now()
	say := func(command string) string {
		t.Helper()
		at := time.Now()
		out := run(t, tree, command)
		t.Logf("$ %s    (%.1f s)\n%s", command, time.Since(at).Seconds(), out)
		return out
	}
	say(strings.Replace(fromREADME(t, "apt install ./dist/gatepost"), "_amd64", "_"+runtime.GOARCH, 1))
	startDaemon(t, tree)
	say(fromREADME(t, "gatepost setup postfix --apply --reload"))
	if out := say(fromREADME(t, "gatepost doctor --send spoof")); !strings.Contains(out, "\nit would have: 550 at data by spoofed\n") {
		t.Error("the spoof would not have been refused")
	}
	if out := say(fromREADME(t, "gatepost explain --last")); !strings.Contains(out, "\nbecause  rule spoofed: DMARC fails for example.com: ") {
		t.Error("there is no reason")
	}
	t.Logf("from nothing to the reason: %.1f s", time.Since(begin).Seconds())
	changeRule(t, tree, say)
}

// changeRule goes on as README does: the way is looked at, a rule refuses, another is changed and works, and all is taken out again.
func changeRule(t *testing.T, tree *Tree, say func(string) string) {
	t.Helper()
	if out := say("gatepost doctor --without clock"); !strings.Contains(out, "0 wrong\n") { // nobody keeps the clock of a test's machine
		t.Error("something is wrong with a fresh installation")
	}
	say(fromREADME(t, "gatepost mode enforce --rule spoofed --share 10%"))
	say(fromREADME(t, "gatepost mode enforce --rule spoofed"))
	refused := regexp.MustCompile(`the mail server said at the end of the message: 550 5\.7\.1 Email rejected per DMARC policy for example\.com \(id ([0-9A-Z-]{9})\)\n`)
	found := refused.FindStringSubmatch(say("gatepost doctor --send spoof"))
	if found == nil {
		t.Fatal("the spoof was not refused")
	}
	say("gatepost explain " + found[1])
	if out := say(fromREADME(t, "gatepost history --since 2h --refused")); !strings.Contains(out, found[1]) {
		t.Error("the refusal is not in the history")
	}
	say(fromREADME(t, "gatepost history --since 7d --by rule"))

	say("cp /etc/gatepost/policy.toml /root/old.toml && sed -i 's/^reply = \"550 5.7.1 Email rejected per DMARC/reply = \"550 5.7.1 Spoofed mail is refused per DMARC/' /etc/gatepost/policy.toml")
	say(fromREADME(t, "gatepost check"))
	say(fromREADME(t, "gatepost diff /etc/gatepost/policy.toml"))
	say(fromREADME(t, "gatepost reload"))
	if out := say("gatepost doctor --send spoof"); !strings.Contains(out, ": 550 5.7.1 Spoofed mail is refused per DMARC policy for example.com (id ") {
		t.Error("the changed rule does not work")
	}
	say(fromREADME(t, "gatepost status"))
	say(fromREADME(t, "gatepost setup postfix --undo --reload"))
	if out := run(t, tree, "postconf -n"); strings.Contains(out, "milters") {
		t.Errorf("after --undo main.cf has\n%s", out)
	}
	say(fromREADME(t, "apt remove gatepost") + " --yes")
	run(t, tree, "test -e /var/lib/gatepost/history.db && test ! -e /usr/bin/gatepost")
}
