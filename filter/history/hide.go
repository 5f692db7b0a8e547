package history

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gatepost.example/filter/resolve"
	"gatepost.example/policy"
)

// With addresses = "hashed" the history knows people by a keyed hash only: "~" and 16 letters in the place of a local part or login. Domains
// stay, and so do the local parts of roles, which are nobody's (RFC 2142, RFC 5321 4.5.1).

// Mark is what a hidden local part begins with.
const Mark = "~"

// roles are local parts that are no person's.
var roles = []string{"", "postmaster", "mailer-daemon", "noreply", "no-reply", "root", "abuse", "noc", "security", "hostmaster", "usenet", "news", "webmaster",
	"www", "uucp", "ftp", "info", "marketing", "sales", "support"}

// IsRole reports whether a local part is kept as it is.
func IsRole(local string) bool { return slices.Contains(roles, strings.ToLower(local)) }

// keySize is the length of a key that is made here, leastKey that of the shortest that is taken.
const keySize, leastKey = 32, 16

// keyOf reads the key of hidden local parts from a file, and makes it when it is not there; none from "".
func keyOf(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(key) == 0 { // under an empty one nothing was hidden
		key, err = makeKey(path)
	}
	if err == nil && len(key) < leastKey {
		err = errors.New("it is too short; remove it, and what was hidden under it can no longer be found by address")
	}
	if err != nil {
		return nil, fmt.Errorf("the key of hidden addresses %s: %w", path, err)
	}
	return key, nil
}

// makeKey makes a key in a file, whole or not at all: the disk may be full.
func makeKey(path string) ([]byte, error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-")
	if err != nil {
		return nil, err
	}
	key := make([]byte, keySize)
	rand.Read(key) // never fails
	_, err = f.Write(key)
	// The group reads the history, and finds nobody in it without the key. The mode is that whatever the umask says.
	if err = errors.Join(err, f.Chmod(0o640), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(f.Name()))
	}
	return key, nil
}

// HideLocal gives what stands for a local part or login. Case does not matter, as lists do not look at it.
func HideLocal(local string, key []byte) string {
	if IsRole(local) || strings.HasPrefix(local, Mark) {
		return local
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(strings.ToLower(local)))
	return Mark + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:10]))
}

// HideAddress gives an address with its local part hidden; what has no @ is a login or local part as a whole.
func HideAddress(address string, key []byte) string {
	i := strings.LastIndexByte(address, '@')
	if i < 0 {
		return HideLocal(address, key)
	}
	return HideLocal(address[:i], key) + address[i:]
}

func hideMatch(m Match, key []byte) Match {
	switch {
	case m.Table != "":
		a, b, _ := strings.Cut(m.Text, "\t")
		m.Text = hideIfAddress(a, key) + "\t" + hideIfAddress(b, key)
	case m.Kind == policy.KindAddress && strings.Contains(m.Text, "@"), m.Kind == policy.KindUser:
		m.Text = HideAddress(m.Text, key)
	}
	return m
}

// hideIfAddress hides texts that are no domain: addresses and logins.
func hideIfAddress(text string, key []byte) string {
	if strings.Contains(text, "@") || !strings.Contains(text, ".") {
		return HideAddress(text, key)
	}
	return text
}

// hider hides the people of one record in all its texts.
type hider struct {
	key    []byte
	locals []string // local parts of the record, the longest first
}

// hide gives a copy of a record without local parts.
func hide(r *Record, key []byte) *Record {
	h := &hider{key: key}
	out := *r
	h.know(r.Sender.Address, r.Sender.User)
	out.Sender.Address, out.Sender.User = HideAddress(r.Sender.Address, key), HideAddress(r.Sender.User, key)
	out.Recipients = slices.Clone(r.Recipients)
	for i := range out.Recipients {
		one := &out.Recipients[i]
		h.know(one.Address, one.Resolved)
		one.Address, one.Resolved = HideAddress(one.Address, key), hideResolved(one, key)
	}
	if r.Message != nil {
		h.know(r.Message.AuthorAddress)
		out.Message = h.message(r.Message)
	}
	slices.SortFunc(h.locals, func(a, b string) int { return len(b) - len(a) })
	h.locals = slices.Compact(h.locals)
	out.Outcomes = slices.Clone(r.Outcomes)
	for i := range out.Outcomes {
		out.Outcomes[i] = h.outcome(out.Outcomes[i])
	}
	out.Lines = slices.Clone(r.Lines)
	for i := range out.Lines {
		out.Lines[i].Text = h.text(out.Lines[i].Text)
	}
	return &out
}

