package main

import (
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memoryBound is how much memory the control group of this process may have, in bytes (memory.max of cgroups(7), memory.limit_in_bytes of version 1),
// the least of the groups above it among them; 0 for no bound, or where there are no groups. root is "/".
func memoryBound(root string) int64 {
	bound := int64(math.MaxInt64)
	groups, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) // without it the group is the outermost
	for line := range strings.Lines("0::/\n0:memory:/\n" + string(groups)) {
		words := strings.SplitN(strings.TrimSpace(line), ":", 3) // number, controllers, path
		if len(words) != 3 {
			continue
		}
		dir, file := "sys/fs/cgroup", "memory.max"
		switch words[1] {
		case "":
		case "memory":
			dir, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + words[2]); ; group = path.Dir(group) {
			if n := numberIn(filepath.Join(root, dir, group, file)); n > 0 {
				bound = min(bound, n)
			}
			if group == "/" {
				break
			}
		}
	}
	if bound >= 1<<50 { // version 1 says so that there is none
		return 0
	}
	return bound
}

// numberIn gives the number that a file holds; 0 for none, such as "max".
func numberIn(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// room knows whether the process has memory left for another session. Safe for concurrent use.
type room struct {
	bound int64 // bytes; 0 for none
	held  func() int64

	mu    sync.Mutex
	asked time.Time
	tight bool
}

// askEach is how often it is looked at.
const askEach = 50 * time.Millisecond

// none reports whether more than seven eighths of the bound are held: who comes now is to come again later.
func (r *room) none() bool {
	if r.bound == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.asked) >= askEach || now.Before(r.asked) {
		r.asked, r.tight = now, r.held() > r.bound/8*7
	}
	return r.tight
}

// What the daemon needs before the first session, and what one with a large message needs at most times. A Postfix passes on 100 KB of header
// (header_size_limit), which the daemon has about twice while it decides.
const (
	ownMemory     = 48 << 20
	sessionMemory = 256 << 10
	fewSessions   = 16
)

// sessionsWithin gives how many sessions a bound of memory has room for, at most as many as are wanted: beyond them a client is told to come again,
// before the kernel ends them all.
func sessionsWithin(bound int64, wanted int) int {
	if bound == 0 {
		return wanted
	}
	return min(wanted, max(fewSessions, int((bound/8*7-ownMemory)/sessionMemory)))
}

// heldMemory gives what this process holds of its own, in bytes: what is resident without what files back (proc_pid_statm(5)).
func heldMemory() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident, shared int64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared); err != nil {
		return 0
	}
	return (resident - shared) * int64(os.Getpagesize())
}
