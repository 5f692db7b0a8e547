package dkim

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

// FuzzChanged: a message with one of its signed bytes changed never passes, whatever the chunks.
func FuzzChanged(f *testing.F) {
	signed := sign(f, mail, "e", msgauth.CanonicalizationSimple, msgauth.CanonicalizationSimple)
	from := strings.Index(signed, "From: a@")
	f.Add(10, byte('x'), 3)
	f.Add(len(signed)-8, byte(' '), 1)
	f.Fuzz(func(t *testing.T, at int, to byte, chunk int) {
		at = from + abs(at)%(len(signed)-from)
		if signed[at] == to || chunk <= 0 {
			return
		}
		changed := signed[:at] + string([]byte{to}) + signed[at+1:]
		out := verify(t, zone(), changed, chunk, time.Now())
		for _, finding := range out.Findings {
			// Empty lines at the end of the body are no signed bytes, nor is what a line end becomes there (RFC 6376 3.4.3).
			if finding.Result == "pass" && strings.TrimRight(changed, "\r\n") != strings.TrimRight(signed, "\r\n") {
				t.Errorf("byte %d changed from %q to %q, and it passes", at, signed[at], to)
			}
		}
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

func BenchmarkVerify(b *testing.B) {
	for _, size := range []int{10 << 10, 1 << 20} {
		for name, canon := range map[string]msgauth.Canonicalization{"simple": msgauth.CanonicalizationSimple, "relaxed": msgauth.CanonicalizationRelaxed} {
			text := mail + strings.Repeat("The quick brown fox jumps over the lazy dog, and then again.\r\n", size/62)
			signed := sign(b, text, "r", canon, canon)
			dns := zone()
			b.Run(fmt.Sprintf("%dKiB-%s", size>>10, name), func(b *testing.B) {
				b.SetBytes(int64(len(signed)))
				b.ReportAllocs()
				for b.Loop() {
					if out := verify(b, dns, signed, 65535, time.Now()); out.Findings[0].Result != "pass" {
						b.Fatal(words(out))
					}
				}
			})
		}
	}
}

// BenchmarkHostile: time is straight in the size of what an attacker sends; beside it go-msgauth on the same input.
func BenchmarkHostile(b *testing.B) {
	one := raw("", nil)
	field := one[:strings.Index(one, "\r\n")+2]
	rest := one[len(field):]
	for _, n := range []int{1, 2, 4} {
		names := strings.Replace(field, "h=From", "h=From"+strings.Repeat(":x", 240*n), 1) + strings.Repeat("X: y\r\n", 400*n) + rest
		for name, text := range map[string]string{
			"folds":      field + "X: " + strings.Repeat("a\r\n ", 12_500*n) + "\r\n" + rest,
			"h-names":    names,
			"signatures": strings.Repeat(field, 50*n) + rest,
			"empty-body": one + strings.Repeat("\r\n", 250_000*n),
		} {
			b.Run(fmt.Sprintf("%s-%d/gatepost", name, n), func(b *testing.B) {
				dns := zone()
				for b.Loop() {
					verify(b, dns, text, 65535, time.Now())
				}
			})
			b.Run(fmt.Sprintf("%s-%d/go-msgauth", name, n), func(b *testing.B) {
				options := &msgauth.VerifyOptions{LookupTXT: func(string) ([]string, error) {
					return []string{"v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(keys().ed25519.Public().(ed25519.PublicKey))}, nil
				}}
				for b.Loop() {
					msgauth.VerifyWithOptions(strings.NewReader(text), options) // most of these it refuses, in its own time
				}
			})
		}
	}
}
