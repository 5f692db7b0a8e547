package submission

import (
	"fmt"
	"strconv"
	"strings"
)

// A part of a value is either text or the number of a group.
type part struct {
	text  string
	group int // 0: it is text
}

// parseValue reads $1, ${1}, $(1) and $$ in a value (TEXT SUBSTITUTION in regexp_table(5)), and gives the highest number.
func parseValue(text string) (parts []part, highest int, err error) {
	for text != "" {
		before, after, found := strings.Cut(text, "$")
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			break
		}
		if rest, ok := strings.CutPrefix(after, "$"); ok {
			parts, text = append(parts, part{text: "$"}), rest
			continue
		}
		name, rest := cutName(after)
		n, err := strconv.ParseUint(name, 10, 16)
		if err != nil || n == 0 {
			return nil, 0, fmt.Errorf("%q is no number of a group; write $1 or ${1}, or $$ for a dollar", "$"+name)
		}
		parts, text, highest = append(parts, part{group: int(n)}), rest, max(highest, int(n))
	}
	return parts, highest, nil
}

// cutName cuts a name off: within { } or ( ), else as long as there are letters, digits and _.
func cutName(text string) (name, rest string) {
	for _, pair := range []string{"{}", "()"} {
		if strings.HasPrefix(text, pair[:1]) {
			if name, rest, ok := strings.Cut(text[1:], pair[1:]); ok {
				return name, rest
			}
			return "", ""
		}
	}
	end := 0
	for end < len(text) && (alnum(text[end]) || text[end] == '_') {
		end++
	}
	return text[:end], text[end:]
}

// expand fills the groups into a value. A group that took no part in the match is empty.
func expand(parts []part, groups []string) string {
	var b strings.Builder
	for _, p := range parts {
		switch {
		case p.group == 0:
			b.WriteString(p.text)
		case p.group < len(groups):
			b.WriteString(groups[p.group])
		}
	}
	return b.String()
}
