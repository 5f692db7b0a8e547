package message

import (
	"bytes"
	"crypto"
	"hash"
	"sync"
)

// Canon is a canonicalization of RFC 6376 3.4.
type Canon uint8

// The canonicalizations.
const (
	Simple  Canon = iota // RFC 6376 3.4.1, 3.4.3
	Relaxed              // RFC 6376 3.4.2, 3.4.4
)

// BodyHasher hashes a body as its chunks arrive, once for each distinct (canonicalization, hash, length) that was asked for, whatever
// the chunk boundaries. Work is linear in the body and memory constant.
//
// Bare CR and bare LF are ordinary bytes: only CRLF ends a line (RFC 6376 2.7, 3.4.4). An MTA that stores mail mends them before the
// reader sees them; a signature over the mended form then fails here, which is the safe side.
type BodyHasher struct {
	canons [2]*canonicalizer
	spare  [2]*canonicalizer // of an earlier body
	done   chan struct{}
	close  sync.Once
	ended  bool
}

// NewBodyHasher gives a hasher for one body.
func NewBodyHasher() *BodyHasher { return &BodyHasher{done: make(chan struct{})} }

// Again gives a hasher for one body in the memory of one that nobody uses any more; of none, a new one. Its sums stay as they are.
func (b *BodyHasher) Again() *BodyHasher {
	if b == nil {
		return NewBodyHasher()
	}
	spare := b.spare
	for i, c := range b.canons {
		if c != nil {
			clear(c.sums)
			*c = canonicalizer{relaxed: c.relaxed, sums: c.sums[:0]}
			spare[i] = c
		}
	}
	*b = BodyHasher{spare: spare, done: make(chan struct{})}
	return b
}

// BodySum is one hash that was asked for; its values are final when Done is closed.
type BodySum struct {
	algorithm crypto.Hash
	length    int64 // -1 for the whole body
	hash      hash.Hash
	total     int64 // canonicalized bytes seen
	digest    []byte
}

// Need asks for a hash over the first length bytes of the canonicalized body, all of them for a negative length.
// It must be called before the first Write.
func (b *BodyHasher) Need(c Canon, h crypto.Hash, length int64) *BodySum {
	length = max(length, -1)
	if b.canons[c] == nil {
		if b.canons[c], b.spare[c] = b.spare[c], nil; b.canons[c] == nil {
			b.canons[c] = &canonicalizer{relaxed: c == Relaxed}
		}
	}
	for _, s := range b.canons[c].sums {
		if s.algorithm == h && s.length == length {
			return s
		}
	}
	s := &BodySum{algorithm: h, length: length, hash: h.New()}
	b.canons[c].sums = append(b.canons[c].sums, s)
	return s
}

// Write takes the next chunk of the body; it never fails and does not keep p. After Close it does nothing.
func (b *BodyHasher) Write(p []byte) (int, error) {
	if !b.ended {
		for _, c := range b.canons {
			if c != nil {
				c.write(p)
			}
		}
	}
	return len(p), nil
}

// Close ends the body: sums are final and Done is closed. It may be called again.
func (b *BodyHasher) Close() error {
	b.close.Do(func() {
		b.ended = true
		for _, c := range b.canons {
			if c != nil {
				c.end()
			}
		}
		close(b.done)
	})
	return nil
}

// Done is closed when the body has ended.
func (b *BodyHasher) Done() <-chan struct{} { return b.done }

// Digest gives the hash.
func (s *BodySum) Digest() []byte { return s.digest }

// Length gives the bytes of the whole canonicalized body.
func (s *BodySum) Length() int64 { return s.total }

// Beyond reports whether the body goes on behind the hashed length: anybody could have added that (RFC 6376 8.2).
func (s *BodySum) Beyond() bool { return s.length >= 0 && s.total > s.length }

// Short reports whether the body is shorter than the length that was asked for.
func (s *BodySum) Short() bool { return s.length > s.total }

func (s *BodySum) write(p []byte) {
	if s.length >= 0 {
		if room := s.length - s.total; room <= 0 {
			s.total += int64(len(p))
			return
		} else if int64(len(p)) > room {
			s.hash.Write(p[:room])
			s.total += int64(len(p))
			return
		}
	}
	s.hash.Write(p)
	s.total += int64(len(p))
}

// canonicalizer turns a body into its canonical form, in runs of bytes. Empty lines are only counted until something follows them.
type canonicalizer struct {
	relaxed bool
	sums    []*BodySum
	cr      bool  // a CR that may begin a line end
	blank   bool  // relaxed: blanks whose fate the next byte decides
	text    bool  // the line has text already
	empty   int64 // line ends that were seen and not written
	any     bool  // anything was written
	stage   [stageSize]byte
	staged  int
}

// stageSize is how much is gathered before it is hashed: a line by itself would cost as much as four.
const stageSize = 512

