package packages

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// rpmIn runs rpm of this machine on a tree of its own; scripts run in the tree.
func rpmIn(t *testing.T, tree *Tree, args ...string) string {
	t.Helper()
	out, err := exec.Command("rpm", append([]string{"--root", tree.Dir, "--dbpath", "/var/lib/rpm"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestRpmLife: installed into a root of its own with its scripts, upgraded over a policy that the admin changed, erased.
func TestRpmLife(t *testing.T) {
	tree := tree(t)
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	first, err := Package("dist", "*."+arch+".rpm")
	if err != nil {
		t.Fatal(err)
	}
	next, err := Package("dist/upgrade", "*."+arch+".rpm")
	if err != nil {
		t.Fatal(err)
	}
	rpmIn(t, tree, "--install", "--nodeps", first) // the tree is no RPM system: nothing in it is known to provide a shell
	for path, want := range layout {
		if got := owners(t, tree, path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	run(t, tree, "gatepost check")
	if got := rpmIn(t, tree, "--query", "--configfiles", "gatepost"); got != "/etc/gatepost/policy.toml\n" {
		t.Errorf("configuration files: %q", got)
	}
	if out, err := exec.Command("rpm", "--root", tree.Dir, "--dbpath", "/var/lib/rpm", "--verify", "--nodeps", "gatepost").CombinedOutput(); err != nil {
		t.Errorf("rpm --verify: %v\n%s", err, out)
	}

	run(t, tree, "sed -i 's/^mode = \"observe\"/mode = \"enforce\"/' /etc/gatepost/policy.toml && touch /var/lib/gatepost/state.db")
	rpmIn(t, tree, "--upgrade", "--nodeps", next)
	if got := run(t, tree, "grep ^mode /etc/gatepost/policy.toml; ls /etc/gatepost"); got != "mode = \"enforce\"\npolicy.toml\npolicy.toml.rpmnew\n" {
		t.Errorf("after the upgrade: %q; the changed policy stays, the new one lies beside it", got)
	}
	run(t, tree, "test -d /var/spool/postfix/gatepost")

	rpmIn(t, tree, "--erase", "gatepost")
	run(t, tree, "test ! -e /usr/bin/gatepost && test ! -e /var/spool/postfix/gatepost && test -e /var/lib/gatepost/state.db && grep -q enforce /etc/gatepost/policy.toml.rpmsave")
	if left, _ := filepath.Glob(tree.Path("/usr/lib/systemd/system/gatepost*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
