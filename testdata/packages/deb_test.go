package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// debHere gives the deb for this machine in a folder.
func debHere(t *testing.T, folder string) string {
	t.Helper()
	path, err := Package(folder, "*_"+runtime.GOARCH+".deb")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// install puts a package into a tree with dpkg, as apt does without a person to ask.
func install(t *testing.T, tree *Tree, deb string) string {
	t.Helper()
	name, err := tree.Copy(deb)
	if err != nil {
		t.Fatal(err)
	}
	return run(t, tree, "dpkg --force-confdef --force-confold --install "+name)
}

// owners gives mode, owner and group of paths in a tree, as stat prints them.
func owners(t *testing.T, tree *Tree, path string) string {
	t.Helper()
	return strings.TrimSpace(run(t, tree, "stat -c '%a %U:%G' "+path))
}

// layout is what stands where after an installation, by path.
var layout = map[string]string{
	"/etc/gatepost":                "755 root:root",
	"/etc/gatepost/policy.toml":    "640 root:gatepost",
	"/var/lib/gatepost":            "750 gatepost:gatepost",
	"/var/spool/postfix/gatepost":  "2750 gatepost:postfix",
	"/usr/bin/gatepost":            "755 root:root",
	"/usr/share/gatepost/freemail": "644 root:root",
}

// TestDebLife: installed, upgraded over a policy that the admin changed, removed, installed again, purged, and before a Postfix.
func TestDebLife(t *testing.T) {
	tree := tree(t)
	install(t, tree, debHere(t, "dist"))
	for path, want := range layout {
		if got := owners(t, tree, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := run(t, tree, "getent passwd gatepost"); !regexp.MustCompile(`^gatepost:x:[0-9]+:[0-9]+:Gatepost mail filter.*:/var/lib/gatepost:/usr/sbin/nologin\n$`).MatchString(got) {
		t.Errorf("user: %s", got)
	}
	if got := run(t, tree, "id -nG gatepost; id -nG postfix"); got != "gatepost\npostfix\n" {
		t.Errorf("groups of gatepost and postfix: %q; none is to be in the other's", got)
	}
	run(t, tree, "gatepost check && test -n \"$(gatepost version)\"")
	units(t, tree)
	examples(t, tree)

	run(t, tree, "sed -i 's/^mode = \"observe\"/mode = \"enforce\"/' /etc/gatepost/policy.toml && touch /var/lib/gatepost/state.db")
	install(t, tree, debHere(t, "dist/upgrade"))
	if got := run(t, tree, "grep ^mode /etc/gatepost/policy.toml; ls /etc/gatepost"); got != "mode = \"enforce\"\npolicy.toml\npolicy.toml.dpkg-dist\n" {
		t.Errorf("after the upgrade: %q; the changed policy stays, the new one lies beside it", got)
	}
	if got := owners(t, tree, "/etc/gatepost/policy.toml"); got != "640 root:gatepost" {
		t.Errorf("after the upgrade policy.toml is %s", got)
	}

	run(t, tree, "dpkg --remove gatepost")
	run(t, tree, "test ! -e /usr/bin/gatepost && test ! -e /var/spool/postfix/gatepost && test -e /var/lib/gatepost/state.db && grep -q enforce /etc/gatepost/policy.toml")
	install(t, tree, debHere(t, "dist/upgrade"))
	run(t, tree, "grep -q '^mode = \"enforce\"' /etc/gatepost/policy.toml && test -d /var/spool/postfix/gatepost")

	run(t, tree, "echo partner.example >/etc/gatepost/allow && dpkg --purge gatepost")
	if got := run(t, tree, "find / -xdev -iname '*gatepost*' -not -name '*.deb' -not -path '/proc/*'; ls /etc/gatepost"); got != "/etc/gatepost\nallow\n" {
		t.Errorf("left after purge, besides the list that the admin made: %q", got)
	}
	run(t, tree, "getent passwd gatepost") // stays: its number is nobody else's
	beforePostfix(t, tree)
}

// beforePostfix sees that a Postfix that comes after Gatepost gets the folder for the socket all the same.
func beforePostfix(t *testing.T, tree *Tree) {
	t.Helper()
	run(t, tree, "dpkg --remove postfix && rm -rf /var/spool/postfix /usr/lib/postfix")
	install(t, tree, debHere(t, "dist"))
	run(t, tree, "test ! -e /var/spool/postfix")
	// What dpkg does when the package comes: its files, then the triggers. Its group is there, since user and group stay when it goes.
	run(t, tree, "mkdir -p /usr/lib/postfix/sbin /var/spool/postfix && dpkg-trigger --no-await /usr/lib/postfix/sbin && dpkg --triggers-only --pending")
	if got := owners(t, tree, "/var/spool/postfix/gatepost"); got != "2750 gatepost:postfix" {
		t.Errorf("the folder is %s", got)
	}
}

// examples sees that Postfix takes the lines that the package shows for its files.
func examples(t *testing.T, tree *Tree) {
	t.Helper()
	run(t, tree, "cp -r /etc/postfix /etc/tried && cd /usr/share/doc/gatepost/examples/postfix && cat main.cf >>/etc/tried/main.cf && cat master.cf >>/etc/tried/master.cf")
	if got := run(t, tree, "postconf -c /etc/tried smtpd_milters && postconf -c /etc/tried -P submission/inet/smtpd_milters && postconf -c /etc/tried -n 2>&1 >/dev/null"); got !=
		"smtpd_milters = { inet:127.0.0.1:8894, connect_timeout=10s, command_timeout=30s, default_action=tempfail }\n"+
			"submission/inet/smtpd_milters = {inet:127.0.0.1:8894,default_action=accept}\n" {
		t.Errorf("postconf says %q", got)
	}
	run(t, tree, "rm -r /etc/tried")
}

// units sees that systemd takes the units as they lie in the tree, and how far the service is shut in.
func units(t *testing.T, tree *Tree) {
	t.Helper()
	// The tree has no systemd: units that ours name are those of this machine.
	if out, err := exec.Command("cp", "-an", "/usr/lib/systemd/system/.", tree.Path("/usr/lib/systemd/system/")).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	service, socket := tree.Path("/usr/lib/systemd/system/gatepost.service"), tree.Path("/usr/lib/systemd/system/gatepost.socket")
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", "--root="+tree.Dir, service, socket).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	out, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", service).CombinedOutput()
	found := regexp.MustCompile(`Overall exposure level for gatepost.service: ([0-9.]+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 1.5 {
		t.Errorf("systemd-analyze security says %s, at most 1.5 is allowed:\n%s", found[1], out)
	}
	for _, link := range []string{"/etc/systemd/system/multi-user.target.wants/gatepost.service"} {
		if _, err := os.Lstat(tree.Path(link)); err != nil {
			t.Errorf("the service is not in use after the installation: %v", err)
		}
	}
	if sockets, _ := filepath.Glob(tree.Path("/etc/systemd/system/*/gatepost.socket")); len(sockets) > 0 {
		t.Errorf("the socket unit is in use without having been asked for: %q", sockets)
	}
}
