package policy

import (
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
)

// mistake is a problem inside one expression; line and col count from 1, col in characters.
type mistake struct {
	line, col int
	text      string
}

// place gives where a name begins. The parser points at the dot of a dotted name and at the parenthesis of a call.
func place(text string, line, col int) (int, int) {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return 1, 1
	}
	row := []rune(lines[line-1])
	col = min(max(col, 0), len(row))
	also := ""
	if col < len(row) && row[col] == '.' {
		also = "."
	} else if col >= len(row) || row[col] != '(' {
		return line, col + 1
	}
	for col > 0 && (isNameRune(row[col-1]) || strings.ContainsRune(also, row[col-1])) {
		col--
	}
	return line, col + 1
}

func isNameRune(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// syntaxMistakes gives the first syntax error: those behind it are mostly its consequences.
func syntaxMistakes(text string, issues *cel.Issues) []mistake {
	first := issues.Errors()[0]
	line, col := place(text, first.Location.Line(), first.Location.Column())
	if word, at := wordBefore(text, line, col); strings.EqualFold(word, "not") {
		return []mistake{{line, at, notNot(word)}}
	}
	return []mistake{{line, col, plainSyntax(first.Message)}}
}

// wordBefore gives the word that ends before a place, with blanks between, and its column.
func wordBefore(text string, line, col int) (word string, at int) {
	row := []rune(strings.Split(text, "\n")[line-1])
	end := min(col-1, len(row))
	for end > 0 && row[end-1] == ' ' {
		end--
	}
	start := end
	for start > 0 && isNameRune(row[start-1]) {
		start--
	}
	return string(row[start:end]), start + 1
}

func notNot(word string) string {
	return fmt.Sprintf("%q is no operator; write !( ) around what is not to be", word)
}

var (
	unreadable = regexp.MustCompile(`^token recognition error at: '(?s:(.*))'$`)
	unexpected = regexp.MustCompile(`^(?:mismatched|extraneous) input '(?s:(.*))' expecting`)
	missing    = regexp.MustCompile(`^missing '(.*)' at '(?s:(.*))'$`)
	noWay      = regexp.MustCompile(`^no viable alternative at input '(?s:(.*))'$`)
)

// joiners are what people write who know other languages.
var joiners = map[string]string{
	"and": "&&", "AND": "&&", "or": "||", "OR": "||", "&": "&&", "|": "||", "=": "==", "<>": "!=",
}

// plainSyntax puts a message of the parser into an admin's words.
func plainSyntax(message string) string {
	message = strings.TrimPrefix(message, "Syntax error: ")
	if m := unreadable.FindStringSubmatch(message); m != nil {
		return unreadableText(m[1])
	}
	if m := missing.FindStringSubmatch(message); m != nil {
		if m[2] == "<EOF>" {
			return fmt.Sprintf("%q is missing at the end", m[1])
		}
		return fmt.Sprintf("%q is missing before %q", m[1], m[2])
	}
	for _, form := range []*regexp.Regexp{unexpected, noWay} {
		if m := form.FindStringSubmatch(message); m != nil {
			return unexpectedText(m[1])
		}
	}
	switch {
	case strings.HasPrefix(message, "reserved identifier: "):
		return fmt.Sprintf("%q is a word of the expression language and no name", strings.TrimPrefix(message, "reserved identifier: "))
	case strings.Contains(message, "recursion") || strings.Contains(message, "nest"):
		return "the condition is nested too deeply; divide it by definitions under [define]"
	case strings.Contains(message, "size exceeds limit"):
		return "the condition is too long; put what repeats into definitions and what is many into a list"
	case strings.HasPrefix(message, "invalid ") && strings.HasSuffix(message, " literal"):
		return "this is no number that can be counted with"
	case strings.HasPrefix(message, "unsupported syntax '"):
		return fmt.Sprintf("%q means nothing here", strings.Trim(strings.TrimPrefix(message, "unsupported syntax "), "'"))
	case strings.HasPrefix(message, "argument must be a simple name"), strings.HasPrefix(message, "iteration variable"):
		return `the first argument is a plain name for the element, as in dkim.domains.exists(d, d == "example.org")`
	}
	return message
}

func unreadableText(what string) string {
	word := strings.TrimSpace(what)
	switch {
	case strings.HasPrefix(word, `"`) || strings.HasPrefix(word, "'"):
		if strings.Contains(word, `\`) {
			return `the text has a \ that stands for nothing; write \\ for a backslash`
		}
		return "the text is not closed; it ends with the quote it begins with"
	case strings.ContainsAny(word, "“”„‘’«»"):
		return fmt.Sprintf("%s is no quote here; write \" or '", word)
	case joiners[word] != "":
		return fmt.Sprintf("%q is no operator; write %s", word, joiners[word])
	case strings.HasPrefix(word, "#"):
		return `"#" means nothing here; a comment in a condition begins with //`
	}
	return fmt.Sprintf("%q means nothing here", word)
}

func unexpectedText(what string) string {
	switch {
	case strings.HasSuffix(what, "<EOF>"):
		return "the condition ends too early; something is missing behind its last word"
	case joiners[what] != "":
		return fmt.Sprintf("%q is no operator; write %s", what, joiners[what])
	case strings.EqualFold(what, "not"):
		return notNot(what)
	case what == "" || !isNameRune(rune(what[0])):
		return fmt.Sprintf("%q is not expected here", what)
	}
	return fmt.Sprintf("%q is not expected here; conditions are joined by && or ||", what)
}

// typeMistakes gives what the type checker finds.
func typeMistakes(text string, issues *cel.Issues) []mistake {
	var out []mistake
	for _, e := range issues.Errors()[:min(len(issues.Errors()), maxMistakes)] {
		line, col := place(text, e.Location.Line(), e.Location.Column())
		out = append(out, mistake{line, col, plainType(e.Message)})
	}
	return out
}

var (
	noOverload = regexp.MustCompile(`^found no matching overload for '(.*?)' applied to '(.*)'`)
	wrongType  = regexp.MustCompile(`^expected type '(.*)' but found '(.*)'`)
	noParts    = regexp.MustCompile(`^type '(.*)' does not support field selection`)
	noRange    = regexp.MustCompile(`^expression of type '(.*)' cannot be range of a comprehension`)
)

// plainType puts a message of the type checker into an admin's words.
func plainType(message string) string {
	message = strings.ReplaceAll(message, listType.String(), "list")
	if m := noOverload.FindStringSubmatch(message); m != nil {
		return plainOverload(m[1], m[2])
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		if m[1] == "bool" {
			return fmt.Sprintf("this is %s and no condition; compare it with something", article(m[2]))
		}
		return fmt.Sprintf("this is %s, but %s is needed here", article(m[2]), article(m[1]))
	}
	if m := noParts.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("%s has no parts that a name behind a dot could mean", article(m[1]))
	}
	if m := noRange.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("this works on lists of texts such as dkim.domains, not on %s", article(m[1]))
	}
	return strings.ReplaceAll(message, " (in container '')", "")
}

