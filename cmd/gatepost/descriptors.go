package main

import (
	"math"

	"golang.org/x/sys/unix"
)

// What the daemon needs of descriptors beside its sessions: databases, sockets, maxWeb connections each for HTTP and commands, and those who are told that
// there are too many; and what a session needs with a question of DNS under way.
const (
	ownDescriptors     = 160
	sessionDescriptors = 2
)

// sessionsFor gives how many sessions a number of descriptors has room for, at most as many as are wanted: beyond them a client is told to come again,
// while one for whom there is no descriptor would wait in vain.
func sessionsFor(descriptors uint64, wanted int) int {
	if descriptors > math.MaxInt32 {
		return wanted
	}
	return min(wanted, max(fewSessions, (int(descriptors)-ownDescriptors)/sessionDescriptors))
}

// descriptors gives how many descriptors this process may have (RLIMIT_NOFILE of getrlimit(2)), which Go has raised as far as it may.
func descriptors() uint64 {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxUint64
	}
	return limit.Cur
}

// sessions gives how many sessions are served at a time, and says when those are fewer than the policy wants.
func (d *daemon) sessions() int {
	wanted := d.file.Listen.Sessions
	within, has := sessionsWithin(d.bound, wanted), descriptors()
	if within < wanted {
		d.log.Warn("the memory of the control group is too small for listen.sessions; fewer are served at a time", "sessions", within, "memory", d.bound)
	}
	given := sessionsFor(has, wanted)
	if given < wanted {
		d.log.Warn("there are too few descriptors (ulimit -n, LimitNOFILE= of the unit) for listen.sessions; fewer are served at a time", "sessions", given, "descriptors", has)
	}
	return min(within, given)
}
