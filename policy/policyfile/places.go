package policyfile

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// place is where a key and its value stand, as byte offsets into the text.
type place struct {
	key   int    // the key, the header of a table, or the element of an array
	value int    // the value; the same as key for tables and elements
	quote string // the quotes of a value that is a string, else ""
	from  int    // where the string's content begins, behind the newline that a multi-line string drops
	to    int    // where its closing quotes begin
}

// places knows where everything in a file stands, by path: "dns.timeout", "rule[2].when", "list.block[3]".
type places struct {
	text   string
	lines  []int // the offset of each line's first byte
	at     map[string]place
	twice  []repeated // keys and headers that are there more than once
	deep   int        // where values are nested or keys are dotted too deep to be read safely, or -1
	broken bool       // the text is no TOML as far as the scanner understands it
	lost   int        // where that showed
}

// repeated is a key or header that was there before.
type repeated struct {
	path          string
	offset, first int
}

func newPlaces(text string) *places {
	p := &places{text: text, lines: []int{0}, at: map[string]place{}, deep: -1}
	for i := range len(text) {
		if text[i] == '\n' {
			p.lines = append(p.lines, i+1)
		}
	}
	s := scanner{places: p, arrays: map[string]int{}, made: map[string]bool{}}
	s.scan()
	return p
}

// position gives line and column of an offset, both from 1, the column in characters.
func (p *places) position(offset int) (line, col int) {
	offset = max(0, min(offset, len(p.text)))
	line = sort.Search(len(p.lines), func(i int) bool { return p.lines[i] > offset })
	return line, utf8.RuneCountInString(p.text[p.lines[line-1]:offset]) + 1
}

// find gives the place of a path or, where it is not in the file, of the nearest table around it.
func (p *places) find(path string) place {
	for path != "" {
		if at, ok := p.at[path]; ok {
			return at
		}
		path = parent(path)
	}
	return place{}
}

// inside gives the offset of a line and column (from 1, in characters) of the string at a path.
func (p *places) inside(path string, line, col int) int {
	at, ok := p.at[path]
	if !ok || at.quote == "" || line < 1 {
		return p.find(path).value
	}
	l, c := 1, 1
	offset := at.from
	for offset < at.to && (l < line || c < col) {
		r, width, plain := character(p.text[offset:at.to], at.quote)
		if plain && r == '\n' {
			if l == line {
				break // a column behind the line's end
			}
			l, c = l+1, 0
		}
		if plain {
			c++
		}
		offset += width
	}
	return offset
}

// character reads the first character of a string's content as the file writes it: what it stands for and its bytes in the file.
// It is not plain where it stands for nothing: a backslash that joins lines.
func character(source, quote string) (r rune, width int, plain bool) {
	r, width = utf8.DecodeRuneInString(source)
	if r != '\\' || quote[0] == '\'' || len(source) < 2 {
		return r, width, true
	}
	switch c := source[1]; c {
	case 'b':
		return '\b', 2, true
	case 't':
		return '\t', 2, true
	case 'n':
		return '\n', 2, true
	case 'f':
		return '\f', 2, true
	case 'r':
		return '\r', 2, true
	case 'e':
		return 0x1b, 2, true
	case 'x':
		return codePoint(source, 2)
	case 'u':
		return codePoint(source, 4)
	case 'U':
		return codePoint(source, 8)
	case ' ', '\t', '\r', '\n':
		return 0, len(source) - len(strings.TrimLeft(source[1:], " \t\r\n")), false
	default:
		return rune(c), 2, true
	}
}

// codePoint reads the digits of \xHH, \uHHHH or \UHHHHHHHH.
func codePoint(source string, digits int) (rune, int, bool) {
	if len(source) < 2+digits {
		return utf8.RuneError, len(source), true
	}
	n, err := strconv.ParseUint(source[2:2+digits], 16, 32)
	if err != nil {
		return utf8.RuneError, 2 + digits, true
	}
	return rune(n), 2 + digits, true
}

// join gives the path of a key in a table. A key that is no bare word is quoted, so that no two paths look alike.
func join(path, key string) string {
	if key == "" || strings.Trim(key, bareKey) != "" {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

// item gives the path of an array's element.
func item(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// parent gives the path of the table or array around a path, "" for the top.
func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)]
}
