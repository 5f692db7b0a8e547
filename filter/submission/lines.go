package submission

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

const (
	maxFile = 64 << 20  // bytes of a table's file
	maxLine = 100 << 10 // bytes of a line with its continuations
)

// blank are the characters that isspace(3) knows.
const blank = " \t\n\v\f\r"

// A line is one logical line of a file: with those that continue it.
type line struct {
	number int // of its first line, from 1
	text   string
}

// errorf names the line in an error.
func (l line) errorf(format string, args ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{l.number}, args...)...)
}

// A file is what was read from a path. The zero file is a text that was given, and never changes.
type file struct {
	path string
	seen os.FileInfo
}

// readFile reads a table. The file's state is taken before the reading, so one that changes meanwhile counts as changed.
func (s spec) readFile() (file, string, error) {
	path := s.path
	if text, ok := s.given[path]; ok {
		return file{}, string(text), nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return file{}, "", fmt.Errorf("%w; create the file, or correct the name", err)
	}
	if !info.Mode().IsRegular() { // a pipe would block
		return file{}, "", errors.New("not a file; name a file of text")
	}
	f, err := os.Open(path)
	if err != nil {
		return file{}, "", fmt.Errorf("%w; let the daemon's user read it", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return file{}, "", err
	}
	if len(text) > maxFile {
		return file{}, "", fmt.Errorf("longer than %d bytes; split it, or ask a socketmap server", maxFile)
	}
	return file{path: path, seen: info}, string(text), nil
}

// changed reports whether another file is there now. A change that keeps the size within one tick of the file system's clock is not seen.
func (f file) changed() bool {
	now, err := os.Stat(f.path)
	return err == nil && (!os.SameFile(now, f.seen) || now.Size() != f.seen.Size() || !now.ModTime().Equal(f.seen.ModTime()))
}

// logical joins the lines of a text (postmap(1), TABLE FORMAT): "A logical line starts with non-whitespace text. A line that starts with
// whitespace continues a logical line." Empty lines and comments are left out before that, so they may stand in between.
func logical(text string) ([]line, error) {
	var lines []line
	number := 0
	for raw := range strings.Lines(text) {
		number++
		raw = strings.TrimSuffix(raw, "\n")
		here := line{number, raw}
		if err := here.sane(); err != nil {
			return nil, err
		}
		body := strings.TrimLeft(raw, blank)
		switch {
		case body == "" || body[0] == '#':
		case raw[0] != ' ' && raw[0] != '\t':
			lines = append(lines, here)
		case len(lines) == 0:
			return nil, here.errorf("it starts with a blank, and there is nothing to continue; remove the blank")
		case len(lines[len(lines)-1].text)+len(raw) > maxLine:
			return nil, here.errorf("with it a line is longer than %d bytes; make several entries of it", maxLine)
		default:
			lines[len(lines)-1].text += raw
		}
	}
	return lines, nil
}

// sane wants a line of text of some length.
func (l line) sane() error {
	switch {
	case len(l.text) > maxLine:
		return l.errorf("longer than %d bytes; make several entries of it", maxLine)
	case !utf8.ValidString(l.text):
		return l.errorf("not UTF-8; convert the file with iconv(1)")
	case strings.Contains(l.text, "\x00"):
		return l.errorf("it has a NUL byte; is this a file of text?")
	}
	return nil
}
