package dkim

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"

	"gatepost.example/filter/check/checktest"
	"gatepost.example/filter/message"
)

// canons are the canonicalizations that another implementation signs in.
var canons = []msgauth.Canonicalization{msgauth.CanonicalizationSimple, msgauth.CanonicalizationRelaxed}

// FuzzChanged: a message whose signed bytes were changed never passes, in any canonicalization; and the verdict is the same whatever the chunks.
func FuzzChanged(f *testing.F) {
	var signed []string
	for _, header := range canons {
		for _, body := range canons {
			signed = append(signed, sign(f, mail, "e", header, body))
		}
	}
	f.Add(10, "x", 3, byte(0))
	f.Add(len(signed[3])-8, " ", 1, byte(3))
	f.Add(len(signed[1])-20, "\r\n", 2, byte(1))
	f.Add(5, "\r\nDKIM-Signature: v=1;", 7, byte(2))
	f.Fuzz(func(t *testing.T, at int, to string, chunk int, which byte) {
		text := signed[which%4]
		at = abs(at) % len(text)
		changed := text[:at] + to + text[min(at+len(to), len(text)):]
		if chunk <= 0 || changed == text {
			return
		}
		out := verify(t, zone(), changed, chunk, now)
		if again := verify(t, zone(), changed, 1<<20, now); words(again) != words(out) {
			t.Errorf("%q: in chunks of %d %s, at once %s", changed, chunk, words(out), words(again))
		}
		want := canonical(t, text, which%4 >= 2, which%2 == 1)
		for _, finding := range out.Findings {
			if got := canonical(t, changed, which%4 >= 2, which%2 == 1); finding.Result == "pass" && got != want {
				t.Errorf("%q became %q at byte %d, and it passes", want, got, at)
			}
		}
	})
}

// now is when the mails of the fuzz tests are looked at: soon after they were signed.
var now = time.Now()

// canonical gives what the signature of a message covers: its fields and body by the words of RFC 6376 3.4, with regular expressions and
// without the value of b=.
func canonical(t testing.TB, text string, relaxedHeader, relaxedBody bool) string {
	t.Helper()
	header, body, err := message.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, field := range header.Fields {
		name, value := field.Name, field.Value
		if i == 0 { // base64 may be folded, and its last character has bits that mean nothing (RFC 4648 3.5)
			m := regexp.MustCompile(`(?s)^(.*;\s*b=)(.*)$`).FindStringSubmatch(value)
			if m != nil {
				bare, _ := base64.StdEncoding.DecodeString(regexp.MustCompile(`\s+`).ReplaceAllString(strings.TrimSuffix(m[2], ";"), ""))
				value = m[1] + string(bare)
			}
		}
		if relaxedHeader {
			name = strings.ToLower(strings.TrimRight(name, " \t"))
			value = strings.Trim(regexp.MustCompile(`[ \t]+`).ReplaceAllString(strings.ReplaceAll(value, "\r\n", ""), " "), " ")
		}
		out.WriteString(name + ":" + value + "\r\n")
	}
	rest := string(raw)
	if relaxedBody {
		rest = regexp.MustCompile(`[ \t]+(\r\n|$)`).ReplaceAllString(rest, "$1")
		rest = regexp.MustCompile(`[ \t]+`).ReplaceAllString(rest, " ")
	}
	return out.String() + "\r\n" + regexp.MustCompile(`(\r\n)+$`).ReplaceAllString(rest, "")
}

// FuzzLinear: no signature field, key record, header or body takes longer than its length.
func FuzzLinear(f *testing.F) {
	for _, piece := range []string{"a:", ";a=b", "\r\n ", " \r\n", "x", "b=;", "\r\nDKIM-Signature: v=1; a=ed25519-sha256; d=example.org; s=e; h=From:From; bh=aaaa; b=aaaa",
		"\r", " ", "\t\r\n", "\r\nFrom: x", "DKIM-Signature:"} {
		f.Add(piece)
	}
	one := raw("", nil)
	field := one[:strings.Index(one, "\r\n")]
	dns := zone()
	f.Fuzz(func(t *testing.T, piece string) {
		checktest.Linear(t, "", piece, func(text string) { ParseSignature(text) })
		checktest.Linear(t, "", piece, func(text string) { Unsigned(text) })
		checktest.Linear(t, "v=DKIM1; p=", piece, func(text string) { ParseKey(text, "rsa-sha256") })
		checktest.Linear(t, strings.Replace(field, "h=From", "h=From:", 1), piece, func(text string) { verify(t, dns, text+"\r\n\r\nhello\r\n", 65535, now) })
		checktest.Linear(t, field, piece, func(text string) { verify(t, dns, text+"\r\n\r\nhello\r\n", 65535, now) })
		checktest.Linear(t, field+"\r\n\r\n", piece, func(text string) { verify(t, dns, text, 65535, now) })
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}

// FuzzTags: a tag list that is read gives the same when it is written and read again.
func FuzzTags(f *testing.F) {
	for _, s := range []string{"v=1; a=b", "a=;b=", " a = b c ;\r\n d=e;", "a", "=", "a=1;a=2", "a==b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tags, err := ParseTags(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, tag := range tags {
			b.WriteString(tag.Name + "=" + tag.Value + ";")
		}
		again, err := ParseTags(b.String())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(tags) {
			t.Errorf("%q: %v, then %v, %v", text, tags, again, err)
		}
	})
}

