package message

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	_ "crypto/sha256"
	"encoding/base64"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// reference canonicalizes a whole body by the words of RFC 6376 3.4.3 and 3.4.4, with regular expressions instead of a state machine.
func reference(c Canon, body string) string {
	if c == Relaxed {
		body = regexp.MustCompile(`[ \t]+\r\n`).ReplaceAllString(body, "\r\n")
		body = regexp.MustCompile(`[ \t]+$`).ReplaceAllString(body, "")
		body = regexp.MustCompile(`[ \t]+`).ReplaceAllString(body, " ")
	}
	body = regexp.MustCompile(`(\r\n)+$`).ReplaceAllString(body, "")
	if body == "" && c == Relaxed {
		return ""
	}
	return body + "\r\n"
}

func hashOf(c Canon, body string, length int64, chunks []int) *BodySum {
	b := NewBodyHasher()
	s := b.Need(c, crypto.SHA256, length)
	rest := []byte(body)
	for i := 0; len(rest) > 0; i++ {
		n := len(rest)
		if len(chunks) > 0 {
			n = min(n, chunks[i%len(chunks)])
		}
		b.Write(rest[:n])
		rest = rest[n:]
	}
	b.Close()
	return s
}

// TestCanonicalBodies: the examples of RFC 6376 3.4.5 and the hashes of empty bodies of 3.4.3 and 3.4.4.
func TestCanonicalBodies(t *testing.T) {
	for _, c := range []struct {
		name  string
		canon Canon
		body  string
		want  string // the canonical body
	}{
		{"RFC 6376 3.4.5, simple", Simple, " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n"},
		{"RFC 6376 3.4.5, relaxed", Relaxed, " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"},
		{"simple, no line end", Simple, "x", "x\r\n"},
		{"simple, empty", Simple, "", "\r\n"},
		{"simple, only line ends", Simple, "\r\n\r\n\r\n", "\r\n"},
		{"relaxed, empty", Relaxed, "", ""},
		{"relaxed, only line ends and blanks", Relaxed, " \r\n\t\r\n", ""},
		{"a bare CR is a byte", Simple, "a\rb\r\n", "a\rb\r\n"},
		{"a bare LF is a byte", Relaxed, "a \n b\r\n", "a \n b\r\n"},
		{"CR at the end", Simple, "a\r", "a\r\r\n"},
	} {
		want := sha256.Sum256([]byte(c.want))
		if got := hashOf(c.canon, c.body, -1, nil); !bytes.Equal(got.Digest(), want[:]) || got.Length() != int64(len(c.want)) {
			t.Errorf("%s: not the hash of %q, length %d", c.name, c.want, got.Length())
		}
	}
	for canon, want := range map[Canon]string{Simple: "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=", Relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="} {
		if got := base64.StdEncoding.EncodeToString(hashOf(canon, "", -1, nil).Digest()); got != want {
			t.Errorf("an empty body: %s, RFC 6376 says %s", got, want)
		}
	}
}

// TestBodyLength: l= counts canonical bytes, and what lies beyond is known.
func TestBodyLength(t *testing.T) {
	want := sha256.Sum256([]byte("ab c"))
	s := hashOf(Relaxed, "ab \t cd\r\nmore\r\n", 4, []int{1})
	if !bytes.Equal(s.Digest(), want[:]) || !s.Beyond() || s.Short() {
		t.Errorf("beyond %v, short %v, length %d", s.Beyond(), s.Short(), s.Length())
	}
	if s := hashOf(Simple, "abc\r\n", 5, nil); s.Beyond() || s.Short() {
		t.Error("a length that is the body's is neither short nor exceeded")
	}
	if s := hashOf(Simple, "abc\r\n", 6, nil); !s.Short() {
		t.Error("a length over the body's is not seen")
	}
}

// TestHashedOnce: signatures that ask for the same share the work.
func TestHashedOnce(t *testing.T) {
	b := NewBodyHasher()
	if b.Need(Simple, crypto.SHA256, -1) != b.Need(Simple, crypto.SHA256, -5) {
		t.Error("the whole body is hashed twice")
	}
	if b.Need(Simple, crypto.SHA256, 10) == b.Need(Relaxed, crypto.SHA256, 10) {
		t.Error("two canonicalizations share a hash")
	}
}

