package submission

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/dlclark/regexp2"
)

// maxBacktrack is the time that one pattern has for one address. PCRE counts steps instead (pcre2_set_match_limit).
const maxBacktrack = 250 * time.Millisecond

// pcreMatcher is a pattern of pcre_table(5).
type pcreMatcher struct{ re *regexp2.Regexp }

// compilePCRE reads a pattern with regexp2, which follows .NET. What .NET reads in another way than Perl is refused, see readable; flag U
// (PCRE2_UNGREEDY) is, too. Flag E is how it always is: $ matches at the end only, and no address has a newline there.
func compilePCRE(p pattern) (matcher, error) {
	on, err := toggle(p.flags, "imsxAEUX")
	if err != nil {
		return nil, err
	}
	if on['U'] {
		return nil, errors.New("the flag U is not known here; write .*? for .*")
	}
	if err := readable(p.text); err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(anchor(p.text, on['A'], on['x']), options(on['i'], on['m'], on['s'], on['x']))
	if err != nil {
		return nil, fmt.Errorf("%w; correct the pattern", err)
	}
	re.MatchTimeout = maxBacktrack
	return pcreMatcher{re}, nil
}

// options are those of pcre_table(5): i and s are on by default, m and x are off. RE2 adds [[:alnum:]], and limits \w, \d and \s to ASCII.
func options(i, m, s, x bool) regexp2.RegexOptions {
	o := regexp2.RegexOptions(regexp2.RE2)
	if !i {
		o |= regexp2.IgnoreCase
	}
	if m {
		o |= regexp2.Multiline
	}
	if !s {
		o |= regexp2.Singleline
	}
	if x {
		o |= regexp2.IgnorePatternWhitespace
	}
	return o
}

// anchor holds a pattern to the start of the text (flag A). With flag x its last line may be a comment.
func anchor(text string, on, extended bool) string {
	switch {
	case !on:
		return text
	case extended:
		return `\A(?:` + text + "\n)"
	}
	return `\A(?:` + text + `)`
}

// groupStart is what may stand after a "(" and mean the same in Perl and .NET: a group, one without a number, looking around, an atomic
// one, a comment, and flags.
var groupStart = regexp.MustCompile(`^\((?:[^?*]|\?(?:[:=!>#]|<[=!]|[imsx]*(?:-[imsx]+)?[:)])|$)`)

// knownEscapes are the letters and digits that mean the same after a backslash.
const knownEscapes = "dDwWsSbBAzZGnrtfeapP0123456789x"

// readable refuses the constructs that regexp2 would read in another way than PCRE, or not at all.
func readable(text string) error {
	class := -1 // where the class [ ] starts that we are in
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\':
			if i++; i < len(text) && alnum(text[i]) && strings.IndexByte(knownEscapes, text[i]) < 0 || strings.HasPrefix(text[i:], "x{") {
				return fmt.Errorf(`\%c is not known here; write it in another way`, text[i])
			}
		case class >= 0 && strings.HasPrefix(text[i:], "-["):
			return errors.New(`-[ within [ ] is not known here; write \[ first and - last`)
		case class >= 0 && strings.HasPrefix(text[i:], "[:"):
			i += max(0, strings.Index(text[i:], ":]")) + 1
		case class >= 0:
			if inner := text[class+1 : i]; c == ']' && inner != "" && inner != "^" { // one that comes first is a character
				class = -1
			}
		case c == '[':
			class = i
		case c == '(' && !groupStart.MatchString(text[i:]):
			return fmt.Errorf("%.4q is not known here; write groups as ( ), (?: ), (?= ), (?! ), (?<= ), (?<! ), (?> ) or (?i)", text[i:])
		}
	}
	return nil
}

// find implements matcher.
func (m pcreMatcher) find(key string) ([]string, error) {
	match, err := m.re.FindStringMatch(key)
	if err != nil {
		return nil, fmt.Errorf("the pattern found no end within %s for an address of %d bytes", maxBacktrack, len(key))
	}
	if match == nil {
		return nil, nil
	}
	groups := make([]string, 0, match.GroupCount())
	for _, g := range match.Groups() {
		groups = append(groups, g.String())
	}
	return groups, nil
}

// groups implements matcher.
func (m pcreMatcher) groups() int { return len(m.re.GetGroupNumbers()) - 1 }
