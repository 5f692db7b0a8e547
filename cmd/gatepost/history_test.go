package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/history"
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

// TestHistoryFollows: what is decided later is printed too, each once.
func TestHistoryFollows(t *testing.T) {
	dir := recordCases(t, "spoofed-reject")
	r, err := history.OpenReader(filepath.Join(dir, "history.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 1300*time.Millisecond)
	defer cancel()
	c := newHistory()
	var out bytes.Buffer
	c.SetOut(&out)
	o := historyOptions{}
	if err := o.watch(ctx, c, r); err != nil {
		t.Fatal(err)
	}
	if strings.Count(out.String(), "spoofed") != 1 {
		t.Errorf("followed:\n%s", &out)
	}
}
