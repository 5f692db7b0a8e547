package resolve

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// notes is what readers made of an answer, kept beside it as long as it is in the cache.
type notes struct {
	mu   sync.Mutex             // held by who adds one
	list atomic.Pointer[[]note] // never changed, only replaced
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
	if value := a.notes.by(reader); value != nil {
		return value
	}
	a.notes.mu.Lock()
	defer a.notes.mu.Unlock()
	if value := a.notes.by(reader); value != nil { // made meanwhile
		return value
	}
	value := read()
	var list []note
	if known := a.notes.list.Load(); known != nil {
		list = *known
	}
	if len(list) < maxNotes {
		list = append(slices.Clip(list), note{strings.Clone(reader), value}) // it may be a part of a whole header field
		a.notes.list.Store(&list)
	}
	return value
}

// by gives what a reader made, nil for nothing yet.
func (n *notes) by(reader string) any {
	list := n.list.Load()
	if list == nil {
		return nil
	}
	for i := range *list {
		if (*list)[i].reader == reader {
			return (*list)[i].value
		}
	}
	return nil
}