// FuzzBody: whatever the body and its chunks, the hash is that of the reference.
func FuzzBody(f *testing.F) {
	for _, body := range []string{"", "a \r\n\r\n", " \t x \t\r\n", "\r\r\n\n", strings.Repeat("\r\n", 700) + "x", "a  b\tc \r", " \r\n\r\n \r\n",
		strings.Repeat("words of a line \r\n", 3) + "and  its\tend\r \r\n", "a line of plain words\nand more of them \rthan sixteen\r\n \r\nx"} {
		f.Add(body, uint64(1))
	}
	f.Fuzz(func(t *testing.T, body string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		for _, c := range []Canon{Simple, Relaxed} {
			want := sha256.Sum256([]byte(reference(c, body)))
			for i := range 4 {
				chunks := []int{1 + r.IntN(5), 1 + r.IntN(40), 1 + r.IntN(3), 1 + r.IntN(400)}
				if i == 0 {
					chunks = []int{1 << 16} // as most bodies come
				}
				if got := hashOf(c, body, -1, chunks); !bytes.Equal(got.Digest(), want[:]) {
					t.Fatalf("canonicalization %d, chunks %v: %q is not hashed as %q", c, chunks, body, reference(c, body))
				}
			}
		}
	})
}

// TestLongBodies: what relaxed form changes is found wherever it stands in a long chunk.
func TestLongBodies(t *testing.T) {
	line := strings.Repeat("words of a line of text ", 30) // over 700 bytes
	for _, piece := range []string{"\t", "  ", " \r\n", " \r", "\t\r\n", "\r\n\r\n", " !", " ! ", " \t"} {
		for at := range len(line) {
			body := line[:at] + piece + line[at:]
			want := sha256.Sum256([]byte(reference(Relaxed, body)))
			if got := hashOf(Relaxed, body, -1, []int{1 << 16}); !bytes.Equal(got.Digest(), want[:]) {
				t.Fatalf("%q at byte %d is not hashed as the reference has it", piece, at)
			}
		}
	}
}

func BenchmarkBody(b *testing.B) {
	text := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog, and then again.\r\n", 16<<10/62))
	indented := []byte(strings.Repeat("        <td class=\"a\">The quick brown fox  </td>\r\n", 16<<10/50))
	empty := bytes.Repeat([]byte("\r\n"), 8<<10)
	for _, c := range []struct {
		name  string
		canon Canon
		chunk []byte
	}{{"simple", Simple, text}, {"relaxed", Relaxed, text}, {"relaxed-indented", Relaxed, indented}, {"empty-lines", Simple, empty}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.chunk)))
			h := NewBodyHasher()
			h.Need(c.canon, crypto.SHA256, -1)
			for b.Loop() {
				h.Write(c.chunk)
			}
		})
	}
}

// TestAgain: the memory of an earlier message serves the next one as new memory does; nothing of the earlier one is in it, and what was taken out
// stays as it was.
func TestAgain(t *testing.T) {
	h, b := NewHeader(), NewBodyHasher()
	h.Add("Subject", " secret")
	kept := h.Fields[0]
	relaxed, simple := b.Need(Relaxed, crypto.SHA256, -1), b.Need(Simple, crypto.SHA256, 3)
	b.Write([]byte(" secret \r\n\r\n"))
	b.Close()
	digest := string(relaxed.Digest())
	h, b = h.Again(), b.Again()
	if h.Size() != 0 || len(h.Fields) != 0 || h.Fields[:1][0] != (Field{}) {
		t.Errorf("header of %d bytes, %q", h.Size(), h.Fields[:1])
	}
	select {
	case <-b.Done():
		t.Error("the body has ended before it began")
	default:
	}
	h.Add("To", " public")
	again := b.Need(Relaxed, crypto.SHA256, -1)
	b.Write([]byte("a\r\n"))
	b.Close()
	if want := sha256.Sum256([]byte("a\r\n")); string(again.Digest()) != string(want[:]) || again.Length() != 3 {
		t.Errorf("%x of %d bytes", again.Digest(), again.Length())
	}
	if kept != (Field{"Subject", " secret"}) || string(relaxed.Digest()) != digest || simple.Length() != 10 {
		t.Errorf("what was taken out changed: %q, %x, %d", kept, relaxed.Digest(), simple.Length())
	}
}
