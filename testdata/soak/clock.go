package soak

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
	_ "time/tzdata" // summer time also where the machine knows of none, as in the daemon that clocked builds
)

// clock is a wall clock of a daemon's own, in a time zone that has summer time.
type clock struct {
	t    testing.TB
	file *os.File // of the nanoseconds by which it differs from the machine's
	zone *time.Location
}

func newClock(t testing.TB) *clock {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "clock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c := &clock{t: t, file: f, zone: zone}
	c.set(0)
	return c
}

// set makes it differ from the machine's clock by so much.
func (c *clock) set(by time.Duration) {
	if _, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(by)), 0); err != nil {
		c.t.Error(err)
	}
}

// env is what a daemon with this clock is started with.
func (c *clock) env() []string {
	return []string{"GATEPOST_CLOCK=" + c.file.Name(), "TZ=" + c.zone.String()}
}

// change gives how far away the next change to or from summer time is.
func (c *clock) change() time.Duration {
	now := time.Now()
	_, is := now.In(c.zone).Zone()
	near, far := time.Duration(0), time.Duration(0)
	for far = 24 * time.Hour; ; near, far = far, far+24*time.Hour {
		if _, then := now.Add(far).In(c.zone).Zone(); then != is {
			break
		}
	}
	for far-near > time.Millisecond {
		if _, then := now.Add((near + far) / 2).In(c.zone).Zone(); then != is {
			far = (near + far) / 2
		} else {
			near = (near + far) / 2
		}
	}
	return far
}

// clocked gives the daemon that has a clock of its own: that of GATEPOST_CLOCKED, or one that is built.
func clocked(t testing.TB) string {
	t.Helper()
	if b := os.Getenv("GATEPOST_CLOCKED"); b != "" {
		return b
	}
	b := filepath.Join(t.TempDir(), "gatepost")
	build := exec.Command("go", "run", "./testdata/clocked", b)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatal(fmt.Errorf("%w\n%s", err, out))
	}
	return b
}
