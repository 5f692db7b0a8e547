package main

import (
	"bytes"
	"context"
	"fmt"
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
		{"history --since 3650d --most 2", exitDone, []string{"These are the newest 2; --most NUMBER lists more"}, ""},
		{"history --since 3650d --most 0", exitDone, []string{"spoofed"}, "newest"},
		{"history --since 1m", exitDone, []string{"TIME"}, "spoofed"},
		{"history --since 3650d --action would-554", exitDone, []string{"554 at rcpt by blocked"}, "our-users"},
		{"history --action defer", exitUse, []string{`--action: "defer" is none; write a reply code as 550`}, ""},
		{"history --most -1", exitUse, []string{"--most: -1 is no number of lines"}, ""},
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

// TestHistoryNamesDoctor: test sessions that leave before anything is decided are told apart from strangers who do; one that a rule decided is that rule's.
func TestHistoryNamesDoctor(t *testing.T) {
	dir := startDaemonWith(t, func(dir string) string { return fmt.Sprintf(markedPolicy, dir, "A") })
	for _, greeting := range []string{"gatepost-doctor-1.invalid", "gatepost-doctor-2.invalid", "mail.example.org", "nobody gatepost-doctor-3.invalid"} {
		c, err := dialMilter(dir)
		if err != nil {
			t.Fatal(err)
		}
		recipient, helo, refused := strings.Cut(greeting, " ")
		if !refused {
			helo = greeting
		}
		_, err = c.session.Helo(helo)
		if _, wrong := c.session.Mail("", ""); err != nil || wrong != nil {
			t.Fatal(err, wrong)
		}
		if refused {
			if _, err := c.session.Rcpt(recipient+"@example.net", ""); err != nil {
				t.Fatal(err)
			}
		}
		c.session.Close()
	}
	var out string
	for range 100 {
		if _, out = talk(t, dir, "history", "--by", "rule"); strings.Count(out, "\n") == 4 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if got, want := strings.Join(strings.Fields(out), " "), "RULE ALL TAKEN DEFERRED REFUSED OTHER (doctor) 2 0 0 0 2 - 1 0 0 0 1 nobody 1 0 0 1 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if _, out := talk(t, dir, "history"); strings.Count(out, " left  (doctor) ") != 2 {
		t.Errorf("listed\n%s", out)
	}
}

// TestHistoryFollows: what is decided later is printed too, each once, and of all only what the filters ask for; of the past as much as --most says.
func TestHistoryFollows(t *testing.T) {
	dir := recordCases(t, "spoofed-reject", "null-mx", "spoofed-reject")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, ended := &lockedBuffer{}, make(chan error, 1)
	c := newRoot()
	c.SetOut(out)
	c.SetArgs([]string{"history", "--follow", "--policy", filepath.Join(dir, "policy.toml"), "--since", "3650d", "--rule", "spoofed", "--most", "1"})
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
