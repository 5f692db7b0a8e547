package message

import (
	"hash"
	"slices"
	"strings"
)

// HashField writes one field into h as a header canonicalization has it (RFC 6376 3.4.1, 3.4.2), with the CRLF behind it unless last.
// Work is linear in the field.
func HashField(h hash.Hash, c Canon, f Field, last bool) { h.Write(AppendField(nil, c, f, last)) }

// AppendField appends one field to out as HashField hashes it.
func AppendField(out []byte, c Canon, f Field, last bool) []byte {
	out = slices.Grow(out, len(f.Name)+len(f.Value)+3)
	if c == Simple {
		out = append(append(append(out, f.Name...), ':'), f.Value...)
	} else {
		out = append(appendLower(out, f.Bare()), ':')
		out = appendRelaxed(out, f.Value)
	}
	if !last {
		out = append(out, '\r', '\n')
	}
	return out
}

// appendLower appends a name in lower case.
func appendLower(out []byte, name string) []byte {
	start := len(out)
	out = append(out, name...)
	for i := start; i < len(out); i++ {
		if out[i] >= 0x80 {
			return append(out[:start], strings.ToLower(name)...)
		}
		if out[i] >= 'A' && out[i] <= 'Z' {
			out[i] |= 0x20
		}
	}
	return out
}

// appendRelaxed unfolds a value, makes each run of blanks one space, and drops those at both ends.
func appendRelaxed(out []byte, value string) []byte {
	start, blank := len(out), false
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ' ' || c == '\t':
			blank = true
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			i++ // a fold: the blank behind it counts
		default:
			if blank && len(out) > start {
				out = append(out, ' ')
			}
			blank = false
			out = append(out, c)
		}
	}
	return out
}
