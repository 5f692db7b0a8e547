package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Stage is a step of an SMTP session at which the MTA waits for an answer.
type Stage uint8

// The stages, in the order in which a session reaches them.
const (
	Connect Stage = iota // the client's connection
	Helo                 // HELO or EHLO
	Mail                 // MAIL FROM
	Rcpt                 // RCPT TO, once for each recipient
	Data                 // the end of the message
	stages
)

var stageNames = [stages]string{"connect", "helo", "mail", "rcpt", "data"}

// String gives the stage's word as logs, history and policy checks print it.
func (s Stage) String() string {
	if s < stages {
		return stageNames[s]
	}
	return fmt.Sprintf("stage(%d)", uint8(s))
}

// ParseStage gives the stage of a word that String prints.
func ParseStage(word string) (Stage, bool) {
	for i, name := range stageNames {
		if name == word {
			return Stage(i), true
		}
	}
	return 0, false
}

// Scope says to what a fact belongs, and so how long it holds.
type Scope uint8

// The scopes, from the widest to the narrowest.
const (
	OfConnection Scope = iota // until the client disconnects
	OfMessage                 // from MAIL to the end of the message or RSET
	OfRecipient               // of one RCPT
)

var scopeNames = [...]string{"connection", "message", "recipient"}

// String gives the scope's word.
func (s Scope) String() string { return scopeNames[s] }

// Type is the type of a fact's value in a condition.
type Type uint8

// The types of facts.
const (
	String  Type = iota // text
	Bool                // true or false
	Int                 // a whole number
	Double              // a number
	Strings             // a list of texts
)

var typeNames = [...]string{"string", "bool", "int", "double", "list(string)"}

// String gives the type's name as CEL writes it.
func (t Type) String() string { return typeNames[t] }

// Kind says which entries of a [list] a fact is compared with.
type Kind uint8

// The kinds of facts and of list entries.
const (
	NoKind      Kind = iota // the fact cannot stand before "in list.NAME"
	KindIP                  // compared with networks
	KindAddress             // compared with mail addresses, and their domains with domains
	KindDomain              // compared with domains
	KindUser                // compared with users
)

var kindNames = [...]string{"", "ip", "address", "domain", "user"}

// String gives the kind's word, "" for NoKind.
func (k Kind) String() string { return kindNames[k] }

// Fact declares one named, typed value that rules can read. The checks declare theirs; the vocabulary is their sum.
type Fact struct {
	Name    string   // dotted, as rules write it: "spf.result"
	Type    Type     // of its value
	Stage   Stage    // the first stage at which it can be known
	Scope   Scope    // to what it belongs
	Kind    Kind     // which list entries it is compared with
	Words   []string // all values it can have, where they are few; else nil
	Range   Range    // of a number
	Trouble Value    // its value when its check was cut off, panicked or failed
	Text    string   // one line for people
}

// Range is the least and the most that a number can be, both included. The zero Range knows no bounds.
type Range struct{ Least, Most float64 }

// String gives the range as people read it.
func (r Range) String() string {
	if math.IsInf(r.Most, 1) {
		return fmt.Sprintf("%v or more", r.Least)
	}
	return fmt.Sprintf("from %v to %v", r.Least, r.Most)
}

// FromZero is the range of what is counted.
func FromZero() Range { return Range{0, math.Inf(1)} }

// Value is the value of a fact. The zero Value is "not there yet".
type Value struct{ val ref.Val }

// StringOf gives a text value.
func StringOf(s string) Value {
	if s == "" {
		return empty // many facts are, in many sessions
	}
	return Value{types.String(s)}
}

var empty = Value{types.String("")}

// BoolOf gives a truth value.
func BoolOf(b bool) Value { return Value{types.Bool(b)} }

// IntOf gives a whole number.
func IntOf(n int) Value { return Value{types.Int(n)} }

// DoubleOf gives a number.
func DoubleOf(f float64) Value { return Value{types.Double(f)} }

// StringsOf gives a list of texts. The slice must not change afterwards.
func StringsOf(list []string) Value {
	return Value{types.NewStringList(types.DefaultTypeAdapter, list)}
}

// Any gives the value as Go has it: a string, bool, int64, float64 or []string; nil when it is not there.
func (v Value) Any() any {
	if v.val == nil {
		return nil
	}
	return v.val.Value()
}

// IsZero reports whether the value is not there.
func (v Value) IsZero() bool { return v.val == nil }

// ParseValue reads a value of a type as conditions write it: "text", true, 12, 0.5, ["a", "b"]. A text may stand without quotes, and a list
// without brackets.
func ParseValue(t Type, text string) (Value, error) {
	switch t {
	case String:
		if unquoted, err := strconv.Unquote(text); err == nil {
			text = unquoted
		}
		return StringOf(text), nil
	case Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return Value{}, fmt.Errorf("%q is neither true nor false", text)
		}
		return BoolOf(b), nil
	case Int:
		n, err := strconv.Atoi(text)
		if err != nil {
			return Value{}, fmt.Errorf("%q is no whole number", text)
		}
		return IntOf(n), nil
	case Double:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return Value{}, fmt.Errorf("%q is no number", text)
		}
		return DoubleOf(f), nil
	}
	var list []string
	for part := range strings.SplitSeq(strings.Trim(text, "[]"), ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, strings.Trim(part, `"`))
		}
	}
	return StringsOf(list), nil
}
