package filter

import (
	"bytes"
	"strings"
)

// This file reads the argument of MAIL FROM and RCPT TO as mail servers do. Postfix, unless strict_rfc821_envelopes is set, and Sendmail take far more
// than RFC 5321 4.1.2 allows, and send the milter what the client wrote: <<a@example.org>>, <a@example.org(a comment)>,
// <@relay.example:a@example.org>. All of them are a@example.org to the MTA, so that they must be to us: their domain would have no SPF record otherwise.

// pathOf gives the address that the MTA finds in an argument: without brackets, comments, source route and quotes that mean nothing. resolved is
// {mail_addr} or {rcpt_addr}, which completes an address without a domain, and counts where the argument cannot be read; "" for none. What neither
// helps for stays as it was written.
func pathOf(typed, resolved string) string {
	if isMailbox(typed) && strings.IndexByte(typed, '"') < 0 {
		return typed
	}
	bare := barePath(typed)
	local, domain := splitAddress(bare)
	switch {
	case bare == "":
		return ""
	case isMailbox(bare):
		return unquoted(local) + "@" + domain
	case isAtoms(bare):
		if isMailbox(resolved) && len(resolved) > len(bare) && resolved[len(bare)] == '@' && strings.EqualFold(resolved[:len(bare)], bare) {
			return resolved
		}
		return bare
	case !isMailbox(resolved):
		return typed
	}
	// Only a domain that was written: the MTA resolves a%other.example@example.net to a@other.example, and keeps the former as the sender.
	if _, domain := splitAddress(resolved); strings.Contains(strings.ToLower(bare), "@"+strings.ToLower(domain)) {
		return resolved
	}
	return typed
}

// barePath removes a source route (RFC 5321 appendix C), comments, angle brackets, and blanks around and beside @ and dots. What stands in
// quotes or in an address literal stays, and what has no end ends with the text.
func barePath(typed string) string {
	if strings.HasPrefix(typed, "@") {
		if _, behind, found := strings.Cut(typed, ":"); found {
			typed = behind
		}
	}
	var out []byte
	depth, closing := 0, byte(0) // of comments; of quotes or a literal
	for i := 0; i < len(typed); i++ {
		c := typed[i]
		escaped := c == '\\' && i+1 < len(typed)
		switch {
		case depth > 0:
			if c == '(' {
				depth++
			} else if c == ')' {
				depth--
			} else if escaped {
				i++
			}
			continue
		case escaped:
			out = append(out, c)
			i++
		case closing != 0:
			if c == closing {
				closing = 0
			}
		case c == '(':
			depth++
			continue
		case c == '<' || c == '>':
			continue
		case c == '"':
			closing = '"'
		case c == '[':
			closing = ']'
		case c == '@' || c == '.':
			out = bytes.TrimRight(out, " \t")
		case (c == ' ' || c == '\t') && (len(out) == 0 || out[len(out)-1] == '@' || out[len(out)-1] == '.'):
			continue
		}
		out = append(out, typed[i])
	}
	return string(bytes.TrimRight(out, " \t"))
}

// isMailbox reports whether a text is a local part and a domain (RFC 5321 4.1.2, RFC 6531 3.3), with dots wherever they stand.
func isMailbox(text string) bool {
	local, domain := splitAddress(text)
	if !isAtoms(local) && !isQuoted(local) {
		return false
	}
	literal := len(domain) > 2 && domain[0] == '[' && domain[len(domain)-1] == ']'
	if literal {
		domain = domain[1 : len(domain)-1]
	}
	return domain != "" && strings.IndexFunc(domain, func(r rune) bool {
		return !isLetterOrDigit(r) && r != '-' && r != '.' && r != '_' && (r != ':' || !literal) && r < 0x80
	}) < 0
}

// isAtoms reports whether a text is made of the characters of atoms and dots.
func isAtoms(text string) bool {
	return text != "" && strings.IndexFunc(text, func(r rune) bool {
		return !isLetterOrDigit(r) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~.", r) && r < 0x80
	}) < 0
}

func isLetterOrDigit(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isQuoted reports whether a text is one quoted string.
func isQuoted(text string) bool {
	if len(text) < 2 || text[0] != '"' {
		return false
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i == len(text)-1
		}
	}
	return false
}
