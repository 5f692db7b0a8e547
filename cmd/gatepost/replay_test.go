package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestReplaySaysWhatChanges: over recorded session files, under their own policies and under others, with the exit status for a CI.
func TestReplaySaysWhatChanges(t *testing.T) {
	dir := recordCases(t, "early-refusal-above-dmarc", "spoofed-reject", "null-mx", "two-from-fields", "lists", "messages-apart", "recipients-of-two-classes")
	milder := filepath.Join(dir, "milder.toml")
	write(t, milder, "mode = \"enforce\"\n")
	stricter := filepath.Join(dir, "stricter.toml")
	write(t, stricter, "mode = \"enforce\"\n[[rule]]\nname = \"all\"\nwhen = 'client.ip != \"\"'\nreply = \"550 5.7.1 nobody\"\n")
	watching := filepath.Join(dir, "watching.toml")
	write(t, watching, "mode = \"enforce\"\n[[rule]]\nname = \"tried\"\nwhen = 'client.ip != \"\"'\nreply = \"550 5.7.1 nobody\"\nobserve = true\n")
	asks := filepath.Join(dir, "asks.toml")
	write(t, asks, "mode = \"enforce\"\n[[rule]]\nname = \"new\"\nwhen = 'header(\"X-Never-Kept\").exists(v, true)'\nreply = \"550 5.7.1 no\"\n")
	for _, step := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"replay", "--since", "3650d"}, exitDone, []string{"the same, 0 changed, 0 would go further, 0 unknown"}},
		{[]string{"replay", milder, "--since", "3650d"}, exitDone, []string{"would go further: the refusal", "550 -> goes further", "null-mx", "TEST-0002", "550 -> accept"}},
		{[]string{"replay", stricter, "--since", "3650d", "--fail-on", "refuse>0"}, exitNo, []string{"accept -> 550", "failed: refuse is"}},
		{[]string{"replay", stricter, "--since", "3650d", "--fail-on", "accept>0", "--json"}, exitDone, []string{`"to": "550"`, `"examples"`}},
		{[]string{"replay", watching, "--since", "3650d", "--fail-on", "refuse>0"}, exitDone, []string{"accept -> accept (would 550)", "- -> tried"}},
		{[]string{"replay", asks, "--since", "3650d"}, exitDone, []string{"unknown: a fact was not recorded", "-> header fields"}},
		{[]string{"replay", stricter, "--since", "1h"}, exitDone, []string{"0 sessions"}},
		{[]string{"replay", stricter, "--recount", "--since", "2020-01-01"}, exitDone, []string{"accept -> 550"}},
		{[]string{"replay", stricter, "--fail-on", "refused>0"}, exitUse, []string{"is no condition"}},
		{[]string{"replay", "--since", "soon"}, exitUse, []string{`--since: "soon" is no time`}},
	} {
		status, out := talk(t, dir, step.args...)
		if status != step.status {
			t.Errorf("gatepost %s: exit status %d, want %d", step.args, status, step.status)
		}
		for _, want := range step.want {
			if !strings.Contains(out, want) {
				t.Errorf("gatepost %s: no %q in\n%s", step.args, want, out)
			}
		}
	}
}
