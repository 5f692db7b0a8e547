// Package submission answers which logins own a sender address, as Postfix does for its parameter smtpd_sender_login_maps
// (postconf(5)), from the same tables: texthash, regexp, pcre and socketmap.
//
// A table that has a mistake is refused as a whole, where Postfix logs a warning and goes on without the line: a rule that is left
// out here lets the wrong people write, or keeps the right ones from it.
//
// Standard: RFC 5321. Manuals: postconf(5), postmap(1), regexp_table(5), pcre_table(5), socketmap_table(5).
package submission

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// delimiter starts an address extension, as user+extension@domain: recipient_delimiter in postconf(5), which is empty by default.
const delimiter = "+"

// A table is one entry of the maps. Its methods may be called by many sessions at once.
type table interface {
	// lookup gives the value for a key; where is the entry, for people. The key is as the client wrote it.
	lookup(ctx context.Context, key string) (value, where string, found bool, err error)
	// partial reports whether parts of an address are looked up, too (DICT_FLAG_PATTERN says no in Postfix).
	partial() bool
	// changed reports whether the file behind it is another than the one that was read.
	changed() bool
	close() error
}

// Maps are the tables of [submission] login_maps.
type Maps struct {
	tables []table
}

// Open reads the tables that a text names: one or more, separated by commas or blanks. Files are read at once; a socketmap is
// connected at the first lookup.
func Open(text string) (*Maps, error) { return OpenWith(text, nil) }

// OpenWith is Open with files that stand in the place of those on disk, by their paths.
func OpenWith(text string, given map[string][]byte) (*Maps, error) {
	specs, err := parse(text)
	if err != nil {
		return nil, err
	}
	m := &Maps{}
	for _, s := range specs {
		s.given = given
		t, err := open(s)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", s.text, err), m.Close())
		}
		m.tables = append(m.tables, t)
	}
	return m, nil
}

// open makes one table.
func open(s spec) (table, error) {
	switch s.kind {
	case kindRegexp, kindPCRE:
		return openRules(s)
	case kindSocketmap:
		return newSocketmap(s)
	}
	return openTexthash(s)
}

// Check looks at the text only: the types of the tables and the forms of their names. Nothing is opened.
func Check(text string) error {
	_, err := parse(text)
	return err
}

// Owns reports whether a login may write as an address. The entry is the one that said so, or the lookups that found none, for people.
// An error means that a table did not answer: neither yes nor no.
//
// Nobody needs to own the null sender: bounces have it (RFC 5321 4.5.5). Logins are compared without regard to case, as Postfix does.
func (m *Maps) Owns(ctx context.Context, login, address string) (owned bool, entry string, err error) {
	if address == "" {
		return true, "the null sender", nil
	}
	keys := keysOf(address)
	for i, key := range keys {
		for _, t := range m.tables {
			if i > 0 && !t.partial() {
				continue
			}
			value, where, found, err := t.lookup(ctx, key)
			if err != nil {
				return false, "", err
			}
			if found {
				return lists(value, login), where, nil
			}
		}
	}
	return false, noEntry(keys), nil
}

// keysOf gives the lookups for an address in their order: user+extension@domain, user@domain, @domain. Postfix asks for "user" between
// the last two where the domain is local ($mydestination and others), which is not known here.
func keysOf(address string) []string {
	keys := []string{address}
	at := strings.LastIndex(address, "@")
	if at < 0 {
		return keys
	}
	user, domain := address[:at], address[at:]
	if bare, _, cut := strings.Cut(user, delimiter); cut && bare != "" && user[0] != '"' { // a quoted user has no extension to see
		keys = append(keys, bare+domain)
	}
	if user != "" {
		keys = append(keys, domain)
	}
	return keys
}

// lists reports whether a value names the login: "login names separated by comma and/or whitespace".
func lists(value, login string) bool {
	for name := range strings.FieldsFuncSeq(value, separates) {
		if strings.EqualFold(name, login) {
			return true
		}
	}
	return false
}

// separates reports whether a character stands between names (CHARS_COMMA_SP in Postfix).
func separates(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// noEntry says what was looked up in vain.
func noEntry(keys []string) string {
	quoted := make([]string, len(keys))
	for i, key := range keys {
		quoted[i] = fmt.Sprintf("%q", key)
	}
	return "no entry for " + strings.Join(quoted, ", ")
}

// Changed reports whether a file behind the maps is another than the one that was read. A file that is gone does not count: it may be
// on its way back, and opening anew would only fail.
func (m *Maps) Changed() bool {
	for _, t := range m.tables {
		if t.changed() {
			return true
		}
	}
	return false
}

// Close ends the connections. Lookups that are under way may fail.
func (m *Maps) Close() error {
	var errs []error
	for _, t := range m.tables {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}
