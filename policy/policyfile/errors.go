package policyfile

import (
	"fmt"
	"sort"
	"strings"
)

// Error is one mistake in a policy file.
type Error struct {
	File string // the file's name as it was given
	Line int    // from 1
	Col  int    // from 1, in characters
	Text string // what is wrong and what to do
}

// Error gives "file:line:col: text".
func (e Error) Error() string { return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Text) }

// Errors is every mistake of one file, in the order of their places. It is never empty.
type Errors []Error

// maxPrinted bounds what one bad file puts on the screen and in the log.
const maxPrinted = 50

// Error gives one line for each mistake, at most 50, and how many more there are.
func (e Errors) Error() string {
	shown := e[:min(len(e), maxPrinted)]
	lines := make([]string, 0, len(shown)+1)
	for _, one := range shown {
		lines = append(lines, one.Error())
	}
	if more := len(e) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", e[0].File, more))
	}
	return strings.Join(lines, "\n")
}

// sorted gives the errors by place, each once.
func (e Errors) sorted() Errors {
	sort.SliceStable(e, func(i, j int) bool {
		if e[i].Line != e[j].Line {
			return e[i].Line < e[j].Line
		}
		return e[i].Col < e[j].Col
	})
	seen := map[Error]bool{}
	kept := e[:0]
	for _, one := range e {
		if !seen[one] {
			seen[one] = true
			kept = append(kept, one)
		}
	}
	return kept
}
