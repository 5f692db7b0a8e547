package policyfile

import "strings"

// bareKey is what a TOML key without quotes is made of.
const bareKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

// maxDepth bounds nested values and dotted keys; a policy needs three. The TOML library recurses and takes
// quadratic time on them, so that the scanner, which goes first, has to stop a hostile file.
const maxDepth = 12

// scanner goes through TOML text once and notes where keys and values stand. It judges nothing: what it cannot follow
// ends the scan, and the TOML library, which reads the same text, says what is wrong.
type scanner struct {
	*places
	pos    int
	table  string          // path of the table that keys belong to
	arrays map[string]int  // by path, how many [[tables]] there are
	made   map[string]bool // paths that a header or key defined, not only implied
}

func (s *scanner) scan() {
	for {
		s.blank()
		if s.pos >= len(s.text) || s.broken {
			return
		}
		if s.text[s.pos] == '[' {
			s.header()
		} else {
			s.pair(s.table, 0)
		}
		s.lineEnd()
	}
}

// fail ends the scan.
func (s *scanner) fail() {
	if !s.broken {
		s.broken, s.lost = true, s.pos
	}
	s.pos = len(s.text)
}

// tooDeep ends the scan where reading on would cost too much.
func (s *scanner) tooDeep() {
	s.deep = s.pos
	s.fail()
}

// spaces skips blanks in a line.
func (s *scanner) spaces() {
	for s.pos < len(s.text) && (s.text[s.pos] == ' ' || s.text[s.pos] == '\t') {
		s.pos++
	}
}

// blank skips blanks, line ends and comments.
func (s *scanner) blank() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		case '#':
			s.comment()
		default:
			return
		}
	}
}

func (s *scanner) comment() {
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.text)
}

// lineEnd expects nothing but a comment before the end of the line.
func (s *scanner) lineEnd() {
	s.spaces()
	if s.pos >= len(s.text) {
		return
	}
	switch s.text[s.pos] {
	case '#', '\r', '\n':
	default:
		s.fail()
	}
}

// take skips a text that must come next.
func (s *scanner) take(text string) bool {
	if !strings.HasPrefix(s.text[s.pos:], text) {
		s.fail()
		return false
	}
	s.pos += len(text)
	return true
}

// header reads [table] or [[table]].
func (s *scanner) header() {
	start := s.pos
	bracket := 1
	if strings.HasPrefix(s.text[s.pos:], "[[") {
		bracket = 2
	}
	s.pos += bracket
	keys := s.keys()
	if len(keys) == 0 || !s.take("]]"[:bracket]) {
		return
	}
	path := s.through("", keys[:len(keys)-1], start)
	path = join(path, keys[len(keys)-1])
	if bracket == 2 {
		n := s.arrays[path]
		s.arrays[path] = n + 1
		if n == 0 {
			s.imply(path, start)
		}
		path = item(path, n)
		s.imply(path, start)
	} else {
		if s.arrays[path] > 0 {
			s.fail() // [x] behind [[x]]
			return
		}
		s.define(path, place{key: start, value: start})
	}
	s.table = path
}

// through goes down the parent tables of a header or dotted key, into the newest of an array.
func (s *scanner) through(path string, keys []string, offset int) string {
	for _, key := range keys {
		path = join(path, key)
		s.imply(path, offset)
		if n := s.arrays[path]; n > 0 {
			path = item(path, n-1)
		}
	}
	return path
}

// imply notes a table that nothing defined before.
func (s *scanner) imply(path string, offset int) {
	if _, ok := s.at[path]; !ok {
		s.at[path] = place{key: offset, value: offset}
	}
}

// define notes a key or table; only its first definition counts.
func (s *scanner) define(path string, at place) {
	if s.made[path] {
		s.twice = append(s.twice, repeated{path: path, offset: at.key, first: s.at[path].key})
		return
	}
	s.made[path] = true
	s.at[path] = at
}

// keys reads a dotted key up to what follows it.
func (s *scanner) keys() []string {
	var keys []string
	for {
		s.spaces()
		key, ok := s.key()
		if !ok {
			s.fail()
			return nil
		}
		keys = append(keys, key)
		if len(keys) > maxDepth {
			s.tooDeep()
			return nil
		}
		s.spaces()
		if s.pos >= len(s.text) || s.text[s.pos] != '.' {
			return keys
		}
		s.pos++
	}
}

