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
	var b strings.Builder
	b.Grow(len(s))
	for {
		i := strings.IndexAny(s, " \t\r\n")
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
	}
}
