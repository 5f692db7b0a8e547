package main

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

// TestCleanMappings: only parts of the program's file that cannot be written and of which no page was, in memory or in swap, as proc_pid_smaps(5) shows them.
func TestCleanMappings(t *testing.T) {
	const smaps = `00400000-00401000 r--p 00000000 08:01 1234                               /usr/bin/gatepost
Size:                  4 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
Swap:                  0 kB
VmFlags: rd mr mw me
00401000-00801000 r-xp 00001000 08:01 1234                               /usr/bin/gatepost
Anonymous:             4 kB
Swap:                  0 kB
00801000-01001000 r-xp 00401000 08:01 1234                               /usr/bin/gatepost
Rss:                8192 kB
Anonymous:             0 kB
Swap:                  0 kB
AnonHugePages:         0 kB
01001000-01001800 r--p 00c01000 08:01 1234                               /usr/bin/gatepost
Anonymous:             0 kB
Swap:                  8 kB
01001800-01002000 rw-p 00c01000 08:01 1234                               /usr/bin/gatepost
Anonymous:             0 kB
Swap:                  0 kB
01002000-01003000 rw-p 00000000 00:00 0 
Anonymous:             0 kB
Swap:                  0 kB
7f0000000000-7f0000001000 r--p 00000000 08:01 99                         /usr/lib/libc.so.6
Anonymous:             0 kB
Swap:                  0 kB
7f0000001000-7f0000002000 r--p 00000000 08:01 99                         /usr/bin/gatepost (deleted)
Anonymous:             0 kB
Swap:                  0 kB
7ffff7fc1000-7ffff7fc3000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
zz-7f r--p 00000000 08:01 1234 /usr/bin/gatepost
Anonymous:             0 kB
Swap:                  0 kB
`
	got := fmt.Sprintf("%#x", cleanMappings(bufio.NewScanner(strings.NewReader(smaps)), "/usr/bin/gatepost"))
	if want := "[{0x400000 0x401000} {0x801000 0x1001000}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	releaseProgram()
	if got := fmt.Sprint(cleanMappings(bufio.NewScanner(strings.NewReader(smaps)), "/usr/lib/libc.so.6")); got == "[]" {
		t.Errorf("what was given back is not read again: %s", got)
	}
}