// key reads one part of a dotted key.
func (s *scanner) key() (string, bool) {
	rest := s.text[s.pos:]
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		at, ok := s.line(rest[:1])
		return content(s.text, at), ok
	}
	n := len(rest) - len(strings.TrimLeft(rest, bareKey))
	s.pos += n
	return rest[:n], n > 0
}

// content gives the text of a string as it is read, not as it is written.
func content(text string, at place) string {
	var b strings.Builder
	for offset := at.from; offset < at.to; {
		r, width, plain := character(text[offset:at.to], at.quote)
		if plain {
			b.WriteRune(r)
		}
		offset += width
	}
	return b.String()
}

// pair reads key = value.
func (s *scanner) pair(table string, depth int) {
	start := s.pos
	keys := s.keys()
	if len(keys) == 0 || !s.take("=") {
		return
	}
	s.spaces()
	path := s.through(table, keys[:len(keys)-1], start)
	path = join(path, keys[len(keys)-1])
	at := s.value(path, depth)
	at.key = start
	s.define(path, at)
}

// value reads any value and gives its place; what is inside arrays and inline tables is noted.
func (s *scanner) value(path string, depth int) place {
	start := s.pos
	if depth > maxDepth {
		s.tooDeep()
		return place{}
	}
	rest := s.text[s.pos:]
	switch {
	case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, `'''`):
		at, ok := s.lineBreaks(rest[:3])
		if !ok {
			s.fail()
		}
		return at
	case strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, `'`):
		at, ok := s.line(rest[:1])
		if !ok {
			s.fail()
		}
		return at
	case strings.HasPrefix(rest, "["):
		s.array(path, depth)
	case strings.HasPrefix(rest, "{"):
		s.inlineTable(path, depth)
	default:
		n := strings.IndexAny(rest, ",]}#\r\n")
		if n < 0 {
			n = len(rest)
		}
		s.pos += n
	}
	return place{key: start, value: start}
}

func (s *scanner) array(path string, depth int) {
	s.pos++
	for i := 0; ; i++ {
		s.blank()
		if s.closed(']') {
			return
		}
		element := item(path, i)
		at := s.value(element, depth+1)
		at.key = at.value
		if s.broken {
			return
		}
		s.at[element] = at
		if !s.comma(']') {
			return
		}
	}
}

func (s *scanner) inlineTable(path string, depth int) {
	s.pos++
	for {
		s.blank()
		if s.closed('}') {
			return
		}
		s.pair(path, depth+1)
		if s.broken || !s.comma('}') {
			return
		}
	}
}

// closed skips the closing bracket if it is next.
func (s *scanner) closed(bracket byte) bool {
	if s.pos >= len(s.text) {
		s.fail()
		return true
	}
	if s.text[s.pos] == bracket {
		s.pos++
		return true
	}
	return false
}

// comma reports whether another element may follow; it skips the comma or the closing bracket.
func (s *scanner) comma(bracket byte) bool {
	s.blank()
	if s.closed(bracket) {
		return false
	}
	return s.take(",")
}

// line reads a string that ends on its line.
func (s *scanner) line(quote string) (place, bool) {
	start := s.pos
	for i := start + 1; i < len(s.text) && s.text[i] != '\n'; i++ {
		switch {
		case s.text[i] == '\\' && quote == `"`:
			i++
		case s.text[i] == quote[0]:
			s.pos = i + 1
			return place{value: start, quote: quote, from: start + 1, to: i}, true
		}
	}
	return place{}, false
}

// lineBreaks reads a string that may go over several lines.
func (s *scanner) lineBreaks(quote string) (place, bool) {
	start := s.pos
	from := start + len(quote)
	for i := from; i < len(s.text); i++ {
		if s.text[i] == '\\' && quote[0] == '"' {
			i++
			continue
		}
		if !strings.HasPrefix(s.text[i:], quote) {
			continue
		}
		for extra := 0; extra < 2 && strings.HasPrefix(s.text[i+1:], quote); extra++ {
			i++ // up to two quotes may stand before the closing ones
		}
		s.pos = i + len(quote)
		if rest := s.text[from:i]; strings.HasPrefix(rest, "\n") {
			from++
		} else if strings.HasPrefix(rest, "\r\n") {
			from += 2
		}
		return place{value: start, quote: quote, from: from, to: i}, true
	}
	return place{}, false
}
