package main

import (
	"os"
	"os/signal"
	"syscall"
)

// signals are those that the daemon obeys, each kind by itself: one that comes while another waits is not lost.
type signals struct{ reload, stop chan os.Signal }

// newSignals has SIGHUP end nothing from now on, nor a write to somebody who has gone, such as the log's reader. The signals are never given back: one that
// came behind the main loop would end the process, and make its exit status a failure.
func newSignals() signals {
	s := signals{make(chan os.Signal, 1), make(chan os.Signal, 1)}
	signal.Notify(s.reload, syscall.SIGHUP)
	signal.Ignore(syscall.SIGPIPE)
	return s
}

// ends has SIGTERM and SIGINT end the main loop, once: a second one does no harm, also while the stores are closed.
func (s signals) ends() { signal.Notify(s.stop, syscall.SIGTERM, os.Interrupt) }
