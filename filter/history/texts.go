package history

import "hash/maphash"

// texts finds a text that stands in a block already. It knows where in the block's bytes each stands, and holds no text itself: what a sender
// wrote is not kept alive by it, and the collector finds nothing in it.
type texts struct {
	seed   maphash.Seed
	places []place // a power of two of them, at most half of them in use
	used   int
}

// place is one text of a block.
type place struct {
	hash     uint32
	at, size uint32 // in the block's bytes; size 0 where the place is free
	number   uint32
}

const leastPlaces = 1 << 12

func newTexts() texts { return texts{seed: maphash.MakeSeed(), places: make([]place, leastPlaces)} }

// clear forgets all texts, and the room for uncommonly many.
func (t *texts) clear() {
	if len(t.places) > 8*leastPlaces {
		t.places = make([]place, leastPlaces)
	} else {
		clear(t.places)
	}
	t.used = 0
}

func (t *texts) hash(s string) uint32 { return uint32(maphash.String(t.seed, s)) }

// find gives the number of a text in a block.
func (t *texts) find(hash uint32, s string, block []byte) (number uint32, known bool) {
	for i := hash; ; i++ {
		p := &t.places[i&uint32(len(t.places)-1)]
		switch {
		case p.size == 0:
			return 0, false
		case p.hash == hash && int(p.size) == len(s) && string(block[p.at:p.at+p.size]) == s:
			return p.number, true
		}
	}
}

// add remembers a text that is not known.
func (t *texts) add(p place) {
	if t.used++; 2*t.used > len(t.places) {
		old := t.places
		t.places = make([]place, 2*len(old))
		for _, p := range old {
			if p.size > 0 {
				t.put(p)
			}
		}
	}
	t.put(p)
}

func (t *texts) put(p place) {
	i := p.hash & uint32(len(t.places)-1)
	for t.places[i].size > 0 {
		i = (i + 1) & uint32(len(t.places)-1)
	}
	t.places[i] = p
}

// terms finds the names of facts, rules and checks and the words of results, of which a policy has some hundred, without a hash of the whole text.
// It holds the texts of the program and of the policy, which are there anyway.
type terms [512]term

// term is a text of a block, and its number there.
type term struct {
	text   string
	number uint64
}

func (t *terms) clear() { *t = terms{} }

// of gives where a text stands, if it is known: those with the same length and the same letters in three places share it, and the last stays.
func (t *terms) of(s string) *term {
	last := len(s) - 1
	slot := uint(last)
	for _, i := range [...]int{0, last / 2, last} {
		slot = 13*slot + uint(s[i])
	}
	return &t[slot%uint(len(t))]
}
