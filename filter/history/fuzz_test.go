package history

import (
	"bytes"
	"testing"
)

// FuzzBlock: what is no block is an error; what is one says the same when it is written again.
func FuzzBlock(f *testing.F) {
	e := newEncoder()
	e.core(fullRecord(1))
	e.core(fullRecord(2))
	f.Add(e.out)
	f.Add([]byte{format, 1, 1}) // a text of which nothing is there
	f.Fuzz(func(t *testing.T, block []byte) {
		d := newDecoder(bytes.Clone(block))
		again := newEncoder()
		var all []Record
		for d.more() {
			var r Record
			if d.core(&r); !d.wrong {
				all = append(all, r)
				again.core(&r)
			}
		}
		if d.wrong {
			return
		}
		second := newDecoder(again.out)
		third := newEncoder()
		for range all {
			var r Record
			second.core(&r)
			third.core(&r)
		}
		if second.wrong || !bytes.Equal(again.out, third.out) {
			t.Errorf("%q is written as %q and then as %q", block, again.out, third.out)
		}
	})
}

// TestMoreThanFits: a block that says it has more of something than fits in it takes no memory for them.
func TestMoreThanFits(t *testing.T) {
	const left = 1 << 20 // zeroes
	e := newEncoder()
	for least, read := range map[int]func(d *decoder) int{
		leastLine:      func(d *decoder) int { return d.things(leastLine) },
		leastRecipient: func(d *decoder) int { return d.things(leastRecipient) },
		1:              func(d *decoder) int { return d.count() },
	} {
		for _, n := range []int{left / least, left/least + 1} {
			e.out = nil
			e.uint(uint64(n))
			d := &decoder{in: append(e.out, bytes.Repeat([]byte{0}, left)...)}
			if got, fits := read(d), n*least <= left; d.wrong == fits || fits && got != n || !fits && got != 0 {
				t.Errorf("%d things of %d bytes: %d, wrong %v", n, least, got, d.wrong)
			}
		}
	}
}
