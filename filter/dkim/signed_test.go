package dkim

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gatepost.example/filter/message"
)

// TestSignedAgain: memory that hashed other headers hashes the next one as if it were new, and holds nothing of them.
func TestSignedAgain(t *testing.T) {
	used := newSigned()
	for _, fields := range []int{40, 3, 0, 100, 7} {
		h := message.NewHeader()
		for i := range fields {
			h.Add(fmt.Sprintf("X-%d", i%5), fmt.Sprintf(" secret %d of %d", i, fields))
		}
		h.Add("DKIM-Signature", " v=1; b=abc")
		used.prepare(h)
		fresh := NewSigned(h)
		for range 2 {
			names := []string{"x-0", "x-0", "x-3", "x-4", "x-9", "dkim-signature"}
			got, ok := used.Hash(names, message.Relaxed, fields)
			if want, _ := fresh.Hash(names, message.Relaxed, fields); !ok || !bytes.Equal(got, want) {
				t.Errorf("%d fields: %x, want %x", fields, got, want)
			}
		}
		if !used.forget() {
			t.Errorf("%d fields are too many to use the memory again", fields)
		}
		if used.h != nil || bytes.Contains(used.buffer[:cap(used.buffer)], []byte("secret")) {
			t.Errorf("%d fields: something is left of them", fields)
		}
	}
	h := message.NewHeader()
	h.Add("DKIM-Signature", strings.Repeat("x", 1<<20-100))
	used.prepare(h)
	used.Hash(nil, message.Relaxed, 0)
	if used.forget() {
		t.Error("a field of a MiB is kept in memory")
	}
}
