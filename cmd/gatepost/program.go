package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// giveBackProgram gives the kernel back the pages of the program's own file. Half of the program is needed only to read a policy, and the
// kernel maps sixteen pages where one is touched: what sessions need comes back from its cache, the rest (20 MiB) makes place for mail.
// Nothing depends on it, so that it fails silently.
func giveBackProgram() {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer maps.Close()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var begin, end uintptr
		var rights string
		line := lines.Text()
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &rights); n == 3 && rights[1] == '-' && strings.HasSuffix(line, " "+program) {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED) // read-only and of a file: nothing is lost
		}
	}
}
