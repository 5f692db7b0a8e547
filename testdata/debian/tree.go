// Package debian makes Debian 12 trees with chosen packages in folders of their own, for tests of what cannot be installed on the machine.
// It needs root and mmdebstrap.
package debian

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gatepost.example/testdata/postfix"
)

// Tree is a Debian 12 in a folder of its own; nothing in it runs unless a test starts it.
type Tree struct {
	Dir    string
	folder *postfix.Folder
}

// NewTree unpacks a clean tree with the packages. The first one of a checkout is made by mmdebstrap from the machine's own package sources
// and kept in the folder cache under a name. At the end the shell commands of end run, with the folder that holds root/ as $1.
func NewTree(cache, name string, packages []string, end string) (*Tree, error) {
	archive, err := base(cache, name, packages)
	if err != nil {
		return nil, err
	}
	folder, err := postfix.NewFolder("gatepost-tree-", end)
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

// Prepare makes the archive of a clean tree where it is not there yet, for whoever has no network when the tree is unpacked.
func Prepare(cache, name string, packages []string) error {
	_, err := base(cache, name, packages)
	return err
}

// base gives the archive of the clean tree, and makes it where it is not there yet.
func base(cache, name string, packages []string) (string, error) {
	archive, err := filepath.Abs(filepath.Join(cache, name+".tar"))
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
	args := append([]string{"--quiet", "--variant=essential", "--include=" + strings.Join(packages, ","), "bookworm", half}, sources()...)
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
