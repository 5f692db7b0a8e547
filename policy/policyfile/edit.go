package policyfile

import (
	"fmt"
	"strconv"
	"strings"

	"gatepost.example/policy"
)

// This file changes one line of a policy file and leaves every other byte as the admin wrote it: comments, order, line ends.

// SetMode gives text with the mode in it: the line that says it is changed or, where there is none, added.
func SetMode(text string, mode Mode) (string, error) {
	e := edit(text)
	value := strconv.Quote(string(mode))
	if _, ok := e.at["mode"]; ok {
		return e.value("mode", value)
	}
	return e.insert(e.top(), "mode = "+value), nil
}

// SetRule gives text with the rule observed (share 0), or enforced for a share of senders or for all, also in mode observe: its line observe
// or enforce is changed or, where the rule has neither, one is added. The error says that there is no such rule, or that it has no lines of its own.
func SetRule(text, rule string, share policy.Share) (string, error) {
	e := edit(text)
	path, err := e.rule(rule)
	if err != nil {
		return "", err
	}
	if at := join(path, "enforce"); e.has(at) {
		return e.value(at, strconv.Quote(share.String()))
	}
	line := fmt.Sprintf("enforce = %q", share.String())
	if share == 0 {
		line = "observe = true"
	}
	if at := join(path, "observe"); e.has(at) {
		return e.pair(at, line)
	}
	if mode := e.at["mode"]; share == policy.WholeShare && mode.quote != "" && e.text[mode.from:mode.to] == string(Enforce) {
		return text, nil
	}
	if !strings.HasPrefix(e.text[e.at[path].key:], "[[") {
		return "", fmt.Errorf("rule %q is not written as a [[rule]] of its own; write %s into it", rule, line)
	}
	return e.insert(e.end(path), line), nil
}

// editor knows where everything stands in a text.
type editor struct {
	*places
	mark string // a byte order mark before it
}

func edit(text string) *editor {
	bare := strings.TrimLeft(text, "\ufeff")
	return &editor{newPlaces(bare), text[:len(text)-len(bare)]}
}

func (e *editor) has(path string) bool {
	_, ok := e.at[path]
	return ok
}

// rule finds a rule by its name.
func (e *editor) rule(name string) (path string, err error) {
	var names []string
	for i := 0; e.has(item("rule", i)); i++ {
		path := item("rule", i)
		at := e.at[join(path, "name")]
		if at.quote == "" {
			continue
		}
		called := e.text[at.from:at.to]
		if called == name {
			return path, nil
		}
		names = append(names, called)
	}
	hint := "; the policy has " + listed(names)
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	return "", fmt.Errorf("there is no rule %q%s", name, hint)
}

// value puts another value in the place of a text, true or false.
func (e *editor) value(path, value string) (string, error) {
	at := e.at[path]
	return e.replace(at.value, e.valueEnd(at), value), nil
}

// pair puts another key and value in the place of those at a path.
func (e *editor) pair(path, line string) (string, error) {
	at := e.at[path]
	return e.replace(at.key, e.valueEnd(at), line), nil
}

// valueEnd gives where a value ends that is a text, or one word.
func (e *editor) valueEnd(at place) int {
	if at.quote != "" {
		return at.to + len(at.quote)
	}
	rest := e.text[at.value:]
	if n := strings.IndexAny(rest, " \t\r\n,}#"); n >= 0 {
		return at.value + n
	}
	return len(e.text)
}

func (e *editor) replace(from, to int, with string) string {
	return e.mark + e.text[:from] + with + e.text[to:]
}

// insert adds a line at the beginning of another, with the line ends of the file.
func (e *editor) insert(at int, line string) string {
	end := "\n"
	if strings.Contains(e.text, "\r\n") {
		end = "\r\n"
	}
	if at > 0 && e.text[at-1] != '\n' {
		return e.replace(at, at, end+line)
	}
	return e.replace(at, at, line+end)
}

// top gives where the line of a key above the first section can stand: before everything that is no comment, and the comment right above that.
func (e *editor) top() int {
	first := 0
	for at, line := 0, ""; at < len(e.text); at += len(line) {
		line, _, _ = strings.Cut(e.text[at:], "\n")
		line = e.text[at:min(at+len(line)+1, len(e.text))]
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "":
			first = at + len(line)
		case trimmed[0] != '#':
			return first
		}
	}
	return first
}

// end gives where the line behind the last key of a [[table]] begins.
func (e *editor) end(path string) int {
	last := e.at[path].key
	for other, at := range e.at {
		if strings.HasPrefix(other, path+".") {
			last = max(last, at.value, at.to)
		}
	}
	if n := strings.IndexByte(e.text[last:], '\n'); n >= 0 {
		return last + n + 1
	}
	return len(e.text)
}
