package dkim

import (
	"fmt"
	"strings"
)

// Tag is one name=value of a tag list.
type Tag struct {
	Name, Value string // the value without the white space around it
}

// ParseTags reads a tag list (RFC 6376 3.2): name=value separated by semicolons, white space and folds around both. A name that stands twice
// is an error, as is anything else.
func ParseTags(text string) ([]Tag, error) {
	var tags []Tag
	seen := map[string]bool{}
	rest, more := text, true
	for more {
		var spec string
		spec, rest, more = strings.Cut(rest, ";")
		if trim(spec) == "" {
			if more || len(tags) == 0 {
				return nil, fmt.Errorf("an empty tag")
			}
			break
		}
		name, value, found := strings.Cut(spec, "=")
		name, value = trim(name), trim(value)
		switch {
		case !found || !isTagName(name):
			return nil, fmt.Errorf("%q is no tag", spec)
		case seen[name]:
			return nil, fmt.Errorf("tag %s stands twice", name) // RFC 6376 3.2
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f }):
			return nil, fmt.Errorf("tag %s has a control character", name)
		}
		seen[name] = true
		tags = append(tags, Tag{name, value})
	}
	return tags, nil
}

// trim drops folding white space at both ends.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// isTagName: ALPHA *ALNUMPUNC (RFC 6376 3.2).
func isTagName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '_') {
			return false
		}
	}
	return name != ""
}

// unspace drops all white space, as base64 values are folded anywhere.
func unspace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
}
