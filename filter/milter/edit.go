package milter

import (
	"errors"
	"fmt"
	"strings"

	gomilter "github.com/d--j/go-milter"
)

// ErrNotOffered says that the MTA did not offer this change.
var ErrNotOffered = errors.New("the MTA does not offer this change of a message")

// editor changes a message within what the MTA allows.
type editor struct{ m gomilter.Modifier }

func (e *editor) may(action gomilter.OptAction) error {
	if e.m.Actions()&action == 0 {
		return ErrNotOffered
	}
	return nil
}

// value cleans and judges a field. An MTA that gives us the blank behind the colon wants it back from us.
func (e *editor) value(action gomilter.OptAction, name, value string) (string, error) {
	if err := e.may(action); err != nil {
		return "", err
	}
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
		return "", fmt.Errorf("%q is no name of a field", name)
	}
	if len(value) > MaxValue {
		return "", fmt.Errorf("the value of %s has over %d bytes", name, MaxValue)
	}
	value = folded(value)
	if e.m.Protocol()&gomilter.OptHeaderLeadingSpace != 0 {
		value = " " + value
	}
	return value, nil
}

// AddHeader implements Editor.
func (e *editor) AddHeader(name, value string) error {
	value, err := e.value(gomilter.OptAddHeader, name, value)
	if err != nil {
		return err
	}
	return e.m.AddHeader(name, value)
}

// InsertHeader implements Editor.
func (e *editor) InsertHeader(index int, name, value string) error {
	value, err := e.value(gomilter.OptAddHeader, name, value)
	if err != nil {
		return err
	}
	return e.m.InsertHeader(index, name, value)
}

// ChangeHeader implements Editor.
func (e *editor) ChangeHeader(name string, index int, value string) error {
	value, err := e.value(gomilter.OptChangeHeader, name, value)
	if err != nil {
		return err
	}
	return e.m.ChangeHeader(index, name, value)
}

// DeleteHeader implements Editor. The name is the sender's: it goes back to the MTA as it came.
func (e *editor) DeleteHeader(name string, index int) error {
	if err := e.may(gomilter.OptChangeHeader); err != nil {
		return err
	}
	return e.m.ChangeHeader(index, name, "")
}

// Quarantine implements Editor.
func (e *editor) Quarantine(reason string) error {
	if err := e.may(gomilter.OptQuarantine); err != nil {
		return err
	}
	return e.m.Quarantine(printable(reason, MaxReason))
}

// folded makes control characters blanks, but for folds: a line feed before a blank, so that no value can begin a field of its own.
func folded(value string) string {
	out := []byte(strings.ReplaceAll(value, "\r\n", "\n"))
	for i, c := range out {
		fold := c == '\n' && i+2 < len(out) && (out[i+1] == ' ' || out[i+1] == '\t')
		if c < ' ' && c != '\t' && !fold || c == 0x7f {
			out[i] = ' '
		}
	}
	return string(out)
}
