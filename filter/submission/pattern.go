package submission

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// A pattern is one as it was written: "!", delimiter, text, delimiter, flags.
type pattern struct {
	negate bool
	text   string
	flags  string
}

// cutPattern cuts a pattern off a line. "The expression delimiter can be any non-alphanumerical character, except whitespace or characters
// that have special meaning". Each "!" turns the sense around.
func cutPattern(line string) (p pattern, rest string, err error) {
	for line != "" && strings.IndexByte("!"+blank, line[0]) >= 0 {
		p.negate = p.negate != (line[0] == '!')
		line = line[1:]
	}
	if line == "" {
		return p, "", errors.New("no pattern; write one between slashes")
	}
	c := line[0]
	if alnum(c) || c == '\\' || c >= 0x80 {
		return p, "", fmt.Errorf("a pattern cannot stand between %q; put it between slashes", c)
	}
	end := 1
	for ; end < len(line) && line[end] != c; end++ {
		if line[end] == '\\' {
			end++
		}
	}
	if end >= len(line) {
		return p, "", fmt.Errorf("the pattern has no %q at its end; write it", c)
	}
	p.text, line = line[1:end], line[end+1:]
	end = strings.IndexAny(line, blank)
	if end < 0 {
		end = len(line)
	}
	p.flags = line[:end]
	return p, strings.Trim(line[end:], blank), nil
}

// compile makes a matcher.
func (p pattern) compile(kind string) (matcher, error) {
	if kind == kindPCRE {
		return compilePCRE(p)
	}
	return compilePOSIX(p)
}

// toggle reads flags: each turns one setting around.
func toggle(flags, known string) (map[rune]bool, error) {
	on := map[rune]bool{}
	for _, c := range flags {
		switch {
		case c == '!':
			return nil, errors.New("a second pattern; write if !/pattern/ before the rule and endif after it")
		case !strings.ContainsRune(known, c):
			return nil, fmt.Errorf("the flag %q is not known; write some of %s, or none", c, known)
		}
		on[c] = !on[c]
	}
	return on, nil
}

// posixMatcher is a pattern of regexp_table(5).
type posixMatcher struct{ re *regexp.Regexp }

// compilePOSIX reads an extended regular expression (regex(7)) with Go's package regexp, which needs time in proportion to the text.
//
// The overall match is POSIX's, leftmost and longest. It differs from regex(7) in this: which groups share a match in two ways may differ;
// case is no matter for the letters of all languages, not ASCII's only. Refused are \1 in a pattern, basic expressions (flag x), what
// glibc adds to POSIX (\w, \b, \<), and what Go would read in another way than glibc.
func compilePOSIX(p pattern) (matcher, error) {
	on, err := toggle(p.flags, "imx")
	if err != nil {
		return nil, err
	}
	if on['x'] {
		return nil, errors.New("basic regular expressions (flag x) are not known here; write the pattern as an extended one, without the flag")
	}
	text, err := posix(p.text)
	if err != nil {
		return nil, err
	}
	flags := syntax.OneLine | syntax.MatchNL
	if on['m'] { // REG_NEWLINE in regex(3)
		flags = 0
	}
	if !on['i'] {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(text, flags)
	if err != nil {
		return nil, fmt.Errorf("%w; correct the pattern", err)
	}
	re, err := regexp.Compile(tree.String()) // the same pattern with its flags written out, as Compile knows Perl's syntax only
	if err != nil {
		return nil, fmt.Errorf("%w; correct the pattern", err)
	}
	re.Longest()
	return posixMatcher{re}, nil
}

// posix rewrites a pattern where Go reads another thing than POSIX, and refuses what it cannot rewrite.
func posix(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\':
			if i++; i == len(text) {
				return "", errors.New(`the pattern ends with \; write \\ for a backslash`)
			}
			if alnum(text[i]) || strings.IndexByte("<>`'", text[i]) >= 0 {
				return "", fmt.Errorf(`\%c is not POSIX; write [[:alnum:]] or the like, or make it a pcre table`, text[i])
			}
			b.WriteString(text[i-1 : i+1])
		case strings.HasPrefix(text[i:], "{,"):
			return "", errors.New("{,n} is not POSIX; write {0,n}")
		case text[i] == '[':
			n, err := bracket(text[i:])
			if err != nil {
				return "", err
			}
			b.WriteString(strings.ReplaceAll(text[i:i+n], `\`, `\\`)) // regex(7): a backslash within [ ] is an ordinary character
			i += n - 1
		default:
			b.WriteByte(text[i])
		}
	}
	return b.String(), nil
}

// bracket gives the length of the bracket expression that a text starts with. A ] that comes first in it is an ordinary character.
func bracket(text string) (int, error) {
	i := 1
	if strings.HasPrefix(text[i:], "^") {
		i++
	}
	if strings.HasPrefix(text[i:], "]") {
		i++
	}
	for ; i < len(text); i++ {
		switch {
		case text[i] == ']':
			return i + 1, nil
		case strings.HasPrefix(text[i:], "[.") || strings.HasPrefix(text[i:], "[="):
			return 0, errors.New("[. .] and [= =] are not known here; write the characters")
		case strings.HasPrefix(text[i:], "[:"):
			end := strings.Index(text[i+2:], ":]")
			if end < 0 {
				return 0, errors.New("[: has no :] at its end; write [[:alnum:]] or the like")
			}
			i += end + 3
		}
	}
	return 0, errors.New("[ has no ] at its end; write it, or \\[ for the character")
}

// find implements matcher.
func (m posixMatcher) find(key string) ([]string, error) { return m.re.FindStringSubmatch(key), nil }

// groups implements matcher.
func (m posixMatcher) groups() int { return m.re.NumSubexp() }
