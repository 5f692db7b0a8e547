package submission

import (
	"context"
	"fmt"
	"strings"
)

// texthash is a table of fixed keys, in memory. Nothing of it changes after it was read.
type texthash struct {
	spec    spec
	file    file
	entries map[string]entry // by key, in lower case
}

// An entry is one line of a texthash table.
type entry struct {
	value string
	line  int
}

// openTexthash reads a table.
func openTexthash(s spec) (table, error) {
	f, text, err := s.readFile()
	if err != nil {
		return nil, err
	}
	entries, err := parseTexthash(text)
	if err != nil {
		return nil, err
	}
	return &texthash{spec: s, file: f, entries: entries}, nil
}

// parseTexthash reads "key whitespace value" (postmap(1)).
func parseTexthash(text string) (map[string]entry, error) {
	lines, err := logical(text)
	if err != nil {
		return nil, err
	}
	entries := make(map[string]entry, len(lines))
	for _, l := range lines {
		key, value, balanced := cutKey(l.text)
		key = strings.ToLower(key)
		earlier, twice := entries[key]
		switch {
		case !balanced:
			return nil, l.errorf(`a quote " has no partner; close it before the blank that ends the key`)
		case key == "" || value == "":
			return nil, l.errorf("no key with a value; write ADDRESS, a blank, and the LOGINS")
		case strings.HasSuffix(key, ":"):
			return nil, l.errorf("the key %q ends with a colon, as in an alias file; remove the colon", key)
		case twice:
			return nil, l.errorf("the key %q is on line %d, too; write all its logins on one of them", key, earlier.line)
		}
		entries[key] = entry{value: value, line: l.number}
	}
	return entries, nil
}

// cutKey cuts a line at the first blank that is neither within quotes nor after a backslash, as postmap of Postfix 3.7 does.
func cutKey(text string) (key, value string, balanced bool) {
	quoted, end := false, len(text)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' {
			i++
		} else if c == '"' {
			quoted = !quoted
		} else if !quoted && strings.IndexByte(blank, c) >= 0 {
			end = i
			break
		}
	}
	return text[:end], strings.Trim(text[end:], blank), !quoted
}

// lookup implements table. Keys of fixed tables are folded (DICT_FLAG_FOLD_FIX in Postfix).
func (t *texthash) lookup(_ context.Context, key string) (value, where string, found bool, err error) {
	e, found := t.entries[strings.ToLower(key)]
	if !found {
		return "", "", false, nil
	}
	return e.value, fmt.Sprintf("%s line %d, %q", t.spec.text, e.line, strings.ToLower(key)), true, nil
}

// partial implements table.
func (t *texthash) partial() bool { return true }

// changed implements table.
func (t *texthash) changed() bool { return t.file.changed() }

// close implements table.
func (t *texthash) close() error { return nil }
