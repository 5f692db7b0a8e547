package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// ErrNotOffered says that the MTA did not offer this change.
var ErrNotOffered = errors.New("the MTA does not offer this change of a message")

// editor changes a message within what the MTA allows.
type editor session

func (e *editor) may(action uint32) error {
	if e.actions&action == 0 {
		return ErrNotOffered
	}
	return nil
}

// value cleans and judges a field. An MTA that gives us the blank behind the colon wants it back from us.
func (e *editor) value(action uint32, name, value string) (string, error) {
	if err := e.may(action); err != nil {
		return "", err
	}
	if err := isName(name); err != nil {
		return "", err
	}
	if len(value) > MaxValue {
		return "", fmt.Errorf("the value of %s has over %d bytes", name, MaxValue)
	}
	value = folded(value)
	if e.parts&leadingSpace != 0 {
		value = " " + value
	}
	return value, nil
}

func isName(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("%q is no name of a field", name)
	}
	return nil
}

// field writes a frame that names a field: where it stands, unless index is below 0, name and value.
func (e *editor) field(code byte, index int, name, value string) error {
	c := e.conn
	start := c.begin(code)
	if index >= 0 {
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(index))
	}
	c.out = append(append(c.out, name...), 0)
	c.out = append(append(c.out, value...), 0)
	c.end(start)
	return nil
}

// AddHeader implements Editor.
func (e *editor) AddHeader(name, value string) error {
	value, err := e.value(actAddHeader, name, value)
	if err != nil {
		return err
	}
	return e.field(codeAddHeader, -1, name, value)
}

// InsertHeader implements Editor.
func (e *editor) InsertHeader(index int, name, value string) error {
	value, err := e.value(actAddHeader, name, value)
	if err != nil {
		return err
	}
	return e.field(codeInsertHeader, max(index, 0), name, value)
}

// ChangeHeader implements Editor.
func (e *editor) ChangeHeader(name string, index int, value string) error {
	value, err := e.value(actChangeHeader, name, value)
	if err != nil {
		return err
	}
	return e.field(codeChangeHeader, max(index, 0), name, value)
}

// DeleteHeader implements Editor. The name is the sender's: it goes back to the MTA as it came.
func (e *editor) DeleteHeader(name string, index int) error {
	if err := e.may(actChangeHeader); err != nil {
		return err
	}
	if err := isName(name); err != nil {
		return err
	}
	return e.field(codeChangeHeader, max(index, 0), name, "")
}

// Quarantine implements Editor.
func (e *editor) Quarantine(reason string) error {
	if err := e.may(actQuarantine); err != nil {
		return err
	}
	start := e.conn.begin(codeQuarantine)
	e.conn.out = append(append(e.conn.out, printable(reason, MaxReason)...), 0)
	e.conn.end(start)
	return nil
}

// folded makes control characters blanks, but for folds: a line feed before a blank, so that no value can begin a field of its own.
func folded(value string) string {
	value = strings.ReplaceAll(value, "\r\n", "\n")
	if strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) < 0 {
		return value
	}
	out := []byte(value)
	for i, c := range out {
		fold := c == '\n' && i+2 < len(out) && (out[i+1] == ' ' || out[i+1] == '\t')
		if c < ' ' && c != '\t' && !fold || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}