// plainOverload says that an operator or function does not work on values of these types: "(string, int)" or "string.(int)".
func plainOverload(name, on string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(on, "("), ")")
	switch name {
	case "!_":
		return fmt.Sprintf("! does not work on %s; behind it stands a condition", article(inner))
	case "-_":
		return fmt.Sprintf("- does not work on %s; behind it stands a number", article(inner))
	case "_?_:_":
		return fmt.Sprintf("A ? B : C does not work on %s; A is a condition, B and C are of one type", on)
	case "_[_]":
		return fmt.Sprintf("[ ] does not work on %s; it takes a list and a number", on)
	case "@in":
		return fmt.Sprintf(`in does not work on %s; behind it stands list.NAME or ["one", "two"] of the same type`, on)
	case "_+_", "_-_", "_*_", "_/_", "_%_":
		return fmt.Sprintf("%s does not work on %s; calculate with values of one type", strings.Trim(name, "_"), on)
	}
	if strings.HasPrefix(name, "_") {
		return fmt.Sprintf("%s does not work on %s; compare values of one type", strings.Trim(name, "_"), on)
	}
	if target, args, isMember := strings.Cut(on, ".("); isMember {
		return fmt.Sprintf("%s() of %s does not take (%s", name, article(target), args)
	}
	return fmt.Sprintf("%s() does not take %s", name, on)
}

// article gives a type's name with "a" or "an" before it.
func article(typ string) string {
	if strings.ContainsAny(typ[:1], "aeio") { // "a uint"
		return "an " + typ
	}
	return "a " + typ
}
