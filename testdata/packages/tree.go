// Package packages holds the tests of the deb and rpm packages in dist/: lintian and rpmlint, the units, a life of each package in a clean
// Debian 12, and mail through its chrooted Postfix. They need root, for chroot.
package packages

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"gatepost.example/testdata/debian"
)

// Project is the project's folder, seen from this one.
const Project = "../.."

// tools are the programs that the tests run, with the Debian package that brings each.
var tools = []struct{ program, pack string }{
	{"lintian", "lintian"}, {"rpmlint", "rpmlint"}, {"rpm", "rpm"}, {"mmdebstrap", "mmdebstrap"}, {"mandoc", "mandoc"}, {"groff", "groff-base"},
	{"systemd-analyze", "systemd"}, {"systemd-nspawn", "systemd-container"}, {"ip", "iproute2"},
}

// Missing names what is not there and without which nothing works here; "" when all is.
func Missing() string {
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			return "package " + t.pack
		}
	}
	if os.Getuid() != 0 {
		return "root (for chroot)"
	}
	return ""
}

// Package gives the path of the package for this machine in a folder of dist/, by a pattern of its name.
func Package(folder, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(Project, folder, pattern))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d files match %s in %s; run make packages", len(found), pattern, folder)
	}
	return filepath.Abs(found[0])
}

// Tree is a Debian 12 with Postfix.
type Tree = debian.Tree

// endTree ends what runs in a tree: Postfix by its own master, the daemon by its number.
const endTree = `if [ -s "$1/daemon.pid" ]; then kill "$(cat "$1/daemon.pid")" 2>/dev/null; fi
if [ -s "$1/root/var/spool/postfix/pid/master.pid" ]; then chroot "$1/root" /usr/sbin/postfix stop >/dev/null 2>&1; fi`

// Server is the address of the machine that the trees stand for, in the network of the tests.
const Server = "203.0.113.25"

// What the trees are kept under, and of what they are made: one as a chroot needs it, one that boots.
const (
	treeName    = "bookworm-mail"
	systemdName = "bookworm-systemd"
)

var (
	cache        = filepath.Join(Project, ".cache")
	packs        = []string{"apt", "postfix", "adduser", "ca-certificates"}
	systemdPacks = []string{"apt", "postfix", "adduser", "ca-certificates", "systemd", "systemd-sysv", "dbus", "iproute2"}
)

// Prepare makes the tree that NewTree unpacks or, where systemd is tested, that of NewSystemdTree, unless it is kept already. It needs the
// network.
func Prepare() error {
	if os.Getenv("GATEPOST_SYSTEMD") == "" {
		return debian.Prepare(cache, treeName, packs)
	}
	return debian.Prepare(cache, systemdName, systemdPacks)
}

// NewTree unpacks a clean tree.
func NewTree() (*Tree, error) { return debian.NewTree(cache, treeName, packs, endTree) }

// NewSystemdTree unpacks a clean tree that boots.
func NewSystemdTree() (*Tree, error) { return debian.NewTree(cache, systemdName, systemdPacks, "") }
