package message

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// MaxHeader bounds the header that is kept, in bytes. Postfix cuts one field at 102,400 bytes and the whole at 4,096,000.
const MaxHeader = 1 << 20

// Field is one header field, byte for byte as the sender wrote it.
type Field struct {
	Name  string // as written, without the colon: "DKIM-Signature"
	Value string // all behind the colon, with its leading blank, folds as CRLF, without the final CRLF
}

// Bare gives the name without the blanks that may stand before the colon: they are old and legal (RFC 5322 4.5.2).
func (f Field) Bare() string {
	if n := len(f.Name); n == 0 || f.Name[n-1] != ' ' && f.Name[n-1] != '\t' {
		return f.Name // as nearly all are
	}
	return strings.TrimRight(f.Name, " \t")
}

// Header is the fields of one message in their order.
type Header struct {
	Fields []Field

	text      strings.Builder // the piece of memory that the next field goes into
	limit     int
	size      int
	truncated bool
	watched   func(name string) bool
	beyond    map[string]int
}

// NewHeader gives a header without fields.
func NewHeader() *Header { return &Header{limit: MaxHeader} }

// Again gives a header without fields in the memory of one that nobody reads any more; of none, a new one. Texts of its fields stay as they are.
func (h *Header) Again() *Header {
	if h == nil {
		return NewHeader()
	}
	fields := h.Fields[:0]
	if clear(h.Fields); cap(fields) > 4*usualFields {
		fields = nil
	}
	*h = Header{Fields: fields, limit: h.limit}
	return h
}

// Watch names the fields that are counted by name also beyond MaxHeader, where nothing is kept. From is always counted.
func (h *Header) Watch(name func(string) bool) { h.watched = name }

// Beyond gives how many fields of each watched name, in lower case, stand beyond MaxHeader.
func (h *Header) Beyond() map[string]int { return h.beyond }

// Add takes the next field, from the top. Folds may come as CRLF or, as MTAs hand them to a milter, as LF. Fields beyond MaxHeader are
// counted and not kept.
func (h *Header) Add(name, value string) { h.Take([]byte(name), []byte(value)) }

// Take takes the next field as Add does, and keeps a copy of what it is given.
func (h *Header) Take(name, value []byte) {
	size := len(name) + len(value)
	for at := nextFold(value, 0); at >= 0; at = nextFold(value, at+1) {
		size++ // for the CR that it will have
	}
	h.size += size + len(":") + len("\r\n")
	if h.size > h.limit {
		h.truncated = true
		h.count(string(name))
		return
	}
	if h.Fields == nil {
		h.Fields = make([]Field, 0, usualFields)
	}
	h.Fields = append(h.Fields, h.keep(name, value, size))
}

// usualFields is as many as most headers have.
const usualFields = 32

// keep copies a field, size bytes in all. Many fields share a piece of memory, which grows with the header; a string cut from it stays as it is
// while more is written behind it.
func (h *Header) keep(name, value []byte, size int) Field {
	b := &h.text
	if b.Cap()-b.Len() < size {
		b.Reset()
		b.Grow(max(size, min(h.size, largePiece), smallPiece))
	}
	begin := b.Len()
	b.Write(name)
	middle, written := b.Len(), 0
	for at := nextFold(value, 0); at >= 0; at = nextFold(value, at+1) {
		b.Write(value[written:at])
		b.WriteByte('\r')
		written = at
	}
	b.Write(value[written:])
	text := b.String()
	return Field{text[begin:middle], text[middle:]}
}

// Sizes of the pieces of memory that fields share.
const (
	smallPiece = 2 << 10
	largePiece = 32 << 10
)

func (h *Header) count(name string) {
	if is, _ := isFrom(name); is || h.watched != nil && h.watched(name) {
		if h.beyond == nil {
			h.beyond = map[string]int{}
		}
		h.beyond[strings.ToLower(name)]++
	}
}