// hideResolved hides what the MTA made of a recipient. Of a refused one that is the MTA's own text, which may quote the address.
func hideResolved(r *Recipient, key []byte) string {
	if r.Mailer == "error" && r.Resolved != "" {
		return "-"
	}
	return HideAddress(r.Resolved, key)
}

func (h *hider) know(addresses ...string) {
	for _, a := range addresses {
		local := a
		if i := strings.LastIndexByte(a, '@'); i >= 0 {
			local = a[:i]
		}
		if !IsRole(local) {
			h.locals = append(h.locals, strings.ToLower(local))
		}
	}
}

func (h *hider) message(m *Message) *Message {
	out := *m
	out.AuthorAddress = HideAddress(m.AuthorAddress, h.key)
	out.Header = make(map[string][]string, len(m.Header))
	for name, values := range m.Header {
		for _, v := range values {
			out.Header[name] = append(out.Header[name], h.text(v))
		}
	}
	return &out
}

func (h *hider) outcome(o Outcome) Outcome {
	o.Facts = slices.Clone(o.Facts)
	for i, f := range o.Facts {
		if text, ok := f.Value.Native().(string); ok && text != "" {
			o.Facts[i].Value = policy.StringOf(h.addresses(text))
		}
	}
	o.Findings = slices.Clone(o.Findings)
	for i := range o.Findings {
		f := &o.Findings[i]
		f.Detail = h.text(f.Detail)
		f.Props = slices.Clone(f.Props)
		for j := range f.Props {
			f.Props[j].Value = h.text(f.Props[j].Value)
		}
		f.Lookups = slices.Clone(f.Lookups)
		for j, a := range f.Lookups {
			f.Lookups[j] = h.answer(o.Check, a)
		}
	}
	return o
}

// answer hides what SPF's macros %{s}, %{l} and %{o} made of the sender (RFC 7208 7.2).
func (h *hider) answer(of string, a *resolve.Answer) *resolve.Answer {
	out := *a
	if strings.HasPrefix(of, "spf") {
		out.Name = h.name(a.Name)
	}
	out.Detail = h.text(a.Detail)
	out.Texts = slices.Clone(a.Texts)
	for i := range out.Texts {
		out.Texts[i] = h.text(out.Texts[i])
	}
	return &out
}

// address finds what looks like a mail address in a text.
var address = regexp.MustCompile("[^\\s<>()\\[\\]:;,\"\\\\@=]+@[A-Za-z0-9.-]+")

// least is the length from which a local part is looked for within other texts: a shorter one stands in every second word by chance.
const least = 3

func (h *hider) addresses(s string) string {
	if !strings.Contains(s, "@") {
		return s
	}
	return address.ReplaceAllStringFunc(s, func(a string) string { return HideAddress(a, h.key) })
}

// text hides addresses, and the local parts of the record wherever they stand.
func (h *hider) text(s string) string {
	if s == "" {
		return s
	}
	s = h.addresses(s)
	for _, local := range h.locals {
		if len(local) >= least {
			s = replaceFold(s, local, HideLocal(local, h.key))
		}
	}
	return s
}

// replaceFold replaces a lower-case text in s, whatever its case there.
func replaceFold(s, old, by string) string {
	lower := strings.ToLower(s)
	if len(lower) != len(s) || !strings.Contains(lower, old) {
		return s
	}
	var out strings.Builder
	for at := 0; ; {
		i := strings.Index(lower[at:], old)
		if i < 0 {
			out.WriteString(s[at:])
			return out.String()
		}
		out.WriteString(s[at:at+i] + by)
		at += i + len(old)
	}
}

// name hides a local part within a domain name, as a whole or in the parts that macros split it into (RFC 7208 7.3).
func (h *hider) name(s string) string {
	s = h.text(s)
	parts := map[string]bool{}
	for _, local := range h.locals {
		for part := range strings.FieldsFuncSeq(local, func(r rune) bool { return strings.ContainsRune(".-+,/_=", r) }) {
			parts[part] = true
		}
	}
	labels := strings.Split(s, ".")
	for i, label := range labels[:max(0, len(labels)-2)] {
		if parts[label] {
			labels[i] = HideLocal(label, h.key)
		}
	}
	return strings.Join(labels, ".")
}
