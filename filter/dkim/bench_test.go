package dkim

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	msgauth "github.com/emersion/go-msgauth/dkim"
)

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

// hostile gives what an attacker may send to make a verifier slow, n times as much of it.
func hostile(n int) map[string]string {
	one := raw("", nil)
	field := one[:strings.Index(one, "\r\n")+2]
	rest := one[len(field):]
	signing := func(names string) string { return strings.Replace(field, "h=From", "h=From"+names, 1) }
	simple := strings.Replace(one, "c=relaxed/relaxed", "c=simple/simple", 1)
	return map[string]string{
		"folds":          signing(":X") + "X: " + strings.Repeat("a\r\n ", 12_500*n) + "\r\n" + rest,
		"h-names":        signing(strings.Repeat(":x", 240*n)) + strings.Repeat("X: y\r\n", 400*n) + rest,
		"h-names-96KB":   signing(strings.Repeat(":x", 12_000*n)) + strings.Repeat("X: y\r\n", 375*n) + rest,
		"signatures":     strings.Repeat(field, 50*n) + rest,
		"body-CRLF":      simple + strings.Repeat("\r\n", 250_000*n),
		"body-CRLF-text": simple + strings.Repeat(strings.Repeat("\r\n", 250)+"x", 1000*n),
		"body-blanks":    one + strings.Repeat(" ", 500_000*n),
		"body-bare-CR":   one + strings.Repeat("\r", 500_000*n),
	}
}

// BenchmarkHostile: time is straight in the size of what an attacker sends; beside it go-msgauth on the same input, most of which it refuses,
// in its own time. testdata/conformance.md has a table of it.
func BenchmarkHostile(b *testing.B) {
	for _, n := range []int{1, 2, 4} {
		for name, text := range hostile(n) {
			b.Run(fmt.Sprintf("%s-%d/gatepost", name, n), func(b *testing.B) {
				dns := zone()
				defer processorTime(b)()
				for b.Loop() {
					verify(b, dns, text, 65535, time.Now())
				}
			})
			b.Run(fmt.Sprintf("%s-%d/go-msgauth", name, n), func(b *testing.B) {
				options := &msgauth.VerifyOptions{LookupTXT: lookup}
				defer processorTime(b)()
				for b.Loop() {
					msgauth.VerifyWithOptions(strings.NewReader(text), options)
				}
			})
		}
	}
}

// processorTime reports the time of all processors, which a busy machine disturbs less than the clock on the wall.
func processorTime(b *testing.B) (report func()) {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N)/1e6, "cpu-ms/op") }
}
