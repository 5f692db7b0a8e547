package main

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
)

// The garbage collector of Go runs when as much was allocated as is in use. What is in use here is small, and a message allocates little
// that lasts: it pays to collect less often, up to a bound.
const (
	gcPercent   = 400
	leastMemory = 36 << 20 // bytes that may always be used
	moreMemory  = 12 << 20 // above twice of what is in use
)

// heap keeps the collector at its settings, unless the environment has others (GOGC, GOMEMLIMIT).
type heap struct {
	limit  int64
	bound  int64 // that of the control group; 0 for none
	sample []metrics.Sample
}

func newHeap(bound int64) *heap {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	h := &heap{bound: bound, sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	h.follow()
	debug.FreeOSMemory() // what reading the policy took
	releaseProgram()
	return h
}

// follow moves the limit with what is in use: a large memory of senders must not make the collector run all the time.
func (h *heap) follow() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	metrics.Read(h.sample)
	limit := int64(leastMemory)
	if live := h.sample[0].Value; live.Kind() == metrics.KindUint64 {
		limit = max(limit, 2*int64(live.Uint64())+moreMemory)
	}
	if h.bound > 0 { // beyond it the kernel kills; what is not Go's own needs some of it
		limit = min(limit, h.bound/4*3)
	}
	if limit > h.limit || limit < h.limit*3/4 {
		h.limit = limit
		debug.SetMemoryLimit(limit)
	}
}
