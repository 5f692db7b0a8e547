package filter

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"gatepost.example/filter/history"
)

// BenchmarkReplayHistory writes 100,000 generated records into a history and decides all of them again under the shipped policy with two workers. It
// prints how long a million would take by the wall clock, and how much processor time.
func BenchmarkReplayHistory(b *testing.B) {
	const records = 100_000
	text := recordedPolicies(b)["shipped enforcing"]
	var kept keeper
	g := newGenerator(b, text, 1, &kept)
	for len(kept) < 10_000 {
		g.session()
	}
	path := filepath.Join(b.TempDir(), "history.db")
	store, err := history.Open(history.Config{
		Path: path, Keep: 10000 * time.Hour, Size: 1 << 40, Now: func() time.Time { return g.now }, Log: slog.New(slog.DiscardHandler), Queued: records,
	})
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		r := *kept[i%len(kept)]
		r.ID = fmt.Sprintf("%04d-%04d", i/10_000, i%10_000)
		store.Add(&r, nil)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	replayer := NewReplayer(SettingsOf(parsed(b, text)), nil, false)
	p := Replay{Workers: 2, Under: func(string) (*Replayer, bool, error) { return replayer, true, nil }}
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var wall, used time.Duration
	rounds := 0
	for b.Loop() {
		reader, err := history.OpenReader(path)
		if err != nil {
			b.Fatal(err)
		}
		began, before := time.Now(), processorTime()
		report, err := p.Run(context.Background(), reader)
		if err != nil || report.Same != records {
			b.Fatalf("%+v, %v", report, err)
		}
		wall, used, rounds = wall+time.Since(began), used+processorTime()-before, rounds+1
		reader.Close()
	}
	million := float64(rounds*records) / 1e6
	b.ReportMetric(wall.Seconds()/million, "s/million")
	b.ReportMetric(used.Seconds()/million, "cpu-s/million")
}

// BenchmarkHistory writes generated records into a history, with all that their commits cost.
func BenchmarkHistory(b *testing.B) {
	text := recordedPolicies(b)["shipped enforcing"]
	var kept keeper
	g := newGenerator(b, text, 1, &kept)
	for len(kept) < 2000 {
		g.session()
	}
	store, err := history.Open(history.Config{
		Path: filepath.Join(b.TempDir(), "history.db"), Keep: 10000 * time.Hour, Size: 1 << 40, Now: func() time.Time { return g.now },
		Log: slog.New(slog.DiscardHandler), Queued: 100_000,
	})
	if err != nil {
		b.Fatal(err)
	}
	policy := keptPolicy(parsed(b, text))
	b.ReportAllocs()
	b.ResetTimer()
	before := processorTime()
	for i := range b.N { // not b.Loop: what the writer still has to do at the end counts
		r := *kept[i%len(kept)]
		r.ID = NewID()
		store.Add(&r, policy)
		if i%500 == 499 {
			time.Sleep(10 * time.Millisecond) // for the writer, which is told of every 32nd
		}
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64((processorTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// processorTime gives what this process has used so far.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // never fails for oneself
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
