package play

import (
	"fmt"
	"strings"
)

// merge puts the changes of a case over the policy that it includes: a line "key = value" under the same [section], or at the top,
// replaces the included one; rules and everything new go to the end.
func merge(base, changes []byte) ([]byte, error) {
	section, tail := "", []string{}
	lines := strings.Split(string(base), "\n")
	for line := range strings.SplitSeq(string(changes), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "[[") || len(tail) > 0:
			tail = append(tail, line)
		case strings.HasPrefix(trimmed, "["):
			section = trimmed
		case trimmed != "" && !strings.HasPrefix(trimmed, "#"):
			key, _, ok := strings.Cut(trimmed, "=")
			if !ok {
				return nil, fmt.Errorf("a change is \"key = value\" on one line, not %q", trimmed)
			}
			lines = replaceKey(lines, section, strings.TrimSpace(key), line)
		}
	}
	return []byte(strings.Join(append(lines, tail...), "\n")), nil
}

// replaceKey replaces the line of a key in a section, or adds it at the section's beginning, or adds both at the end.
func replaceKey(lines []string, section, key, line string) []string {
	at, current := -1, ""
	if section == "" {
		at = 0
	}
	for i, l := range lines {
		trimmed := strings.TrimSpace(l)
		if strings.HasPrefix(trimmed, "[") && !strings.HasPrefix(trimmed, "[\"") {
			if current, _, _ = strings.Cut(trimmed, "]"); current != "" {
				current += "]"
			}
			if current == section {
				at = i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(trimmed, "=")
		if ok && current == section && strings.TrimSpace(name) == key {
			lines[i] = line
			return lines
		}
	}
	if at >= 0 {
		return append(lines[:at:at], append([]string{line}, lines[at:]...)...)
	}
	return append(lines, section, line)
}
