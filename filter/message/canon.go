package message

import (
	"hash"
	"strings"
)

// HashField writes one field into h as a header canonicalization has it (RFC 6376 3.4.1, 3.4.2), with the CRLF behind it unless last.
// Work is linear in the field.
func HashField(h hash.Hash, c Canon, f Field, last bool) {
	buffer := make([]byte, 0, len(f.Name)+len(f.Value)+3)
	if c == Simple {
		buffer = append(append(append(buffer, f.Name...), ':'), f.Value...)
	} else {
		buffer = append(append(buffer, strings.ToLower(strings.TrimRight(f.Name, " \t"))...), ':')
		buffer = appendRelaxed(buffer, f.Value)
	}
	if !last {
		buffer = append(buffer, '\r', '\n')
	}
	h.Write(buffer)
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
