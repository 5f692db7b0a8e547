package logging

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// sameAsSlog compares the line of a record with that of slog's own handler.
func sameAsSlog(t *testing.T, change func(slog.Handler) slog.Handler, r slog.Record) {
	t.Helper()
	var got, want bytes.Buffer
	if err := change(newJSONLines(&got, slog.LevelInfo)).Handle(context.Background(), r); err != nil {
		t.Error(err)
	}
	if err := change(slog.NewJSONHandler(&want, nil)).Handle(context.Background(), r); err != nil {
		t.Error(err)
	}
	if got.String() != want.String() {
		t.Errorf("got  %swant %s", got.String(), want.String())
	}
}

func itself(h slog.Handler) slog.Handler { return h }

// hostileText has every byte, every character that JSON or JavaScript escape, and bytes that are no UTF-8.
func hostileText() string {
	var b strings.Builder
	for i := range 256 {
		b.WriteByte(byte(i))
	}
	return b.String() + "\u2027\u2028\u2029\u202a\ufffd\u00e9\U0001F600 \"\\\b\f</script>&\x7f" + "\xed\xa0\x80\xf0\x9f\x98"
}

// TestJSONLinesAreThoseOfSlog: byte for byte, whatever the line holds and whoever made the handler.
func TestJSONLinesAreThoseOfSlog(t *testing.T) {
	at := time.Date(2026, 11, 26, 5, 0, 0, 120_000_000, time.FixedZone("", 5400))
	hostile := hostileText()
	for _, attrs := range [][]slog.Attr{
		nil,
		{slog.String("id", "7K3Q-9MXA"), slog.String("action", "accept"), slog.Int("count", -3), slog.String("", "")},
		{slog.String(hostile, hostile), slog.String("a", "")},
		{slog.GroupAttrs("", slog.String("a", "b"), slog.Int64("n", 1<<62), slog.GroupAttrs("", slog.String("c", "d"))), slog.String("e", "f")},
		{slog.GroupAttrs("named", slog.String("a", "b")), slog.String("e", "f")},
		{slog.GroupAttrs("", slog.String("a", "b"), slog.Bool("yes", true)), {}},
		{slog.Any("error", errors.New(hostile)), slog.Duration("took", time.Second), slog.Float64("x", 0.1), slog.Time("t", at), slog.Uint64("u", 1<<63)},
		{slog.Any("many", []string{"a", hostile}), slog.Any("none", nil), slog.Attr{}},
	} {
		for _, when := range []time.Time{at, {}, time.Now(), at.UTC(), time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC)} {
			for _, level := range []slog.Level{slog.LevelInfo, slog.LevelError, slog.LevelWarn + 1} {
				r := slog.NewRecord(when, level, "decision "+hostile, 0)
				r.AddAttrs(attrs...)
				sameAsSlog(t, itself, r)
				sameAsSlog(t, func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{slog.String("with", "x")}) }, r)
				sameAsSlog(t, func(h slog.Handler) slog.Handler { return h.WithGroup("g") }, r)
			}
		}
	}
}

// FuzzJSONLines: what slog writes of any texts, this writes too.
func FuzzJSONLines(f *testing.F) {
	f.Add("decision", "id", "7K3Q-9MXA", int64(7), int64(1795669200), int64(5))
	f.Add(hostileText(), "\xff\"", "\u2028\\", int64(-1), int64(-62135596800), int64(0))
	f.Fuzz(func(t *testing.T, message, key, value string, n, seconds, nanoseconds int64) {
		r := slog.NewRecord(time.Unix(seconds, nanoseconds).UTC(), slog.LevelInfo, message, 0)
		r.AddAttrs(slog.String(key, value), slog.GroupAttrs("", slog.String(value, key)), slog.Int64(key, n))
		sameAsSlog(t, itself, r)
	})
}

// TestLinesDoNotMix: a line shows nothing of one before it, however long that was.
func TestLinesDoNotMix(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newJSONLines(&out, slog.LevelInfo))
	for range 3 {
		log.Info("first", "sender", strings.Repeat("secret", 10_000))
		out.Reset()
		log.Info("second", "sender", "a@example.org")
		if got := out.String(); strings.Contains(got, "secret") || !strings.HasSuffix(got, `"level":"INFO","msg":"second","sender":"a@example.org"}`+"\n") {
			t.Errorf("got %s", got)
		}
	}
}

// BenchmarkDecision is the line of a decision.
func BenchmarkDecision(b *testing.B) {
	attrs := []slog.Attr{
		slog.String("id", "7K3Q-9MXA"), slog.String("action", "accept"), slog.String("rule", "rest"), slog.String("decided", "data"), slog.String("spoken", "data"),
		slog.String("client", "192.0.2.1"), slog.String("name", "mail.example.org"), slog.String("helo", "mail.example.org"), slog.String("role", "mx"),
		slog.String("sender", "bounce-12345@news.example.org"), slog.String("recipients", "user@example.net"), slog.String("queue", "4fQ0123456789"),
		slog.String("message_id", "20261126050000.12345@example.org"), slog.String("client_iprev", "pass"), slog.String("helo_spf", "pass"),
		slog.String("spf_result", "pass"), slog.String("dkim_result", "pass"), slog.String("dmarc_result", "pass"), slog.String("author_domain", "news.example.org"),
	}
	r := slog.NewRecord(time.Now(), slog.LevelInfo, "decision", 0)
	r.AddAttrs(slog.GroupAttrs("", attrs...))
	for name, h := range map[string]slog.Handler{"ours": newJSONLines(io.Discard, slog.LevelInfo), "slog": slog.NewJSONHandler(io.Discard, nil)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = h.Handle(context.Background(), r)
			}
		})
	}
}
