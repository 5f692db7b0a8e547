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
