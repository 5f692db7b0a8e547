package message

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at once: each constant holds one byte eight times.
const (
	ones   = 0x0101010101010101
	highs  = 0x8080808080808080
	blanks = ones * ' '
	tabs   = ones * '\t'
	crs    = ones * '\r'
)

// unchanged gives how many bytes at the beginning of p hold nothing that relaxed form changes: no tab, and no space before a space or a
// CR. It may stop early, and never behind the first such byte.
func unchanged(p []byte) int {
	i := 0
	for ; i+9 <= len(p); i += 8 {
		word := binary.LittleEndian.Uint64(p[i:])
		next := binary.LittleEndian.Uint64(p[i+1:])
		if wrong := zeros(word^tabs) | zeros(word^blanks)&(zeros(next^blanks)|zeros(next^crs)); wrong != 0 {
			return i + bits.TrailingZeros64(wrong)/8
		}
	}
	for ; i < len(p); i++ {
		if p[i] == '\t' || p[i] == ' ' && (i+1 == len(p) || p[i+1] == ' ' || p[i+1] == '\r') {
			return i
		}
	}
	return i
}

// zeros gives the high bit of each byte that is zero, and perhaps of one that is 1 above a zero: then unchanged stops early, at the ! of " !"
// before a space.
func zeros(word uint64) uint64 { return (word - ones) &^ word & highs }
