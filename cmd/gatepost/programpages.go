package main

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mapping is a part of the program's file in memory.
type mapping struct{ from, to uintptr }

// releaseProgram gives back the pages of the program's own file that reading a policy needs and deciding does not: grammars, descriptions of messages,
// tables of characters. They stay in the system's cache, and what is read again comes from there. It changes nothing where it cannot.
func releaseProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close()
	for _, m := range cleanMappings(bufio.NewScanner(f), self) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED) // where it fails nothing is lost
	}
}

// cleanMappings gives the mappings of a file, as proc_pid_smaps(5) shows them, that cannot be written and of which no page was, in memory or in swap:
// what they hold stands in the file. In a program that may lie anywhere the loader writes addresses into such parts, and shuts them then.
func cleanMappings(lines *bufio.Scanner, file string) []mapping {
	var out []mapping
	var now mapping
	clean := false // of those in memory no page was written
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			now, clean = mapping{}, false
			if len(fields) == 6 && fields[5] == file && (fields[1] == "r--p" || fields[1] == "r-xp") {
				now = rangeOf(fields[0])
			}
		case len(fields) == 3 && fields[0] == "Anonymous:":
			clean = fields[1] == "0"
		case len(fields) == 3 && fields[0] == "Swap:" && fields[1] == "0" && clean && now.to > now.from:
			out = append(out, now)
		}
	}
	return out
}

func rangeOf(text string) mapping {
	from, to, _ := strings.Cut(text, "-")
	a, wrongA := strconv.ParseUint(from, 16, 64)
	b, wrongB := strconv.ParseUint(to, 16, 64)
	if wrongA != nil || wrongB != nil {
		return mapping{}
	}
	return mapping{uintptr(a), uintptr(b)}
}
