package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHistoryListsAndCounts: what an admin types, what is printed, and the exit status.
func TestHistoryListsAndCounts(t *testing.T) {
	dir := recordCases(t, "early-refusal-above-dmarc", "spoofed-reject", "users-and-machines", "observe-the-whole")
	for _, step := range []struct {
		args   string
		status int
		want   []string
		not    string
	}{
		{"history --since 3650d", exitDone, []string{"TIME", "spoofed", "<service@bank.example>", "our-users", "would: "}, "\x00"},
		{"history --since 3650d --refused", exitDone, []string{"554", "550"}, "our-users"},
		{"history --since 3650d --rule spoofed --action 550 --client 198.51.100.0/24 --sender bank.example --author bank.example", exitDone, []string{"spoofed"}, "our-users"},
		{"history --since 3650d --by rule", exitDone, []string{"RULE", "REFUSED", "spoofed"}, ""},
		{"history --since 3650d --by day", exitDone, []string{"2026-11-24"}, ""},
		{"history --since 3650d --by domain --json", exitDone, []string{`"key": "bank.example"`}, ""},
		{"history --since 3650d --json --most 1", exitDone, []string{`"action"`}, "spoofed"},
		{"history --since 1m", exitDone, []string{"TIME"}, "spoofed"},
		{"history --by moon", exitUse, []string{`"moon" is none`}, ""},
		{"history --client x", exitUse, []string{"neither an address nor a network"}, ""},
		{"history --directory /nowhere", exitUse, []string{"there is no history to read"}, ""},
	} {
		status, out := talk(t, dir, strings.Fields(step.args)...)
		if status != step.status || step.not != "" && strings.Contains(out, step.not) {
			t.Errorf("gatepost %s: exit status %d, want %d, without %q\n%s", step.args, status, step.status, step.not, out)
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("gatepost %s: no %q in\n%s", step.args, want, out)
			}
		}
	}
}

// TestHistoryFollows: what is decided later is printed too, each once, and of all only what the filters ask for.
func TestHistoryFollows(t *testing.T) {
	dir := recordCases(t, "spoofed-reject", "null-mx")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, ended := &lockedBuffer{}, make(chan error, 1)
	c := newRoot()
	c.SetOut(out)
	c.SetArgs([]string{"history", "--follow", "--policy", filepath.Join(dir, "policy.toml"), "--since", "3650d", "--rule", "spoofed"})
	go func() { ended <- c.ExecuteContext(ctx) }()
	await := func(lines int) {
		t.Helper()
		for range 400 {
			if strings.Count(out.String(), "spoofed") == lines {
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
		t.Fatalf("want %d lines\n%s", lines, out)
	}
	await(1)
	recordInto(t, dir, nil, "null-mx", "spoofed-reject")
	await(2)
	time.Sleep(followPast + 200*time.Millisecond) // nothing comes twice
	cancel()
	if err := <-ended; err != nil || strings.Count(out.String(), "\n") != 2 || strings.Contains(out.String(), "null-mx") {
		t.Errorf("%v, followed:\n%s", err, out)
	}
}

// lockedBuffer is a buffer for one who writes and one who reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
