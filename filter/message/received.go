package message

import (
	"net/netip"
	"strings"
)

// Hop is who handed a message over, as the Received field of the host that took it says.
type Hop struct {
	Helo string     // as the client greeted
	Name string     // the name that the host verified, "" for none
	Addr netip.Addr // never v4-mapped, and without a zone
}

// Trace is what a Received field (RFC 5321 4.4) says. What it leaves out is zero.
type Trace struct {
	Hop          // the client; its Addr is not valid where the field names none
	From  bool   // it says that it came from somewhere; without it the host itself made the message
	By    string // the host that took it
	With  string // the protocol, in upper case (RFC 3848): "ESMTPS", "LMTP"
	User  bool   // the client had logged in
	For   string // the recipient, without brackets
	Mail  string // the envelope sender as Exim and others add it, without brackets; "" also where it is not said
	Mails bool   // the envelope sender is said
}

// maxReceived bounds what is read of a Received field.
const maxReceived = 2000

// ReadReceived reads who a Received field says that it came from. It reports false where it names no address.
func ReadReceived(value string) (Hop, bool) {
	t := ReadTrace(value)
	return t.Hop, t.Addr.IsValid()
}

// piece is a word of a Received field or a comment, without its brackets.
type piece struct {
	text    string
	comment bool
}

// pieces takes a field apart up to the semicolon before its date. A comment that does not end is none.
func pieces(value string) []piece {
	value = strings.Join(strings.Fields(value[:min(len(value), maxReceived)]), " ")
	var out []piece
	depth, start := 0, 0
	word := func(end int) {
		if start < end {
			out = append(out, piece{value[start:end], false})
		}
	}
	for i := range len(value) {
		switch c := value[i]; {
		case c == '(' && depth == 0:
			word(i)
			depth, start = 1, i+1
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			if depth--; depth == 0 {
				out = append(out, piece{value[start:i], true})
				start = i + 1
			}
		case depth == 0 && (c == ' ' || c == ';'):
			word(i)
			start = i + 1
			if c == ';' {
				return out
			}
		}
	}
	if depth == 0 {
		word(len(value))
	}
	return out
}

// ReadTrace reads a Received field as Postfix, Sendmail, Exim, qmail and others write it.
func ReadTrace(value string) Trace {
	var t Trace
	all := pieces(value)
	for i, p := range all {
		next := ""
		if i+1 < len(all) && !all[i+1].comment {
			next = all[i+1].text
		}
		switch keyword := strings.ToLower(p.text); {
		case p.comment:
			t.comment(p.text)
		case i == 0 && keyword == "from" && next != "":
			t.From = true
			t.client(next, commentsFrom(all[2:]))
		case keyword == "by" && t.By == "":
			t.By = next
		case keyword == "with" && t.With == "":
			t.With = strings.ToUpper(next)
			// RFC 3848: the A of ESMTPA and ESMTPSA; Exim writes esmtpsa, asmtp in old versions.
			t.User = t.User || strings.HasPrefix(t.With, "ESMTP") && strings.HasSuffix(t.With, "A") || t.With == "ASMTP"
		case keyword == "for" && t.For == "":
			t.For = bare(next)
		}
	}
	return t
}

// commentsFrom gives the comments that follow the name behind from, before the next word.
func commentsFrom(all []piece) []string {
	var out []string
	for _, p := range all {
		if !p.comment {
			break
		}
		out = append(out, p.text)
	}
	return out
}

// comment reads what comments say beside the client.
func (t *Trace) comment(text string) {
	if sender, ok := cutFold(text, "envelope-from "); ok {
		t.Mail, t.Mails = bare(sender), true
	}
	if _, ok := cutFold(text, "Authenticated sender:"); ok {
		t.User = true
	}
}

// client reads the client from the word behind from and the comments behind that.
//
//	Postfix, Sendmail:  HELO (NAME [ADDRESS])     Sendmail: HELO (IDENT@NAME [ADDRESS] (may be forged))
//	Exim:               NAME ([ADDRESS] helo=HELO), and without a verified name: [ADDRESS] (helo=HELO)
//	qmail:              NAME (HELO HELO) (ADDRESS)
func (t *Trace) client(word string, comments []string) {
	t.Helo = word
	exim, name := false, ""
	for _, c := range comments {
		if greeting, ok := cutFold(c, "HELO "); ok { // the client's own words: no address is looked for in them
			t.Helo, _, _ = strings.Cut(greeting, " ")
			name = word
			continue
		}
		for i, part := range strings.Fields(c) {
			addr, bracketed := literal(part)
			helo, isHelo := cutFold(part, "helo=")
			switch {
			case !t.Addr.IsValid() && bracketed:
				t.Addr = addr
			case isHelo && helo != "":
				t.Helo, name, exim = helo, word, true
			case i == 0 && !t.Addr.IsValid() && name == "":
				name = part[strings.LastIndexByte(part, '@')+1:]
			}
			if plain, err := netip.ParseAddr(part); err == nil && len(strings.Fields(c)) == 1 && !t.Addr.IsValid() {
				t.Addr = plain.Unmap().WithZone("")
			}
		}
	}
	if addr, bracketed := literal(word); bracketed && exim && !t.Addr.IsValid() {
		t.Addr, name = addr, ""
	}
	if strings.Contains(name, ".") && !strings.ContainsAny(name, "[]()<>;=@") {
		if _, err := netip.ParseAddr(name); err != nil {
			t.Name = name
		}
	}
}

// literal reads an address in brackets, perhaps with a port behind it: [192.0.2.1], [IPv6:2001:db8::1], [192.0.2.1]:25.
func literal(word string) (netip.Addr, bool) {
	word, opens := strings.CutPrefix(word, "[")
	text, _, closes := strings.Cut(word, "]")
	if !opens || !closes {
		return netip.Addr{}, false
	}
	if six, ok := cutFold(text, "IPv6:"); ok {
		text = six
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true // Exchange writes link-local ones with the number of the interface
}

func cutFold(text, prefix string) (string, bool) {
	if len(text) < len(prefix) || !strings.EqualFold(text[:len(prefix)], prefix) {
		return text, false
	}
	return text[len(prefix):], true
}

// bare gives an address without its brackets.
func bare(address string) string { return strings.Trim(address, "<>") }
