package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

// TestMemoryBound: the least bound of the group and those above it, of both versions of control groups, as the kernel writes them (cgroups(7)).
func TestMemoryBound(t *testing.T) {
	const none = "9223372036854771712\n" // of version 1
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"no groups", nil, 0},
		{"version 2 without a bound", map[string]string{"proc/self/cgroup": "0::/system.slice/gatepost.service\n", "sys/fs/cgroup/system.slice/gatepost.service/memory.max": "max\n"}, 0},
		{"MemoryMax= of the unit", map[string]string{"proc/self/cgroup": "0::/system.slice/gatepost.service\n", "sys/fs/cgroup/system.slice/gatepost.service/memory.max": "134217728\n"}, 128 << 20},
		{"a bound of the slice", map[string]string{"proc/self/cgroup": "0::/a.slice/gatepost.service\n", "sys/fs/cgroup/a.slice/gatepost.service/memory.max": "max\n", "sys/fs/cgroup/a.slice/memory.max": "67108864\n"}, 64 << 20},
		{"a container that sees its own group only", map[string]string{"proc/self/cgroup": "0::/../of/the/host\n", "sys/fs/cgroup/memory.max": "67108864\n"}, 64 << 20},
		{"version 1", map[string]string{"proc/self/cgroup": "5:cpu:/x\n4:memory:/mail\n0::/\n", "sys/fs/cgroup/memory/mail/memory.limit_in_bytes": "268435456\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none}, 256 << 20},
		{"version 1 without a bound", map[string]string{"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none}, 0},
	} {
		root := t.TempDir()
		for name, text := range c.files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
				t.Fatal(err)
			}
			write(t, file, text)
		}
		if got := memoryBound(root); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		bound        int64
		wanted, want int
	}{{0, 2000, 2000}, {1 << 30, 2000, 2000}, {256 << 20, 2000, 704}, {64 << 20, 2000, 32}, {16 << 20, 2000, 16}, {256 << 20, 10, 10}} {
		if got := sessionsWithin(c.bound, c.wanted); got != c.want {
			t.Errorf("%d bytes: %d of %d sessions, want %d", c.bound, got, c.wanted, c.want)
		}
	}
	r := room{bound: 80, held: func() int64 { return 71 }}
	if !r.none() || (&room{held: r.held}).none() || (&room{bound: 80, held: func() int64 { return 70 }}).none() {
		t.Error("no room is when more than seven eighths are held, and never without a bound")
	}
	if heldMemory() <= 0 {
		t.Error("the process holds nothing")
	}
}

// TestSessionsFor: what a usual machine has is enough for all sessions, and the least that any has for some.
func TestSessionsFor(t *testing.T) {
	for _, c := range []struct {
		descriptors uint64
		wanted      int
		want        int
	}{{math.MaxUint64, 2000, 2000}, {65536, 2000, 2000}, {1024, 2000, 432}, {1024, 100, 100}, {60, 2000, fewSessions}, {60, 5, 5}} {
		if got := sessionsFor(c.descriptors, c.wanted); got != c.want {
			t.Errorf("%d descriptors, %d wanted: %d, want %d", c.descriptors, c.wanted, got, c.want)
		}
	}
}