// nextFold gives where the next fold without a CR stands, at or behind a place: an LF before a blank. It is -1 for none. Any other LF is no
// fold, and stays what it is.
func nextFold(value []byte, from int) int {
	for {
		i := bytes.IndexByte(value[from:], '\n')
		if i < 0 {
			return -1
		}
		at := from + i
		from = at + 1
		folds := from < len(value) && (value[from] == ' ' || value[from] == '\t')
		if folds && (at == 0 || value[at-1] != '\r') {
			return at
		}
	}
}

// Size gives the bytes of the header with all line ends, without the empty line behind it.
func (h *Header) Size() int { return h.size }

// Truncated reports whether fields beyond MaxHeader were left out. Nothing can be verified over such a header.
func (h *Header) Truncated() bool { return h.truncated }

// Values gives the values of all fields of a name, from the top. Case does not matter.
func (h *Header) Values(name string) []string {
	var out []string
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			out = append(out, f.Value)
		}
	}
	return out
}

// First gives the value of the topmost field of a name, "" when there is none.
func (h *Header) First(name string) string {
	for _, f := range h.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// maxRead bounds the header of a message file, in bytes, and maxLine a line of it. What an MTA hands over of a longer one is cut too.
const (
	maxRead = 4 * MaxHeader
	maxLine = 128 << 10
)

// Read reads the header of a message file, whole, and gives a reader of its body, both with CRLF line ends, whatever the file has. The
// header ends at an empty line, or before the first line that is no field.
func Read(r io.Reader) (*Header, io.Reader, error) {
	lines := bufio.NewReaderSize(&toCRLF{in: bufio.NewReader(r)}, maxLine)
	h := &Header{limit: maxRead}
	var field []byte
	for total := 0; ; {
		line, err := peekLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		folded := len(field) > 0 && len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		if !folded {
			h.addRaw(field)
			field = nil
			if string(line) == "\r\n" {
				lines.Discard(len(line))
				return h, lines, nil
			}
			if !bytes.HasSuffix(line, []byte("\r\n")) || !isField(line) {
				return h, lines, nil
			}
		}
		if total += len(line); total > maxRead {
			return nil, nil, errors.New("the header has over 4 MiB")
		}
		field = append(field, line...)
		lines.Discard(len(line))
	}
}

// peekLine gives the next line with its CRLF, or as much of it as a buffer holds.
func peekLine(r *bufio.Reader) ([]byte, error) {
	for n := 256; ; n *= 2 {
		n = min(n, r.Size())
		part, err := r.Peek(n)
		if i := bytes.Index(part, []byte("\r\n")); i >= 0 {
			return part[:i+2], nil
		}
		if err != nil || n == r.Size() {
			return part, err
		}
	}
}

// isField reports whether a line begins a header field (RFC 5322 2.2): a name of printable characters, perhaps blanks, a colon.
func isField(line []byte) bool {
	name, _, found := bytes.Cut(line, []byte(":"))
	name = bytes.TrimRight(name, " \t")
	return found && len(name) > 0 && bytes.IndexFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f }) < 0
}

func (h *Header) addRaw(field []byte) {
	if len(field) == 0 {
		return
	}
	name, value, _ := strings.Cut(string(field), ":")
	h.Add(name, strings.TrimSuffix(value, "\r\n"))
}

// toCRLF gives line ends that lack it their CR.
type toCRLF struct {
	in   *bufio.Reader
	last byte
	lf   bool // an LF is owed
}

// Read implements io.Reader.
func (t *toCRLF) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if t.lf {
			p[n], t.lf, t.last = '\n', false, '\n'
			n++
			continue
		}
		if n > 0 && t.in.Buffered() == 0 {
			break
		}
		c, err := t.in.ReadByte()
		if err != nil {
			if n > 0 {
				break
			}
			return 0, err
		}
		if c == '\n' && t.last != '\r' {
			p[n], t.lf = '\r', true
			n++
			continue
		}
		p[n], t.last = c, c
		n++
	}
	return n, nil
}
