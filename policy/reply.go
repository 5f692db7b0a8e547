package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxReply is the most bytes of a reply line without CRLF that RFC 5321 4.5.3.1.5 lets us send.
const maxReply = 510

// codes are the reply codes that a rule may use, with what they are for (RFC 5321 4.2.2, RFC 4954, RFC 7504).
var codes = map[int]bool{
	421: true, 450: true, 451: true, 452: true, 454: true,
	550: true, 551: true, 552: true, 553: true, 554: true, 556: true,
}

// Reply is what we say to the MTA instead of going on: an SMTP code, an enhanced code (RFC 3463) and a text that may
// hold {fact} placeholders. It is made by NewReply or ParseReply only, so that it can always be spoken.
type Reply struct {
	Code     int
	Enhanced string
	text     template
}

var enhanced = regexp.MustCompile(`^([245])\.\d{1,3}\.\d{1,3}$`)

// ParseReply reads "554 5.7.1 text". Its errors are NewReply's, and one for a text of another form.
func ParseReply(line string) (Reply, error) {
	parts := strings.SplitN(line, " ", 3)
	if len(parts) < 3 {
		return Reply{}, fmt.Errorf("a reply is a code, an enhanced code and a text, as in \"554 5.7.1 Refused by local policy\"")
	}
	code, err := strconv.Atoi(parts[0])
	if err != nil || len(parts[0]) != 3 {
		return Reply{}, fmt.Errorf("%q is no reply code; a reply is for example \"554 5.7.1 Refused by local policy\"", parts[0])
	}
	return NewReply(code, parts[1], parts[2])
}

// NewReply makes a reply. It refuses a code that no rule may use, an enhanced code of another class than the code,
// CR, LF, control and non-ASCII characters, an empty text, a bad placeholder, and a line over 510 bytes.
func NewReply(code int, enhancedCode, text string) (Reply, error) {
	if !codes[code] {
		return Reply{}, fmt.Errorf("%d is no code to refuse with; use 421, 450, 451, 452, 454, 550, 551, 552, 553, 554 or 556", code)
	}
	m := enhanced.FindStringSubmatch(enhancedCode)
	if m == nil {
		return Reply{}, fmt.Errorf("%q is no enhanced code; write one such as %d.7.1 behind %d", enhancedCode, code/100, code)
	}
	if m[1] != strconv.Itoa(code/100) {
		return Reply{}, fmt.Errorf("enhanced code %s contradicts %d; it must begin with %d", enhancedCode, code, code/100)
	}
	if strings.TrimSpace(text) == "" {
		return Reply{}, fmt.Errorf("the reply has no text; say what is wrong and what the sender can do")
	}
	if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
		return Reply{}, fmt.Errorf("the reply has a line break, control or non-ASCII character at byte %d; write one line of plain ASCII", i+1)
	}
	if n := len(fmt.Sprintf("%d %s %s", code, enhancedCode, text)); n > maxReply {
		return Reply{}, fmt.Errorf("the reply has %d bytes; at most %d fit in one line", n, maxReply)
	}
	t, err := parseTemplate(text)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Code: code, Enhanced: enhancedCode, text: t}, nil
}

// Temporary reports whether the reply asks to come again.
func (r Reply) Temporary() bool { return r.Code < 500 }

// Facts gives the names of the facts that the reply's placeholders stand for.
func (r Reply) Facts() []string {
	var out []string
	for _, part := range r.text.parts {
		if part.fact != "" && part.fact != "id" {
			out = append(out, part.fact)
		}
	}
	return out
}

// Text gives the reply's text as policy.toml has it.
func (r Reply) Text() string { return r.text.source }

// Fill gives the reply's text with the placeholders filled from e, the id and the footer behind it: printable ASCII, and cut so
// that the line with both codes fits in 510 bytes and the id survives. It never fails; a value that is not there is "-".
// The footer may hold {id}.
func (r Reply) Fill(e *Evidence, id, footer string) string {
	tail := ""
	if id != "" {
		tail = " (id " + id + ")"
	}
	if footer != "" {
		tail += " " + clean(strings.ReplaceAll(footer, "{id}", id))
	}
	room := maxReply - len("550  ") - len(r.Enhanced)
	tail = cut(tail, room/2)
	return cut(r.text.fill(e, id), room-len(tail)) + tail
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// clean makes any text printable ASCII: everything else becomes a question mark.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// maxValue bounds what one placeholder may add, so that a sender's long name cannot push the rest out.
const maxValue = 200

// template is a text with {fact} placeholders.
type template struct {
	source string
	parts  []templatePart
}

type templatePart struct {
	text string // literal text, or
	fact string // the name in braces
	at   int    // byte offset in the source
}

var placeholder = regexp.MustCompile(`^[a-z][a-z0-9_.]*$`)

func parseTemplate(source string) (template, error) {
	t := template{source: source}
	for at := 0; at < len(source); {
		open := strings.IndexAny(source[at:], "{}")
		if open < 0 {
			t.parts = append(t.parts, templatePart{text: source[at:]})
			break
		}
		open += at
		end := strings.IndexByte(source[open:], '}')
		if source[open] == '}' || end < 0 {
			return t, fmt.Errorf("a brace stands alone at byte %d; a placeholder is for example {client.ip}", open+1)
		}
		name := source[open+1 : open+end]
		if !placeholder.MatchString(name) {
			return t, fmt.Errorf("{%s} is no placeholder; it holds the name of a fact, for example {client.ip}", name)
		}
		if open > at {
			t.parts = append(t.parts, templatePart{text: source[at:open]})
		}
		t.parts = append(t.parts, templatePart{fact: name, at: open})
		at = open + end + 1
	}
	return t, nil
}

// tells reports whether the text has a placeholder for a fact.
func (t template) tells() bool {
	return slices.ContainsFunc(t.parts, func(p templatePart) bool { return p.fact != "" && p.fact != "id" })
}

func (t template) fill(e *Evidence, id string) string {
	var b strings.Builder
	for _, p := range t.parts {
		switch {
		case p.fact == "":
			b.WriteString(p.text)
		case p.fact == "id":
			b.WriteString(id)
		default:
			b.WriteString(valueOrDash(e.Text(p.fact)))
		}
	}
	return b.String()
}

func valueOrDash(value string) string {
	if value == "" {
		return "-"
	}
	return cut(clean(cut(value, maxValue*utf8.UTFMax)), maxValue) // a character becomes one byte
}
