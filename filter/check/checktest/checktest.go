// Package checktest holds what the fuzz tests of several checks share.
package checktest

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of Linear.
const (
	small  = 16 << 10
	growth = 8
	quick  = 250 * time.Millisecond // what takes less is no concern, whatever its curve
	rounds = 6
	plain  = time.Second // what takes more is told after two tries
)

// Linear fails the test when reading many copies of a piece is slower than linear: eight times the text at three times the price of
// that in processor time, in the best of several tries, and only where it costs a quarter of a second. Anything quadratic takes seconds at this size.
func Linear(t testing.TB, head, piece string, read func(text string)) {
	t.Helper()
	if piece == "" {
		return
	}
	few, many := head+strings.Repeat(piece, small/len(piece)+1), head+strings.Repeat(piece, growth*small/len(piece)+1)
	bestFew, bestMany := time.Hour, time.Hour
	for round := range rounds {
		bestMany = min(bestMany, spent(read, many))
		if bestMany < quick {
			return
		}
		bestFew = min(bestFew, spent(read, few))
		if bestMany < 3*growth*bestFew {
			return
		}
		if round > 0 && bestMany > plain {
			break
		}
	}
	t.Errorf("%q again and again: %v for %d bytes, %v for %d", piece, bestFew, len(few), bestMany, len(many))
}

// spent gives the processor time that reading takes: a machine that is busy with something else changes it little.
func spent(read func(string), text string) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := used()
	read(text)
	return used() - before
}

// used gives the processor time of this thread so far, in its own work.
func used() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &r); err != nil {
		panic(err) // getrusage(2): only for a wrong argument
	}
	return time.Duration(r.Utime.Nano())
}
