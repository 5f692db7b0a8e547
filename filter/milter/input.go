package milter

// input is what was read of a connection and is not taken yet. It lies in a small piece of memory, or in a large one that is borrowed for a frame
// that does not fit into the small one.
type input struct {
	small    []byte  // of readerSize
	large    *[]byte // borrowed of pool; nil without
	memory   []byte  // the one of both that is in use
	from, to int     // of memory: the bytes that are not taken yet
}

func newInput() input {
	small := make([]byte, readerSize)
	return input{small: small, memory: small}
}

// pending gives what is not taken yet.
func (in *input) pending() []byte { return in.memory[in.from:in.to] }

// settle goes back to the small memory as soon as the rest fits into it.
func (in *input) settle(b *buffers) {
	switch rest := in.pending(); {
	case in.large != nil && len(rest) <= len(in.small):
		in.from, in.to = 0, copy(in.small, rest)
		in.memory = in.small
		b.takeBack(in.large)
		in.large = nil
	case len(rest) == 0:
		in.from, in.to = 0, 0
	}
}

// room gives the memory to read into, where n bytes in all are wanted. It grows as bytes arrive: that they are announced takes none but the large
// memory.
func (in *input) room(n int, b *buffers) []byte {
	if in.from > 0 && in.from+n > len(in.memory) {
		in.from, in.to = 0, copy(in.memory, in.pending())
	}
	switch {
	case n <= len(in.memory):
	case in.large == nil:
		in.large = b.lend()
		in.memory = *in.large
		in.from, in.to = 0, copy(in.memory, in.small[in.from:in.to])
	case in.to == len(in.memory):
		in.memory = append(in.memory, make([]byte, min(len(in.memory), n-len(in.memory)))...)
		*in.large = in.memory
	}
	return in.memory[in.to:]
}
