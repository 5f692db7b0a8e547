// Package packages holds the tests of the deb and rpm packages in dist/: lintian and rpmlint, the units, a life of each package in a clean
// Debian 12, and mail through its chrooted Postfix. They need root, for chroot.
package packages

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gatepost.example/testdata/postfix"
)

// Project is the project's folder, seen from this one.
const Project = "../.."

// tools are the programs that the tests run, with the Debian package that brings each.
var tools = []struct{ program, pack string }{
	{"lintian", "lintian"}, {"rpmlint", "rpmlint"}, {"rpm", "rpm"}, {"mmdebstrap", "mmdebstrap"}, {"mandoc", "mandoc"}, {"groff", "groff-base"},
	{"systemd-analyze", "systemd"},
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

// Tree is a Debian 12 with Postfix in a folder of its own; nothing in it runs unless a test starts it.
type Tree struct {
	Dir    string
	folder *postfix.Folder
}

// endTree ends what runs in a tree: Postfix by its own master, the daemon by its number.
const endTree = `if [ -s "$1/daemon.pid" ]; then kill "$(cat "$1/daemon.pid")" 2>/dev/null; fi
if [ -s "$1/root/var/spool/postfix/pid/master.pid" ]; then chroot "$1/root" /usr/sbin/postfix stop >/dev/null 2>&1; fi`

// NewTree unpacks a clean tree. The first one of a checkout is made by mmdebstrap from the machine's own package sources and kept.
func NewTree() (*Tree, error) {
	archive, err := base()
	if err != nil {
		return nil, err
	}
	folder, err := postfix.NewFolder("gatepost-tree-", endTree)
	if err != nil {
		return nil, err
	}
	t := &Tree{Dir: filepath.Join(folder.Path, "root"), folder: folder}
	if err := os.Mkdir(t.Dir, 0o755); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	if out, err := exec.Command("tar", "--numeric-owner", "-xf", archive, "-C", t.Dir).CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("tar: %w: %s", err, out), t.Close())
	}
	return t, nil
}

// base gives the archive of the clean tree, and makes it where it is not there yet.
func base() (string, error) {
	archive, err := filepath.Abs(filepath.Join(Project, ".cache/bookworm-postfix.tar"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(archive); err == nil {
		return archive, nil
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return "", err
	}
	half := archive + ".new.tar"
	args := append([]string{"--quiet", "--variant=essential", "--include=postfix,adduser,ca-certificates", "bookworm", half}, sources()...)
	if out, err := exec.Command("mmdebstrap", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mmdebstrap: %w: %s", err, out)
	}
	return archive, os.Rename(half, archive)
}

// sources gives the machine's own package sources where it is a Debian 12 itself; else mmdebstrap takes Debian's.
func sources() []string {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil || !strings.Contains(string(release), "VERSION_CODENAME=bookworm") {
		return nil
	}
	var out []string
	for _, path := range []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"} {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			out = append(out, path)
		}
	}
	return out
}

// Path gives where a path of the tree is.
func (t *Tree) Path(path string) string { return filepath.Join(t.Dir, path) }

// Run runs a shell command in the tree as root and gives what it printed.
func (t *Tree) Run(command string) (string, error) {
	c := exec.Command("chroot", t.Dir, "/bin/sh", "-c", command)
	c.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}
	out, err := c.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", command, err, out)
	}
	return string(out), nil
}

// Copy copies a file into the tree, at its top, and gives its path there.
func (t *Tree) Copy(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	name := "/" + filepath.Base(path)
	return name, os.WriteFile(t.Path(name), content, 0o644)
}

// Close ends what runs in the tree and removes it.
func (t *Tree) Close() error { return t.folder.Remove() }
