package policyfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"gatepost.example/policy"
)

// maxSize bounds a policy file, in bytes. Some 20,000 list entries fit.
const maxSize = 1 << 20

// Load reads a policy file. The error is an Errors when the file is wrong, else it says why the file cannot be read.
func Load(path string, vocabulary *policy.Vocabulary) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("the policy cannot be read: %w", err)
	}
	return LoadText(path, text, vocabulary)
}

// LoadText does what Load does with a text that is to stand in the file.
func LoadText(path string, text []byte, vocabulary *policy.Vocabulary) (*File, error) {
	return ParseWith(path, text, vocabulary, Reading{Now: time.Now(), File: ReadFile})
}

// Parse reads the text of a policy file over the facts of vocabulary; name is what errors call the file. The error is always an
// Errors, with every mistake that could be found in one go. Work is linear in the text, which may have at most 1 MiB. Files that lists name
// are not read.
func Parse(name string, text []byte, vocabulary *policy.Vocabulary) (*File, error) {
	return ParseWith(name, text, vocabulary, Reading{})
}

// ParseWith does what Parse does, and reads the files that lists name.
func ParseWith(name string, text []byte, vocabulary *policy.Vocabulary, from Reading) (*File, error) {
	f := Default()
	f.Name, f.Text = name, string(text)
	sum := sha256.Sum256(text)
	f.Hash = hex.EncodeToString(sum[:8])
	d := &decoder{file: name, bad: map[string]bool{}, named: map[string][]string{}}
	if len(text) > maxSize {
		d.where = newPlaces("")
		d.wrongAt(0, "the file has more than %d bytes; a policy is smaller", maxSize)
		return nil, d.errors
	}
	from.File = d.notes(from.File)
	// A byte order mark is no part of the text; editors neither show nor count it.
	d.where = newPlaces(strings.TrimLeft(f.Text, "\ufeff"))
	tree, ok := d.parse()
	if ok {
		d.decode(&f, tree)
		d.freemailFiles(&f, from)
		d.tokenOf(&f, from)
		d.listFiles(&f, from)
		d.pairFiles(&f, from)
		f.Vocabulary = d.limits(&f, vocabulary)
		d.compile(&f)
	}
	switch {
	case d.unread != nil:
		return nil, fmt.Errorf("the policy cannot be read: %w", d.unread)
	case len(d.errors) > 0:
		return nil, d.errors.sorted()
	}
	return &f, nil
}

// notes gives a reader of files that notes where one could not be opened because there are too many: that says nothing of the policy.
func (d *decoder) notes(read func(path string) ([]byte, error)) func(path string) ([]byte, error) {
	if read == nil {
		return nil
	}
	return func(path string) ([]byte, error) {
		data, err := read(path)
		if d.unread == nil && (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) {
			d.unread = err
		}
		return data, err
	}
}

// parse makes a tree of plain values of the text, or reports why it is no TOML.
func (d *decoder) parse() (map[string]any, bool) {
	text := d.where.text
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
			d.wrongAt(i, "byte 0x%02x is no UTF-8; save the file as UTF-8", text[i])
			return nil, false
		}
	}
	if d.where.deep >= 0 {
		d.wrongAt(d.where.deep, "values are nested or keys dotted more than %d deep; a policy needs three", maxDepth)
		return nil, false
	}
	tree, err := toTree(text)
	if err == nil && d.where.broken {
		// The library takes six quotes at the end of a text, which TOML does not. What has no place cannot be checked.
		d.wrongAt(d.where.lost, "this is no TOML from here on; look for a quote too many before it")
		return nil, false
	}
	if err == nil {
		return tree, true
	}
	if strings.Contains(err.Error(), "already") && len(d.where.twice) > 0 {
		for _, again := range d.where.twice {
			line, _ := d.where.position(again.first)
			d.wrongAt(again.offset, "%s is there already, in line %d; remove one of the two", again.path, line)
		}
		return nil, false
	}
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		d.wrongAt(min(syntax.Position.Start, len(text)), "%s%s", syntax.Message, remedy(syntax.Message))
	} else {
		d.wrongAt(0, "%v", err)
	}
	return nil, false
}

// toTree runs the TOML library. What it takes for a fault of its own is an error here.
func toTree(text string) (tree map[string]any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML parser fails: %v", r)
		}
	}()
	_, err = toml.Decode(text, &tree)
	return tree, err
}

// remedy says what to do about a syntax error.
func remedy(message string) string {
	remedies := []struct{ part, remedy string }{
		{"strings cannot contain newlines", "; close the quotes on the same line, or write '''several lines'''"},
		{"invalid escape", "; in 'single quotes' a backslash is plain text"},
		{"expected '.' or '='", "; a line is key = value, [section] or # comment"},
		{"unexpected EOF; expected '", "; the quotes are never closed"},
		{"expected value but found", "; texts stand in quotes, other values are numbers, true, false, [arrays] and { tables }"},
		{"end with a newline", "; a line holds one key, and a text with \" in it stands in 'single quotes'"},
		{"expected a comma", "; put a comma between the elements"},
		{"already", "; remove one of the two"},
	}
	for _, r := range remedies {
		if strings.Contains(message, r.part) {
			return r.remedy
		}
	}
	return ""
}
