package filter

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"strings"
	"sync"
)

// recent remembers who sent the last messages, by id, and what was said of them. It holds no pointers: the collector has nothing to follow in
// it, however much it remembers. An id is looked for from end to end; that takes some ten microseconds, and is done when somebody teaches.
type recent struct {
	mu     sync.Mutex
	seed   maphash.Seed
	ids    []uint64  // the ids' hashes; a place each, 0 for none
	said   []verdict // of the same places
	packed [][]byte  // the lessons of a chunk of places, one after the other
	open   []byte    // those of the chunk that is being filled
	next   int       // place
}

const (
	maxRecent    = 50_000 // messages that are remembered by id, at least: a chunk is forgotten as a whole
	recentChunk  = 256
	recentChunks = maxRecent/recentChunk + 2
)

// pack gives a lesson without its id as bytes of its own: a domain is a part of the header field that it stood in, and would keep all of it in
// memory.
func (l Lesson) pack(to []byte) []byte {
	size := len(l.IP) + 1
	for _, d := range l.Domains {
		size += len(d) + 1
	}
	to = binary.AppendUvarint(to, uint64(size))
	to = append(append(to, l.IP...), '\n')
	for _, d := range l.Domains {
		to = append(append(to, d...), '\n')
	}
	return to
}

func unpack(id string, packed []byte) Lesson {
	ip, domains, _ := strings.Cut(string(packed), "\n")
	l := Lesson{ID: id, IP: ip}
	if domains != "" {
		l.Domains = strings.Split(strings.TrimSuffix(domains, "\n"), "\n")
	}
	return l
}

func (r *recent) add(l Lesson) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == nil {
		r.seed, r.packed = maphash.MakeSeed(), make([][]byte, recentChunks)
	}
	if r.next%recentChunk == 0 {
		r.begin(r.next / recentChunk)
	}
	r.ids[r.next], r.said[r.next] = maphash.String(r.seed, l.ID), untaught
	r.open = l.pack(r.open)
	r.next++
	if r.next%recentChunk == 0 {
		r.packed[r.next/recentChunk-1] = bytes.Clone(r.open)
		r.next %= recentChunks * recentChunk
	}
}

// begin forgets what a chunk held.
func (r *recent) begin(chunk int) {
	at := chunk * recentChunk
	if at == len(r.ids) {
		r.ids = append(r.ids, make([]uint64, recentChunk)...)
		r.said = append(r.said, make([]verdict, recentChunk)...)
	}
	clear(r.ids[at : at+recentChunk])
	r.open, r.packed[chunk] = r.open[:0], nil
}

// place gives where an id is remembered, -1 for nowhere.
func (r *recent) place(id string) int {
	if r.ids == nil {
		return -1
	}
	hash := maphash.String(r.seed, id)
	for i, one := range r.ids {
		if one == hash {
			return i
		}
	}
	return -1
}

// lesson gives what is remembered at a place.
func (r *recent) lesson(id string, place int) Lesson {
	in := r.packed[place/recentChunk]
	if in == nil {
		in = r.open
	}
	for range place % recentChunk {
		size, n := binary.Uvarint(in)
		in = in[n+int(size):]
	}
	size, n := binary.Uvarint(in)
	return unpack(id, in[n:n+int(size)])
}

// teach notes a verdict on a message, or that it is taken back, and gives who sent it and which verdict goes for which. Of a message that is not
// remembered it gives what it was told.
func (r *recent) teach(told Lesson, said verdict, undo bool) (l Lesson, former, now verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := strings.ToUpper(told.ID)
	place := r.place(id)
	switch {
	case place < 0 && undo:
		return told, said, untaught
	case place < 0:
		return told, untaught, said
	}
	l, former = r.lesson(id, place), r.said[place]
	switch {
	case undo && former != said: // that was never said
		return l, untaught, untaught
	case undo:
		r.said[place] = untaught
		return l, said, untaught
	}
	r.said[place] = said
	return l, former, said
}
