package message

import (
	"crypto/sha256"
	"strings"
	"testing"

	"gatepost.example/filter/check/checktest"
)

// FuzzLinear: no header, field or body takes longer than its length, also where it is one thing again and again and then another.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{"a@x.test,", "<", "(", "\"", "\\", ":", "\r\n ", "\n ", "\r", "From: a\r\n", "\r\n", " ", "\t \r\n", "[192.0.2.1]", "from a (", ">", "\"@\"", ")", "a@b,", " @:", "=?u?q? @,", "\x83@", "[a@", "\\a"} {
		for _, first := range []string{"", "a", "a@"} {
			f.Add(first, piece)
		}
	}
	f.Fuzz(func(t *testing.T, first, piece string) {
		if len(first) > 100 {
			return
		}
		checktest.Linear(t, "", piece, func(text string) {
			h := NewHeader()
			h.Add("From", strings.Repeat(first, 4*len(text)/(len(first)+1))+text)
			ExtractAuthor(h)
			for _, c := range []Canon{Simple, Relaxed} {
				HashField(sha256.New(), c, Field{"From", text}, false)
				hashOf(c, text, -1, []int{65535})
			}
		})
		checktest.Linear(t, "from ", piece, func(text string) { ReadReceived(text) })
		checktest.Linear(t, "", piece, func(text string) { Read(strings.NewReader(text)) })
		checktest.Linear(t, "X: y", piece, func(text string) { Read(strings.NewReader(text)) })
	})
}

// TestLinearNames: nor does a name whose characters are all different, which no name in DNS is long enough for.
func TestLinearNames(t *testing.T) {
	checktest.Linear(t, "", ideograph, func(text string) {
		h := NewHeader()
		h.Add("From", "a@"+different(len(text)/len(ideograph))+".example")
		if a := ExtractAuthor(h); a.Domain != "" || len(a.Domains) != 2 {
			t.Errorf("%q of %d bytes", a.Domains, len(text))
		}
	})
	for name, stays := range map[string]bool{
		different(18): false, different(63) + ".example": false, different(64) + ".example": true,
		strings.Repeat("\u00fc", 50) + "\u3002example": false, strings.Repeat(strings.Repeat("\u00fc", 20)+"\uff0e", 5): false,
		strings.Repeat("\u00fc", 64): true, strings.Repeat("\u00fc.", 128): true,
	} {
		if got := ALabels(name); (got == name) != stays {
			t.Errorf("%s became %s", name, got)
		}
	}
}

const ideograph = "\u4e00"

// different gives so many characters of which none is another one's.
func different(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteRune('\u4e00' + rune(i)%20_000)
	}
	return b.String()
}

// FuzzField: a field that an MTA hands over with LF folds is the one that was sent with CRLF folds; what relaxed form makes of a field does
// not change when it is done again, and holds no fold and no double blank (RFC 6376 3.4.2).
func FuzzField(f *testing.F) {
	f.Add("Subject", " a\r\n\tb  c ")
	f.Add("X \t", "\r\n \r\n a\rb\n")
	f.Fuzz(func(t *testing.T, name, value string) {
		lf, crlf := NewHeader(), NewHeader()
		lf.Add(name, strings.NewReplacer("\r\n ", "\n ", "\r\n\t", "\n\t").Replace(value))
		crlf.Add(name, value)
		if strings.Contains(value, "\r\r\n") {
			return // a CR before a fold is no part of it, and is not told apart once the fold has lost its own
		}
		if len(lf.Fields) == 1 && lf.Fields[0] != crlf.Fields[0] {
			t.Errorf("%q: with LF %q, with CRLF %q", value, lf.Fields[0].Value, crlf.Fields[0].Value)
		}
		once := appendRelaxed(nil, value)
		if strings.Contains(string(once), "  ") || strings.Contains(string(once), "\t") || strings.HasPrefix(string(once), " ") || strings.HasSuffix(string(once), " ") {
			t.Errorf("%q became %q", value, once)
		}
		if !strings.Contains(value, "\r") {
			if twice := appendRelaxed(nil, string(once)); string(twice) != string(once) {
				t.Errorf("%q: %q, then %q", value, once, twice)
			}
		}
	})
}
