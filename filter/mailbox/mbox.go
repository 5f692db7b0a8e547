package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// An mbox holds messages one after the other, each below a line "From SENDER DATE" that stands at the beginning or behind an empty line (RFC
// 4155). A line of a message that begins with From would look like one: mboxo writes ">From " for it, mboxrd puts one more > before any
// number of them. Reading takes one > away, which is right for both, but for a line that mboxo left as it was written.

// maxLine bounds the piece of a line that is looked at as a whole.
const maxLine = 64 << 10

// ReadMbox gives the messages of an mbox in their order, without the lines that part them. A message of over MaxMessage bytes is handed to
// visit as an error, and the next one follows. The time is that of the From line, zero where it has none.
func ReadMbox(r io.Reader, visit func(n int, at time.Time, text []byte, err error) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	m := mboxMessage{}
	whole, empty := true, true // the piece before ended a line; that line was empty
	for {
		piece, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && !errors.Is(err, io.EOF) {
			return err
		}
		if len(piece) > 0 {
			at, isFrom := fromLine(bytes.TrimRight(piece, "\r\n"))
			switch {
			case whole && empty && isFrom:
				if err := m.end(visit); err != nil {
					return err
				}
				m = mboxMessage{n: m.n + 1, at: at}
			case m.n > 0:
				m.add(piece, whole)
			}
			empty = whole && len(bytes.TrimRight(piece, "\r\n")) == 0
			whole = piece[len(piece)-1] == '\n'
		}
		if errors.Is(err, io.EOF) {
			return m.end(visit)
		}
	}
}

// mboxMessage is the message that is being read; n is 0 before the first.
type mboxMessage struct {
	n    int
	at   time.Time
	text []byte
	err  error
}

func (m *mboxMessage) add(piece []byte, begins bool) {
	if begins && bytes.HasPrefix(bytes.TrimLeft(piece, ">"), []byte("From ")) && piece[0] == '>' {
		piece = piece[1:]
	}
	if len(m.text)+len(piece) > MaxMessage {
		m.text, m.err = nil, fmt.Errorf("the message has over %d MB", MaxMessage>>20)
	}
	if m.err == nil {
		m.text = append(m.text, piece...)
	}
}

// end hands the message over, without the empty line that parts it from the next.
func (m *mboxMessage) end(visit func(int, time.Time, []byte, error) error) error {
	if m.n == 0 {
		return nil
	}
	text := m.text
	switch {
	case bytes.HasSuffix(text, []byte("\n\r\n")):
		text = text[:len(text)-2]
	case bytes.HasSuffix(text, []byte("\n\n")):
		text = text[:len(text)-1]
	}
	return visit(m.n, m.at, text, m.err)
}

// fromLine reads "From SENDER DATE", the date as asctime writes it, perhaps with a time zone. Without a date it is no such line.
func fromLine(line []byte) (time.Time, bool) {
	rest, ok := bytes.CutPrefix(line, []byte("From "))
	if !ok || len(rest) > 1000 {
		return time.Time{}, false
	}
	words := strings.Fields(string(rest))
	for i := range words { // a sender may have blanks in it
		if len(words)-i < 5 {
			break
		}
		date := strings.Join(words[i:], " ")
		for _, form := range []string{"Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan _2 15:04:05 -0700 2006", "Mon Jan _2 15:04:05 2006 -0700", "Mon, _2 Jan 2006 15:04:05 -0700"} {
			if at, err := time.Parse(form, date); err == nil {
				return at, true
			}
		}
	}
	return time.Time{}, false
}

func walkMbox(path, folder string, since time.Time, visit func(Message) error, failed func(string, error)) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return ReadMbox(f, func(n int, at time.Time, text []byte, err error) error {
		name := fmt.Sprintf("%s#%d", path, n)
		switch {
		case err != nil:
			failed(name, err)
			return nil
		case at.Before(since):
			return nil
		}
		return visit(Message{Name: name, Folder: folder, Time: at, Text: text})
	})
}