func (c *canonicalizer) emit(p []byte) {
	if c.staged+len(p) > stageSize {
		c.flush()
	}
	if len(p) >= stageSize {
		c.sum(p)
		return
	}
	c.staged += copy(c.stage[c.staged:], p)
}

func (c *canonicalizer) flush() {
	c.sum(c.stage[:c.staged])
	c.staged = 0
}

func (c *canonicalizer) sum(p []byte) {
	for _, s := range c.sums {
		s.write(p)
	}
}

// crlfs is a run of line ends to write from.
var crlfs = bytes.Repeat([]byte("\r\n"), 512)

var space = []byte{' '}

// release writes what the next text must come behind: line ends, a pending CR that ended no line, and the blank of a relaxed run.
func (c *canonicalizer) release() {
	for c.empty > 0 {
		n := min(c.empty, int64(len(crlfs)/2))
		c.emit(crlfs[:2*n])
		c.empty -= n
	}
	if c.blank {
		c.emit(space)
		c.blank = false
	}
}

func (c *canonicalizer) write(p []byte) {
	for looked := 0; len(p) > 0; { // bytes at the beginning of p that whole has looked at and left
		if looked <= 0 {
			n, seen := c.whole(p)
			if n > 0 {
				c.textRun(p[:n])
			}
			if p, looked = p[n:], seen-n; len(p) == 0 {
				return
			}
		}
		rest := c.run(p)
		looked -= len(p) - len(rest)
		p = rest
	}
}

// whole gives how many bytes of p, lines and their ends together, stay as they are, and how many it looked at. What it leaves to run
// begins with line ends or blanks whose fate hangs on what follows, or with what relaxed form changes.
func (c *canonicalizer) whole(p []byte) (n, seen int) {
	if c.cr || c.blank && isBlank(p[0]) {
		return 0, 0
	}
	seen = len(p)
	if c.relaxed {
		seen = unchanged(p)
	}
	for n = seen; n > 0 && isBlank(p[n-1]); n-- {
	}
	return n, seen
}

// isBlank reports whether a byte is a blank or may be of a line end.
func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// lineEnd takes a CRLF. Blanks before it are dropped in relaxed form.
func (c *canonicalizer) lineEnd() {
	c.blank = false
	c.empty++
	c.text = false
}

func (c *canonicalizer) textRun(p []byte) {
	c.release()
	c.emit(p)
	c.text, c.any = true, true
}

// run takes bytes up to the next that matters and gives the rest.
func (c *canonicalizer) run(p []byte) []byte {
	if c.cr {
		c.cr = false
		if p[0] == '\n' {
			c.lineEnd()
			return p[1:]
		}
		c.textRun(crlfs[:1])
	}
	if p[0] == '\r' {
		rest := p
		for ; len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n'; rest = rest[2:] {
			c.lineEnd()
		}
		if len(rest) < len(p) {
			return rest
		}
		c.cr = true
		return p[1:]
	}
	if !c.relaxed {
		i := bytes.IndexByte(p, '\r')
		if i < 0 {
			i = len(p)
		}
		c.textRun(p[:i])
		return p[i:]
	}
	if p[0] == ' ' || p[0] == '\t' {
		i := 1
		for i < len(p) && (p[i] == ' ' || p[i] == '\t') {
			i++
		}
		c.blank = true
		return p[i:]
	}
	line := p
	if i := bytes.IndexByte(p, '\r'); i >= 0 {
		line = p[:i]
	}
	// A single space between words stays as it is, so a run may hold it.
	i := plainRun(line)
	c.textRun(line[:i])
	return p[i:]
}

// plainRun gives the length of the beginning of a line that relaxed form leaves alone: text with single spaces between words, not at its end.
func plainRun(line []byte) int {
	for i := 0; i < len(line); {
		j := bytes.IndexByte(line[i:], ' ')
		tab := -1
		if j < 0 {
			tab = bytes.IndexByte(line[i:], '\t')
			if tab < 0 {
				return len(line)
			}
			return i + tab
		}
		if tab = bytes.IndexByte(line[i:i+j], '\t'); tab >= 0 {
			return i + tab
		}
		next := i + j + 1
		if next >= len(line) || line[next] == ' ' || line[next] == '\t' {
			return i + j
		}
		i = next
	}
	return len(line)
}

// end completes the body: text without a line end gets one, trailing empty lines are one (simple: also of an empty body).
func (c *canonicalizer) end() {
	if c.cr {
		c.cr = false
		c.textRun(crlfs[:1])
	}
	// Relaxed: blanks at the end of the last line are dropped; a line of nothing but blanks is an empty one.
	if c.any || !c.relaxed {
		c.emit(crlfs[:2])
	}
	c.flush()
	for _, s := range c.sums {
		s.digest = s.hash.Sum(nil)
	}
}
