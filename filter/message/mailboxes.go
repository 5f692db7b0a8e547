package message

import (
	"io"
	"mime"
	"slices"
	"strings"
)

// mailboxes reads the value of a From field.
type mailboxes struct {
	in    string
	at    int
	found []string
	doubt bool
	slip  bool     // doubt that only what else stands in the value can raise: where it holds one address, all readers that see an author see this one
	names []string // what stood between commas and has an @, but no domain: pieces of a name, as in "Ann @ Shop, Inc. <a@shop.example>", unless nothing else is there
	part  part
}

// part is what stands between two commas.
type part struct {
	words  []byte   // text outside of comments, quotes and angles
	at     bool     // an @ is in it
	angles []string // what stands in angle brackets
	name   int      // length of the words before the first of them
	asides []string // quoted strings and comments that hold an @, plainly or in an encoded word
	held   bool     // a reader may take what one of them holds for an address
	quoted bool     // a quoted string is an address, or has one in angles or behind an address: some readers take that one
	glued  bool     // a quoted string stands against what is or has an address: some readers join them
	domain bool     // a quoted string behind an @ could be a domain, or a part of one
	colon  bool     // a colon is in it, which ends no name
	within bool     // a comment divides words and has an address: who knows no comments sees that one, unless one in angles follows
}

// readMailboxes gives every address in a value, and whether readers could see something else in it.
func readMailboxes(value string) (found []string, doubt bool) {
	unfolded := strings.TrimRight(strings.ReplaceAll(value, "\r\n", ""), "\r") // behind a CR at the end, as old programs write, is nothing
	var words [usualWords]byte
	m := mailboxes{in: withoutTrails(withoutShifts(unfolded)), part: part{words: words[:0]}}
	// RFC 5322 2.2: a field body holds no NUL, no bare CR or LF; readers cut there or go on. What changes the character set does it for some of them.
	broken := strings.ContainsAny(m.in, "\x00\r\n\x1b\x0e\x0f")
	m.doubt, m.slip = broken, strings.ContainsFunc(m.in, isControl)
	for m.at < len(m.in) {
		m.next()
	}
	m.endPart()
	if !m.hasAddress() {
		for _, words := range m.names {
			m.take(words)
		}
	}
	if m.slip {
		m.forgive()
	}
	// What no address holds, but a quoted string, a comment or an encoded word does: some readers find it there.
	if !m.hasAddress() {
		if decoded, err := decoder.DecodeHeader(m.in); err == nil && !hasAt(m.in) && strings.Count(decoded, "@") == 1 { // all in encoded words, as old scripts write
			found, doubt = readMailboxes(decoded)
			return found, doubt || broken
		}
		m.doubt = m.doubt && len(m.found) > 0 || hasAt(m.in) || hidesAddress(m.in)
	}
	return m.found, m.doubt
}

// usualWords is as many bytes as stand outside of angles in most values.
const usualWords = 128

// begin makes place for the next part.
func (p *part) begin() { *p = part{words: p.words[:0]} }

func hasAt(text string) bool { return strings.Contains(text, "@") }

func (m *mailboxes) hasAddress() bool { return slices.ContainsFunc(m.found, hasAt) }

func (m *mailboxes) next() {
	c := m.in[m.at]
	m.at++
	switch c {
	case '"':
		m.quoted()
	case '(':
		start := m.at
		m.comment(false)
		m.part.aside(m.in[start:m.at])
		m.part.words = append(m.part.words, ' ')
	case '<':
		m.angle()
	case ',', ';':
		m.endPart()
	case ':': // what stands before it is the name of a group (RFC 5322 3.4)
		if m.part.colon || m.part.domain || m.part.angles != nil || m.part.held || mayBeAddress(string(m.part.words)) {
			m.slip, m.part.colon = true, true
			m.part.words = append(m.part.words, ' ')
			return
		}
		m.part.begin()
	case '>', ')': // in a name before an address it is nothing, as in "Shop :) <info@example.org>"
		m.slip = m.slip || m.part.at || m.part.angles != nil
		m.part.words = append(m.part.words, ' ')
	default:
		m.part.at = m.part.at || c == '@'
		m.part.words = append(m.part.words, c)
	}
}

// quoted passes over a quoted string. Outside of angles it is part of a name, or of a local part.
func (m *mailboxes) quoted() {
	before := m.in[:m.at-1]
	text, ok := m.until('"')
	m.slip = m.slip || !ok
	if m.at < len(m.in) && m.in[m.at] == '@' { // "local part"@domain
		m.part.words = append(append(append(m.part.words, '"'), text...), '"')
		return
	}
	m.slip = m.slip || m.part.angles != nil && (hasAt(text) || hidesAddress(text)) // behind an address
	m.part.glued = m.part.glued || m.part.at && text != "" && !endsApart(before) || hasAt(text) && !beginsApart(m.in[m.at:])
	m.part.domain = m.part.domain || m.part.at && mayBeDomain(text)
	m.part.aside(text)
	isOne := isAddress(text) && len(strings.Fields(text)) == 1
	m.part.quoted = m.part.quoted || isOne || hidesAddress(text) || hasAt(text) && (m.part.at || strings.Contains(text, "<"))
	m.part.words = append(m.part.words, ' ')
}

