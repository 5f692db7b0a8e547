package main

import (
	"strings"
	"testing"
)

// TestCompletion: what the shells are told (cobra's command __complete), one word a line.
func TestCompletion(t *testing.T) {
	const policy = "[list]\nallow = []\n[[limit]]\nname = \"few\"\ncount = \"messages\"\nper = [\"client.ip\"]\nrate = \"2/1h\"\n" +
		"[[rule]]\nname = \"much\"\nwhen = 'over.few'\nreply = \"450 4.7.1 Later\"\n"
	for words, want := range map[string]string{
		"doctor --send ":                       "good\nspoof\nuser\n",
		"setup postfix --if-down ":             "tempfail\naccept\n",
		"setup sendmail --if-down ":            "tempfail\naccept\n",
		"mode --policy POLICY enforce --rule ": "much\n",
		"history --policy POLICY --rule ":      "much\n",
		"limit show --policy POLICY ":          "few\n",
		"limit reset --policy POLICY ":         "few\n",
		"list add --policy POLICY ":            "allow\n",
		"list show --policy POLICY ":           "allow\n",
		"list remove --policy POLICY ":         "allow\n",
		"list add --policy POLICY allow ":      "",
		"limit show --policy /nowhere/x ":      "",
		"mode ":                                "observe\nenforce\n",
	} {
		_, out := run(t, policy, append([]string{"__complete"}, strings.Split(words, " ")...)...)
		got, _, _ := strings.Cut("\n"+out, "\n:")
		if strings.TrimPrefix(got+"\n", "\n") != want {
			t.Errorf("gatepost %s: %q, want %q", words, out, want)
		}
	}
}
