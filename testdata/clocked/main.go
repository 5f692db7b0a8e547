// Clocked builds a gatepost whose clock a test can step: the words after the command's name say where to put it.
//
// The daemon has no hook for this. What is built is the same code with the toolchain's package time changed (go build -overlay): the wall clock that
// time.Now reads is moved by nanoseconds that stand, as the machine writes numbers, in the first eight bytes of the file that GATEPOST_CLOCK names. The
// monotonic clock is not moved, as it is not where somebody sets a machine's clock: deadlines, timers and tickers go on. It knows all time zones.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// What is changed in the toolchain's time/time.go; what it does not have, or has more than once, is no longer what this was written for.
const (
	nowAsItIs   = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	nowAsItIsTo = nowAsItIs + "\tsec, nsec = stepped(sec, nsec)\n"
	stepped     = `
// Wall is how far the wall clock is moved, in nanoseconds.
var Wall = new(int64)

func stepped(sec int64, nsec int32) (int64, int32) {
	n := int64(nsec) + *Wall
	sec, n = sec+n/1e9, n%1e9
	if n < 0 {
		sec, n = sec-1, n+1e9
	}
	return sec, int32(n)
}
`
)

// clock stands beside the command's own files: it maps the file of the test before main begins.
const clock = `package main

import (
	"os"
	"time"
	_ "time/tzdata"
	"unsafe"

	"golang.org/x/sys/unix"
)

var _ = mapClock()

func mapClock() bool {
	path := os.Getenv("GATEPOST_CLOCK")
	if path == "" {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		panic(err)
	}
	page, err := unix.Mmap(int(f.Fd()), 0, 8, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	time.Wall = (*int64)(unsafe.Pointer(&page[0]))
	return true
}
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run ./testdata/clocked FILE, in the project's folder")
		os.Exit(2)
	}
	if err := build(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "clocked:", err)
		os.Exit(1)
	}
}

func build(to string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := changed(source)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatepost-clocked-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	beside, err := filepath.Abs(filepath.Join("cmd", "gatepost", "clocked.go"))
	if err != nil {
		return err
	}
	replace := map[string]string{}
	for path, text := range map[string]string{source: text, beside: clock} {
		replace[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replace[path], []byte(text), 0o644); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o644); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-trimpath", "-overlay", file, "-o", to, "./cmd/gatepost")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// changed gives the toolchain's time.go with a clock that can be stepped.
func changed(source string) (string, error) {
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const uses = "runtimeNow()"
	if n, all := strings.Count(string(text), nowAsItIs), strings.Count(string(text), uses); n != 1 || all != 2 { // its declaration is the other
		return "", fmt.Errorf("%s is not as this expects: %d of 1 functions Now that begin with\n%sand %s stands %d times instead of 2; look how this toolchain reads the clock, and change nowAsItIs in testdata/clocked/main.go",
			source, n, nowAsItIs, uses, all)
	}
	return strings.Replace(string(text), nowAsItIs, nowAsItIsTo, 1) + stepped, nil
}