func (p *part) aside(text string) {
	text = withoutPairs(text)
	if hasAt(text) || hidesAddress(text) {
		p.asides = append(p.asides, text)
		p.held = p.held || holdsAddress(text)
	}
}

// until gives the text up to an unescaped end, and passes over both.
func (m *mailboxes) until(end byte) (text string, ok bool) {
	start := m.at
	for ; m.at < len(m.in); m.at++ {
		switch m.in[m.at] {
		case '\\':
			m.at++
		case end:
			m.at++
			return m.in[start : m.at-1], true
		}
	}
	m.at = len(m.in)
	return m.in[start:], false
}

// comment passes over a comment, which may hold comments. One that holds an address and stands within another address is doubt: who knows
// no comments sees the one, who does the other.
func (m *mailboxes) comment(inAngle bool) {
	start := m.at
	for depth := 1; m.at < len(m.in); {
		c := m.in[m.at]
		m.at++
		switch c {
		case '\\':
			m.at++
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth == 0 {
			text, before, after := m.in[start:m.at], m.in[:start-1], m.in[m.at:]
			within := strings.ContainsAny(text, "@<>") && (inAngle || isWithin(before, after))
			m.doubt = m.doubt || within && (inAngle || m.part.angles != nil)
			m.part.within = m.part.within || within
			m.slip = m.slip || strings.Contains(text, "<") && hasAt(text)
			return
		}
	}
	m.at = len(m.in)
	m.slip = true
}

// isWithin reports whether what stands between two texts divides an address: no blank on either side, or an @ or a dot next to it.
func isWithin(before, after string) bool {
	const blanks = " \t"
	left, right := strings.TrimRight(before, blanks), strings.TrimLeft(after, blanks)
	if strings.HasSuffix(left, "@") || strings.HasSuffix(left, ".") || strings.HasPrefix(right, "@") || strings.HasPrefix(right, ".") {
		return true
	}
	return before != "" && after != "" && !endsApart(before) && !beginsApart(after)
}

// apart holds what ends a word.
const apart = " \t,;:<>()\""

// endsApart reports whether what follows a text begins a new word, and beginsApart whether the text itself does.
func endsApart(text string) bool {
	return text == "" || strings.IndexByte(apart, text[len(text)-1]) >= 0
}

func beginsApart(text string) bool { return text == "" || strings.IndexByte(apart, text[0]) >= 0 }

// angle reads an address in angle brackets, its comments as blanks. A route before it is doubt: readers differ about it.
func (m *mailboxes) angle() {
	if m.part.angles == nil {
		m.part.name = len(m.part.words)
	}
	if n := strings.IndexAny(m.in[m.at:], `>"(<,:;`); n >= 0 && m.in[m.at+n] == '>' { // as nearly all are
		m.part.angles = append(m.part.angles, m.in[m.at:m.at+n])
		m.at += n + 1
		return
	}
	var b strings.Builder
	for m.at < len(m.in) {
		c := m.in[m.at]
		m.at++
		switch c {
		case '>':
			m.part.angles = append(m.part.angles, b.String())
			return
		case '"':
			text, ok := m.until('"')
			m.slip = m.slip || !ok
			b.WriteString(`"` + text + `"`)
		case '(':
			m.comment(true)
			b.WriteByte(' ')
		case '<', ',', ':', ';':
			m.slip = true
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	m.slip = true
	m.part.angles = append(m.part.angles, b.String())
}

// endPart takes what stood before a comma: one address in angles with a name before it, or a bare address, or a piece of a name with an
// unquoted comma in it.
func (m *mailboxes) endPart() {
	p := m.part
	m.part.begin()
	words := ""
	if len(p.angles) == 0 {
		words = string(p.words)
	}
	p.angles = slices.CompactFunc(p.angles, strings.EqualFold) // some programs write it twice
	m.slip = m.slip || len(p.angles) > 1
	if len(p.angles) == 1 {
		behind := string(p.words[p.name:])
		m.slip = m.slip || hasAt(behind) || hidesAddress(behind)
		m.doubt = m.doubt || hasAt(behind) && isFollowed(behind)
	}
	m.doubt = m.doubt || len(p.angles) == 0 && (p.glued || p.within)
	for _, address := range p.angles {
		m.take(address)
	}
	// An address before one in angles is a name, as contact forms and lists write it without quotes; all readers take the one in angles.
	switch {
	case len(p.angles) > 0:
	case p.asides == nil && !p.domain && isName(words):
		m.names = append(m.names, words)
	case hasAt(words):
		m.slip = m.slip || p.quoted
		m.take(words)
	case hidesAddress(words): // of no name: a reader that decodes it first sees one more author
		m.doubt = true
	default: // of no name either: many readers take what looks like an address for one
		for _, text := range p.asides {
			m.slip = m.slip || strings.Count(text, "@") != 1
			for _, word := range strings.FieldsFunc(text, parts) {
				if isAddress(word) {
					m.doubt = m.doubt || m.slip && isFollowed(text)
					m.take(word)
				}
			}
		}
	}
}

// holdsAddress reports whether a quoted string or comment holds what a reader may take for an address.
func holdsAddress(text string) bool {
	return hidesAddress(text) || slices.ContainsFunc(strings.FieldsFunc(text, parts), isAddress)
}

func isAddress(word string) bool { return strings.Contains(strings.Trim(word, "@"), "@") }

// isFollowed reports whether more words stand behind an address in a text, which a reader may join with its domain.
func isFollowed(text string) bool {
	text = text[strings.IndexByte(text, '@')+1:]
	if i := strings.IndexAny(text, "<>,;"); i >= 0 {
		if text[i] == '>' && !beginsApart(text[i+1:]) {
			return true
		}
		text = text[:i]
	}
	return len(strings.FieldsFunc(text, parts)) > 1
}

// parts reports whether a character stands between addresses.
func parts(r rune) bool { return strings.ContainsRune(" \t,;:<>()\"\\", r) }

// isName reports whether words with an @ are no address that somebody could write to: no word ends at the @, and nothing behind it could be a domain.
// Of a comma in an encoded word, as old scripts write it, they may be what stands before it.
func isName(words string) bool {
	if strings.Contains(words, "=?") {
		const end = "?="
		decoded, err := decoder.DecodeHeader(words + end)
		if err != nil {
			return false
		}
		words = strings.TrimSuffix(decoded, end)
	}
	before, behind, found := strings.Cut(words, "@")
	return found && (before == "" || strings.HasSuffix(before, " ") || strings.HasSuffix(before, "\t")) && !mayBeDomain(behind)
}

// mayBeAddress reports whether words have an @, also in an encoded word, and are no name.
func mayBeAddress(words string) bool { return (hasAt(words) || hidesAddress(words)) && !isName(words) }

// mayBeDomain reports whether words have a dot, or what could be made one.
func mayBeDomain(words string) bool {
	return strings.ContainsAny(words, `.@=[<>\`) || !isPlain(strings.NewReplacer(" ", "", "\t", "").Replace(words))
}

// take takes an address, which may hold blanks. One without a domain, as MAILER-DAEMON, is nobody else's.
func (m *mailboxes) take(text string) {
	text, slip := bareAddress(text)
	m.slip = m.slip || slip
	address := withoutBlanks(text)
	m.found = append(m.found, address)
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		m.doubt = m.doubt || strings.ContainsAny(address, `"<>`) || hidesAddress(address)
		return
	}
	local, domain := address[:i], address[i+1:]
	// Of a quoted local part that looks like an address, some readers show the address in it.
	if quoted := strings.HasPrefix(local, `"`) && strings.HasSuffix(local, `"`); quoted {
		local = strings.Trim(local, `"`)
	}
	m.slip = m.slip || strings.ContainsAny(local, `"<>`)
	if domain == "" || local == "" || hasAt(local) || strings.ContainsFunc(local, isControl) || hidesAddress(local) || looksOther(domain) || isDivided(text) {
		m.doubt = true
	}
}

// isDivided reports whether blanks or comments divide the domain of an address (RFC 5322 4.4): some readers end it there, others join it.
func isDivided(text string) bool {
	number := 0
	for range strings.FieldsSeq(text[strings.LastIndexByte(text, '@')+1:]) {
		number++
	}
	return number > 1
}

// withoutBlanks gives an address in memory of its own, without blanks but for those in quotes.
func withoutBlanks(address string) string {
	if !strings.ContainsAny(address, " \t\"") {
		return strings.Clone(address)
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(address); i++ {
		switch c := address[i]; {
		case c == '\\' && quoted && i+1 < len(address):
			i++
			b.WriteString(address[i-1 : i+1])
		case c == '"':
			quoted = !quoted
			b.WriteByte(c)
		case quoted || c != ' ' && c != '\t':
			b.WriteByte(c)
		}
	}
	return b.String()
}

// decoder decodes encoded words of any charset to bytes: what makes an address is ASCII in all of them that mail uses.
var decoder = mime.WordDecoder{CharsetReader: func(_ string, in io.Reader) (io.Reader, error) { return in, nil }}

// hidesAddress reports whether the encoded words (RFC 2047) of a text hold what makes an address.
func hidesAddress(text string) bool {
	if !strings.Contains(text, "=?") {
		return false
	}
	decoded, err := decoder.DecodeHeader(text)
	return err != nil || strings.ContainsAny(withoutShifts(decoded), "@<>")
}
