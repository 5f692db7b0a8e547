package message

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestHeaderCanonicalization: the examples of RFC 6376 3.4.5 and the rules of 3.4.2.
func TestHeaderCanonicalization(t *testing.T) {
	for _, c := range []struct {
		canon       Canon
		name, value string
		want        string
	}{
		{Relaxed, "A", " X", "a:X\r\n"},
		{Relaxed, "B ", " Y\t\r\n\tZ  ", "b:Y Z\r\n"},
		{Simple, "A", " X", "A: X\r\n"},
		{Simple, "B ", " Y\t\r\n\tZ  ", "B : Y\t\r\n\tZ  \r\n"},
		{Relaxed, "Subject", "", "subject:\r\n"},
		{Relaxed, "SUBJECT\t", "\r\n \t\r\n a", "subject:a\r\n"},
	} {
		got := sha256.New()
		HashField(got, c.canon, Field{c.name, c.value}, false)
		want := sha256.Sum256([]byte(c.want))
		if !bytes.Equal(got.Sum(nil), want[:]) {
			t.Errorf("%q:%q is not hashed as %q", c.name, c.value, c.want)
		}
	}
}

// TestFoldsBecomeCRLF: MTAs hand folds to a milter as LF; signers signed CRLF (RFC 6376 2.8).
func TestFoldsBecomeCRLF(t *testing.T) {
	h := NewHeader()
	h.Add("Subject", " a\n\tb\r\n c\nX: d")
	if got, want := h.First("subject"), " a\r\n\tb\r\n c\nX: d"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestRead: a message file gives the same fields and body, whatever its line ends.
func TestRead(t *testing.T) {
	text := "From: a@example.org\r\nSubject: folded\r\n\tline\r\nX:y\r\n\r\nbody\r\n.\r\n"
	for _, in := range []string{text, strings.ReplaceAll(text, "\r\n", "\n")} {
		h, body, err := Read(strings.NewReader(in))
		if err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%q %q", h.Fields, rest); got != `[{"From" " a@example.org"} {"Subject" " folded\r\n\tline"} {"X" "y"}] "body\r\n.\r\n"` {
			t.Errorf("got %s", got)
		}
	}
	h, body, err := Read(strings.NewReader("From: a\r\nno field\r\nTo: b\r\n"))
	rest, _ := io.ReadAll(body)
	if err != nil || len(h.Fields) != 1 || string(rest) != "no field\r\nTo: b\r\n" {
		t.Errorf("the header ends before the first line that is no field: %v, %q, %v", h.Fields, rest, err)
	}
}

// TestHeaderIsBounded: beyond MaxHeader fields are counted and not kept, and that is known.
func TestHeaderIsBounded(t *testing.T) {
	h := NewHeader()
	for range 30 {
		h.Add("X", strings.Repeat("x", 100_000))
	}
	if !h.Truncated() || h.Size() < 3_000_000 || len(h.Fields) > 10 {
		t.Errorf("truncated %v, size %d, %d fields", h.Truncated(), h.Size(), len(h.Fields))
	}
}

// FuzzRead: what is read is all there is: the fields and the body put together again are the text.
func FuzzRead(f *testing.F) {
	f.Add("From: a\r\n b\r\n\r\nbody")
	f.Add("\r\n")
	f.Add("a:b")
	f.Add("From : x\r\n\ty\r\nnot a field\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		crlf := strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
		h, body, err := Read(strings.NewReader(crlf))
		if err != nil {
			return
		}
		rest, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, field := range h.Fields {
			b.WriteString(field.Name + ":" + field.Value + "\r\n")
		}
		whole := b.String() + string(rest)
		if whole == crlf+"\r\n" { // a last line without its end gets one
			return
		}
		if whole != crlf && b.String()+"\r\n"+string(rest) != crlf {
			t.Errorf("%q became %q", crlf, whole)
		}
	})
}
