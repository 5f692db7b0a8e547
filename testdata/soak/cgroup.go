package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// inCgroup gives the words that start a daemon in a control group of its own with so much memory, and no words where groups cannot be made, which the
// output says.
func inCgroup(t testing.TB, name string, bytes int64) []string {
	t.Helper()
	for _, kind := range []struct{ parent, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(kind.parent, fmt.Sprintf("gatepost-soak-%s-%d", name, os.Getpid()))
		if _, err := os.Stat(filepath.Join(kind.parent, "cgroup.procs")); err != nil || os.Mkdir(dir, 0o755) != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, kind.limit), fmt.Appendf(nil, "%d", bytes), 0o644); err != nil {
			_ = os.Remove(dir)
			continue
		}
		t.Cleanup(func() { // a group goes when nobody is in it any more
			for range 50 {
				if os.Remove(dir) == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		return []string{"/bin/sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, dir}
	}
	t.Logf("NOT TESTED: a limit of memory; no control group with one can be made here")
	return nil
}