// FuzzSignature: what a signature field says is clean: names that DNS can be asked for, and a beginning of b= without white space.
func FuzzSignature(f *testing.F) {
	f.Add(" v=1; a=rsa-sha256; d=example.org; s=s; h=From; bh=x; b=y")
	f.Add("b=;b=")
	f.Fuzz(func(t *testing.T, value string) {
		s, _ := ParseSignature(value)
		if strings.ContainsAny(s.Domain+s.Selector+s.Base64, " \t\r\n\x00") {
			t.Errorf("%q: %+v", value, s)
		}
		if rest := Unsigned(value); len(rest) > len(value) {
			t.Errorf("%q grew to %q", value, rest)
		}
	})
}

// FuzzKey: any key record is read without harm, and a usable key has a size within the bounds.
func FuzzKey(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p="+rsaRecord(keys().rsa), "rsa-sha256")
	f.Add("k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "ed25519-sha256")
	f.Fuzz(func(t *testing.T, text, algorithm string) {
		key, wrong := ParseKey(text, algorithm)
		if wrong == nil && (key.RSA != nil && (key.Bits() < MinRSABits || key.Bits() > MaxRSABits) || key.RSA == nil && key.Ed25519 == nil) {
			t.Errorf("%q: %d bits", text, key.Bits())
		}
	})
}

// FuzzOther: what another implementation verifies we verify, on generated mails (simple and relaxed, CRLF-clean). Known disagreements do
// not arise here: it rejects l=, and takes i= by its case.
func FuzzOther(f *testing.F) {
	f.Add("a subject", "body\r\n\r\n", true, false)
	f.Add(" \t folded\r\n line", " trailing \t\r\n\r\n", false, true)
	f.Fuzz(func(t *testing.T, subject, body string, relaxedHeader, relaxedBody bool) {
		clean := strings.NewReplacer("\r\n ", "\r\n ", "\r", "", "\n", "", "\x00", "").Replace(subject)
		body = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(body, "\r", ""), "\n", "\r\n"), "\x00", "")
		canon := map[bool]msgauth.Canonicalization{true: msgauth.CanonicalizationRelaxed, false: msgauth.CanonicalizationSimple}
		text := "From: a@example.org\r\nSubject: " + clean + "\r\n\r\n" + body
		signed := sign(t, text, "e", canon[relaxedHeader], canon[relaxedBody])
		if got := words(verify(t, zone(), signed, 17, time.Now())); got != "pass" {
			t.Errorf("%q: %s", signed, got)
		}
	})
}

// FuzzBoth: on mails that were signed and then changed, another implementation and ours agree on what passes. Left out is what it takes
// otherwise, with what RFC 6376 says: a bare CR or LF, of which it makes line ends (2.8: only CRLF is one); a header that it cannot read;
// b= with white space or bits that mean nothing, and tags that it splits by a regular expression (3.2); what the tags of a changed
// signature field say of lengths, identities and times (3.5: l=, i=, t=, x=), for it has rules of its own.
func FuzzBoth(f *testing.F) {
	var signed []string
	for _, header := range canons {
		for _, body := range canons {
			signed = append(signed, sign(f, mail, "e", header, body))
		}
	}
	f.Add(10, "x", byte(0))
	f.Add(200, " ", byte(3))
	f.Add(3, "\t", byte(1))
	f.Add(60, "\r\nFrom: x@y.test", byte(2))
	f.Fuzz(func(t *testing.T, at int, to string, which byte) {
		text := signed[which%4]
		from := strings.Index(text, "\r\nFrom:") + 2
		at = from + abs(at)%(len(text)-from)
		changed := text[:at] + to + text[at:]
		if strings.ContainsAny(strings.ReplaceAll(changed, "\r\n", ""), "\r\n\x00") {
			return
		}
		_, body, found := strings.Cut(changed, "\r\n\r\n")
		if _, rest, err := message.Read(strings.NewReader(changed)); err != nil || !found || readAll(rest) != body {
			return // RFC 5322 2.1: the header ends at an empty line; it also takes lines that are no fields
		}
		theirs, err := msgauth.VerifyWithOptions(strings.NewReader(changed), &msgauth.VerifyOptions{LookupTXT: lookup})
		ours := verify(t, zone(), changed, 1000, now)
		if err != nil || len(theirs) != 1 || len(ours.Findings) != 1 {
			return
		}
		if got := ours.Findings[0].Result == "pass"; got != (theirs[0].Err == nil) {
			t.Errorf("%q: ours %s, theirs %v", changed, words(ours), theirs[0].Err)
		}
	})
}

func readAll(r io.Reader) string {
	raw, _ := io.ReadAll(r) // of a string: it does not fail
	return string(raw)
}

// lookup gives another implementation the key of selector e.
func lookup(string) ([]string, error) {
	return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(keys().ed25519.Public().(ed25519.PublicKey))}, nil
}
