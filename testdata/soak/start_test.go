package soak

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/state/statetest"
)

// hashed has the history keep addresses only under a key, which the daemon makes.
const hashed = "[history]\naddresses = \"hashed\"\n"

// TestBeginsWithoutItsDisk: a daemon that begins while its disk is full or takes no writes serves mail at once, says what is wrong, and has its memory and
// its history back when there is room again, by itself.
func TestBeginsWithoutItsDisk(t *testing.T) {
	if os.Getuid() != 0 {
		unless(t, "a small disk is made by root only")
	}
	remount := func(t *testing.T, d *Daemon, how string) {
		if out, err := exec.Command("mount", "-o", "remount,"+how, d.State()).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	full := func(t *testing.T, d *Daemon) func() { return fill(t, d.State()) }
	for _, c := range []struct {
		name  string
		more  string // of the policy
		fresh bool   // nothing of an earlier life is there
		fault func(*testing.T, *Daemon) (mend func())
	}{
		{"full", "", false, full},
		{"full, for the first time", "", true, full},
		{"full, for the first time, with hashed addresses", hashed, true, full},
		{"read-only", hashed, false, func(t *testing.T, d *Daemon) func() {
			remount(t, d, "ro")
			return func() { remount(t, d, "rw") }
		}},
		{"locked", "", false, lockFor},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Start(t, Options{Zone: zone, Policy: c.more + shippedRules(t), Disk: "4m"})
			was := 1
			serves(t, d, "in its first life")
			if err := d.Stop(); err != nil {
				t.Fatal(err)
			}
			if c.fresh {
				was = 0
				for _, name := range append([]string{"history.key"}, databases...) {
					if err := os.Remove(filepath.Join(d.State(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(err)
					}
				}
			}
			mend := c.fault(t, d)
			d.Begin()
			for range 3 {
				serves(t, d, "without its disk")
			}
			time.Sleep(1500 * time.Millisecond) // a commit a second
			says(t, d, "WRONG", "the memory cannot be written, and who was known before the start is not known", "the history cannot be written, 3 records are lost", "see that its disk has room and takes writes")
			mend()
			says(t, d, "all is well")
			serves(t, d, "with its disk")
			if err := d.Stop(); err != nil {
				t.Error(err)
			}
			if n := rowsOf(t, d); n != was+1 {
				t.Errorf("the history has %d records, want %d", n, was+1)
			}
			if out, _ := d.Command("history"); strings.Contains(out, good().Sender) == (c.more == hashed) {
				t.Errorf("with %q the history has\n%s", c.more, out)
			}
			d.Begin()
			says(t, d, "all is well")
		})
	}
}

// lockFor locks the files of a daemon that is down, as a program that has them for itself does.
func lockFor(t *testing.T, d *Daemon) (unlock func()) {
	var locks []func()
	for _, name := range databases {
		locks = append(locks, statetest.Lock(t, filepath.Join(d.State(), name)))
	}
	return func() {
		for _, unlock := range locks {
			unlock()
		}
	}
}
