package resolve

import (
	"strings"
	"sync"
)

// notes is what readers made of an answer, kept beside it as long as it is in the cache.
type notes struct {
	mu   sync.Mutex
	list []note
}

type note struct {
	reader string
	value  any
}

// maxNotes bounds what is kept of one answer: there are that many kinds of records.
const maxNotes = 4

// Note gives what read makes of the answer. For an answer out of the cache that is made once: reader names what is made of it ("spf"), and
// the value must not change afterwards. So a record is parsed once, and not for every message that rests on it.
func (a *Answer) Note(reader string, read func() any) any {
	if a.notes == nil {
		return read()
	}
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	for _, n := range a.notes.list {
		if n.reader == reader {
			return n.value
		}
	}
	value := read()
	if len(a.notes.list) < maxNotes {
		a.notes.list = append(a.notes.list, note{strings.Clone(reader), value}) // it may be a part of a whole header field
	}
	return value
}
