package logging

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
)

// jsonLines writes lines as slog's own JSON handler does, byte for byte, but those that hold nothing but texts and whole numbers, as every
// decision does, in a third of the time: it looks at no value twice. All others it leaves to slog.
type jsonLines struct {
	slog.Handler            // slog's own, which writes to out too
	out          io.Writer  // of whole lines, safe for concurrent use
	rooms        *sync.Pool // of *[]byte
}

// maxRoom bounds the memory that is kept for the next line.
const maxRoom = 16 << 10

func newJSONLines(out io.Writer, level slog.Leveler) *jsonLines {
	return &jsonLines{
		Handler: slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level}), out: out,
		rooms: &sync.Pool{New: func() any { return new(make([]byte, 0, 1<<10)) }},
	}
}

// Handle implements slog.Handler. What With adds is slog's: WithAttrs and WithGroup give a handler of its own.
func (j *jsonLines) Handle(ctx context.Context, r slog.Record) error {
	room := j.rooms.Get().(*[]byte)
	line, plain := appendRecord((*room)[:0], &r)
	if cap(line) <= maxRoom {
		*room = line
	}
	defer j.rooms.Put(room)
	if !plain {
		return j.Handler.Handle(ctx, r)
	}
	_, err := j.out.Write(line)
	return err
}

// appendRecord appends the line of a record. It reports false for one that is left to slog.
func appendRecord(to []byte, r *slog.Record) (line []byte, plain bool) {
	to = append(to, '{')
	if !r.Time.IsZero() {
		if year := r.Time.Year(); year < 0 || year > 9999 { // RFC 3339 has four digits
			return to, false
		}
		to = append(to, `"time":"`...)
		to = append(r.Time.AppendFormat(to, time.RFC3339Nano), `",`...)
	}
	to = append(to, `"level":"`...)
	to = append(append(to, r.Level.String()...), `","msg":`...)
	to, plain = appendQuoted(to, r.Message), true
	r.Attrs(func(a slog.Attr) bool {
		to, plain = appendAttr(to, a)
		return plain
	})
	return append(to, "}\n"...), plain
}

func appendAttr(to []byte, a slog.Attr) (line []byte, plain bool) {
	switch a.Value.Kind() {
	case slog.KindString:
		to = append(appendQuoted(append(to, ','), a.Key), ':')
		return appendQuoted(to, a.Value.String()), true
	case slog.KindInt64:
		to = append(appendQuoted(append(to, ','), a.Key), ':')
		return strconv.AppendInt(to, a.Value.Int64(), 10), true
	case slog.KindGroup:
		if a.Key != "" {
			return to, false
		}
		for _, one := range a.Value.Group() { // of a group without a name each stands by itself
			var plain bool
			if to, plain = appendAttr(to, one); !plain {
				return to, false
			}
		}
		return to, true
	}
	return to, false
}

// appendQuoted appends a text as JSON has it (RFC 8259 7). What is not UTF-8 becomes U+FFFD, and the separators of lines that JavaScript knows are
// escaped, as slog does both.
func appendQuoted(to []byte, s string) []byte {
	to = append(to, '"')
	from := 0
	for i := 0; i < len(s); {
		if s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
			i++
			continue
		}
		c, size := utf8.DecodeRuneInString(s[i:])
		if escaped := escapeOf(c, size); escaped != "" {
			to = append(append(to, s[from:i]...), escaped...)
			from = i + size
		}
		i += size
	}
	return append(append(to, s[from:]...), '"')
}

// escapeOf gives how a character is escaped, "" for one that stands for itself.
func escapeOf(c rune, size int) string {
	switch {
	case c == utf8.RuneError && size == 1:
		return `\ufffd`
	case c == '"':
		return `\"`
	case c == '\\':
		return `\\`
	case c == '\n':
		return `\n`
	case c == '\r':
		return `\r`
	case c == '\t':
		return `\t`
	case c == '\u2028':
		return `\u2028`
	case c == '\u2029':
		return `\u2029`
	case c < ' ':
		const hex = "0123456789abcdef"
		return `\u00` + hex[c>>4:c>>4+1] + hex[c&15:c&15+1]
	}
	return ""
}
