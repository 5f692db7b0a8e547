package message

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Eight bytes at once: each constant holds one byte eight times.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	blanks = ones * ' '
	crs    = ones * '\r'
)

// tabBlock is how far unchanged looks for a tab at a time: it may be called again a few bytes further on.
const tabBlock = 512

// unchanged gives how many bytes at the beginning of p hold nothing that relaxed form changes: no tab, and no space before a space or a
// CR. It may stop early, and never behind the first such byte.
func unchanged(p []byte) int {
	for i := 0; ; {
		block := p[:min(len(p), i+tabBlock)]
		tab := bytes.IndexByte(block[i:], '\t')
		if tab >= 0 {
			block = block[:i+tab]
		}
		var stop bool
		if i, stop = unchangedSpaces(block, i); stop {
			return i
		}
		if tab >= 0 || len(block) == len(p) {
			return unchangedEnd(block, i)
		}
	}
}

// unchangedSpaces goes on from i to less than eight bytes before the end of p, or stops at what changes. A word of eight bytes tells of seven that
// it begins with, as the fate of a space hangs on the byte behind it.
func unchangedSpaces(p []byte, i int) (at int, stop bool) {
	for ; i+15 <= len(p); i += 14 {
		two := p[i : i+15]
		if wrong(binary.LittleEndian.Uint64(two))|wrong(binary.LittleEndian.Uint64(two[7:])) != 0 {
			break
		}
	}
	for ; i+8 <= len(p); i += 7 {
		if w := wrong(binary.LittleEndian.Uint64(p[i:])); w != 0 {
			return i + bits.TrailingZeros64(w)/8, true
		}
	}
	return i, false
}

// unchangedEnd goes on from i to the end of p.
func unchangedEnd(p []byte, i int) int {
	for ; i < len(p); i++ {
		if p[i] == ' ' && (i+1 == len(p) || p[i+1] == ' ' || p[i+1] == '\r') {
			return i
		}
	}
	return i
}

// wrong gives the high bit of each space that stands before a space or a CR.
func wrong(word uint64) uint64 {
	spaces := zeros(word ^ blanks)
	return spaces & ((spaces | zeros(word^crs)) >> 8)
}

// zeros gives the high bit of each byte that is zero, and perhaps of one that is 1 above a zero: then unchanged stops early, at the ! of " !"
// before a space.
func zeros(word uint64) uint64 { return (word - ones) &^ word & highs }
