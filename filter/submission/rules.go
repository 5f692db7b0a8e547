package submission

import (
	"context"
	"fmt"
	"strings"
	"time"
)

const (
	maxNesting = 100         // of if inside if
	maxMatch   = time.Second // for all rules of one lookup
)

// What a rule does.
type op int

const (
	opMatch op = iota // gives its value where the pattern matches
	opIf              // goes on behind its endif where the pattern does not match
	opEndif           // nothing
)

// A rule is one logical line of a table of patterns.
type rule struct {
	op     op
	line   int
	negate bool    // "!" before the pattern
	match  matcher // nil for opEndif
	value  []part  // for opMatch
	end    int     // for opIf: the index of its endif
}

// A matcher is a compiled pattern.
type matcher interface {
	// find gives the groups of the first match, the whole match at 0, or nil where there is none.
	find(key string) ([]string, error)
	// groups is the number of ( ) in the pattern.
	groups() int
}

// rules is a table of patterns (regexp_table(5), pcre_table(5)). Nothing of it changes after it was read.
type rules struct {
	spec spec
	file file
	list []rule
}

// openRules reads a table.
func openRules(s spec) (table, error) {
	f, text, err := s.readFile()
	if err != nil {
		return nil, err
	}
	list, err := parseRules(s.kind, text)
	if err != nil {
		return nil, err
	}
	return &rules{spec: s, file: f, list: list}, nil
}

// parseRules reads the lines of a table and finds the endif of each if.
func parseRules(kind, text string) ([]rule, error) {
	lines, err := logical(text)
	if err != nil {
		return nil, err
	}
	list := make([]rule, 0, len(lines))
	var open []int // the ifs without endif
	for _, l := range lines {
		r, err := parseRule(kind, strings.TrimRight(l.text, blank))
		if err != nil {
			return nil, l.errorf("%w", err)
		}
		r.line = l.number
		switch {
		case r.op == opIf && len(open) == maxNesting:
			return nil, l.errorf("more than %d if inside each other; write fewer", maxNesting)
		case r.op == opIf:
			open = append(open, len(list))
		case r.op == opEndif && len(open) == 0:
			return nil, l.errorf("endif without if; remove it")
		case r.op == opEndif:
			list[open[len(open)-1]].end = len(list)
			open = open[:len(open)-1]
		}
		list = append(list, r)
	}
	if len(open) > 0 {
		return nil, fmt.Errorf("line %d: if without endif; write endif where it ends", list[open[len(open)-1]].line)
	}
	return list, nil
}

// parseRule reads "/pattern/flags value", "if /pattern/flags" or "endif". Words are read without regard to case.
func parseRule(kind, text string) (rule, error) {
	if !alnum(text[0]) {
		return parseMatch(kind, text)
	}
	if rest, ok := cutWord(text, "if"); ok {
		return parseIf(kind, rest)
	}
	rest, ok := cutWord(text, "endif")
	switch {
	case !ok:
		return rule{}, fmt.Errorf("not a rule; write /pattern/ and the logins, if /pattern/, or endif")
	case rest != "":
		return rule{}, fmt.Errorf("text after endif; put it on a line of its own")
	}
	return rule{op: opEndif}, nil
}

// cutWord cuts a word off the start of a line.
func cutWord(text, word string) (rest string, ok bool) {
	if len(text) < len(word) || !strings.EqualFold(text[:len(word)], word) || len(text) > len(word) && alnum(text[len(word)]) {
		return "", false
	}
	return strings.Trim(text[len(word):], blank), true
}

// alnum reports whether a byte is an ASCII letter or digit.
func alnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

// parseIf reads what stands after "if".
func parseIf(kind, text string) (rule, error) {
	p, rest, err := cutPattern(text)
	switch {
	case err != nil:
		return rule{}, err
	case rest != "":
		return rule{}, fmt.Errorf("text after if /pattern/; put it on a line of its own, without a blank before it")
	}
	m, err := p.compile(kind)
	return rule{op: opIf, negate: p.negate, match: m}, err
}

// parseMatch reads a pattern with its value.
func parseMatch(kind, text string) (rule, error) {
	p, rest, err := cutPattern(text)
	switch {
	case err != nil:
		return rule{}, err
	case rest == "":
		return rule{}, fmt.Errorf("a pattern without a value; write the logins after it")
	}
	value, highest, err := parseValue(rest)
	switch {
	case err != nil:
		return rule{}, err
	case highest > 0 && p.negate:
		return rule{}, fmt.Errorf("$%d in a rule with !, which matches nothing to put there; write the logins out", highest)
	}
	m, err := p.compile(kind)
	switch {
	case err != nil:
		return rule{}, err
	case highest > m.groups():
		return rule{}, fmt.Errorf("$%d, but the pattern has %d ( ); correct the number", highest, m.groups())
	}
	return rule{op: opMatch, negate: p.negate, match: m, value: value}, nil
}

// lookup implements table: the first rule that matches gives the value. Patterns see the key as it is; "first match wins".
func (t *rules) lookup(ctx context.Context, key string) (value, where string, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxMatch)
	defer cancel()
	r, groups, err := first(ctx, t.list, key)
	switch {
	case err != nil && r == nil:
		return "", "", false, fmt.Errorf("%s: %w", t.spec.text, err)
	case err != nil:
		return "", "", false, fmt.Errorf("%s line %d: %w; write a simpler pattern", t.spec.text, r.line, err)
	case r == nil:
		return "", "", false, nil
	}
	return expand(r.value, groups), fmt.Sprintf("%s line %d, for %q", t.spec.text, r.line, key), true, nil
}

// first finds the rule that gives the value for a key, or nil. With an error the rule is the one that had trouble, nil if time is up.
func first(ctx context.Context, list []rule, key string) (*rule, []string, error) {
	for i := 0; i < len(list); i++ {
		r := &list[i]
		if r.op == opEndif {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		groups, err := r.match.find(key)
		matches := (groups != nil) != r.negate
		switch {
		case err != nil:
			return r, nil, err
		case r.op == opIf && !matches:
			i = r.end
		case r.op == opMatch && matches:
			return r, groups, nil
		}
	}
	return nil, nil, nil
}

// partial implements table: "user@domain mail addresses are not broken up".
func (t *rules) partial() bool { return false }

// changed implements table.
func (t *rules) changed() bool { return t.file.changed() }

// close implements table.
func (t *rules) close() error { return nil }
