package dkim

import (
	"fmt"
	"slices"
	"strings"
)

// Tag is one name=value of a tag list.
type Tag struct {
	Name, Value string // the value without the white space around it
}

// ParseTags reads a tag list (RFC 6376 3.2): name=value separated by semicolons, white space and folds around both. A name that stands twice
// is an error, as is anything else.
func ParseTags(text string) ([]Tag, error) { return appendTags(make([]Tag, 0, usualTags), text) }

// appendTags reads a tag list as ParseTags does, into an empty list.
func appendTags(tags []Tag, text string) ([]Tag, error) {
	var seen map[string]bool // of names, where they are many
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
		case seen[name] || seen == nil && slices.ContainsFunc(tags, func(t Tag) bool { return t.Name == name }):
			return nil, fmt.Errorf("tag %s stands twice", name) // RFC 6376 3.2
		case hasControl(value):
			return nil, fmt.Errorf("tag %s has a control character", name)
		}
		tags = append(tags, Tag{name, value})
		if seen == nil && len(tags) > usualTags {
			seen = map[string]bool{}
			for _, t := range tags {
				seen[t.Name] = true
			}
		}
		if seen != nil {
			seen[name] = true
		}
	}
	return tags, nil
}

// usualTags is as many as a signature or key has of all that RFC 6376 knows.
const usualTags = 14

// hasControl reports whether a text has a control character that is no folding white space.
func hasControl(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return true
		}
	}
	return false
}

// trim drops folding white space at both ends.
func trim(s string) string {
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpace(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func hasSpace(s string) bool {
	for i := range len(s) {
		if isSpace(s[i]) {
			return true
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isTagName: ALPHA *ALNUMPUNC (RFC 6376 3.2), and hyphens, which people write in tags of their own: nobody reads those.
func isTagName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '_' && r != '-') {
			return false
		}
	}
	return name != ""
}

// unspace drops all white space, as base64 values are folded anywhere.
func unspace(s string) string {
	var b strings.Builder
	written := 0 // of s, into b
	for i := range len(s) {
		if !isSpace(s[i]) {
			continue
		}
		if b.Cap() == 0 {
			b.Grow(len(s))
		}
		b.WriteString(s[written:i])
		written = i + 1
	}
	if written == 0 {
		return s
	}
	b.WriteString(s[written:])
	return b.String()
}
