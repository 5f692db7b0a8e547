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

// value cleans and judges a field.
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
	return folded(value), nil
}

func isName(name string) error {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return fmt.Errorf("%q is no name of a field", name)
	}
	return nil
}

// field writes a frame that names a field: where it stands, unless index is below 0, name and value. An MTA that gives us the blank behind
// the colon wants it back from us.
func (e *editor) field(code byte, index int, name, value string) error {
	e.edit(code, index, name, value, e.parts&leadingSpace != 0)
	return nil
}

func (e *editor) edit(code byte, index int, name, value string, blank bool) {
	c := e.conn
	start := c.begin(code)
	if index >= 0 {
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(index))
	}
	c.out = append(append(c.out, name...), 0)
	if blank {
		c.out = append(c.out, ' ')
	}
	c.out = append(append(c.out, value...), 0)
	c.end(start)
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
	e.edit(codeChangeHeader, max(index, 0), name, "", false)
	return nil
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
	var out []byte // value with blanks; nil while there are none
	for i := range len(value) {
		c := value[i]
		fold := c == '\n' && i+2 < len(value) && (value[i+1] == ' ' || value[i+1] == '\t')
		if c >= ' ' && c != 0x7f || c == '\t' || fold {
			continue
		}
		if out == nil {
			out = []byte(value)
		}
		out[i] = ' '
	}
	if out == nil {
		return value
	}
	return string(out)
}
