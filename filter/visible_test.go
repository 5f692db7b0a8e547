package filter

import "testing"

// What a sender writes into an address or a name moves no cursor and turns no line around (CVE-2021-42574 tells of the latter).
func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"anna@example.org":             "anna@example.org",
		"bücher@example.org":           "bücher@example.org",
		"a\x1b[2Jb\r\nc\td\x7f":        "a?[2Jb??c?d?",
		"a\u009b31mb":                  "a?31mb",
		"a\u202egro.elpmaxe\u202cb":    "a?gro.elpmaxe?b",
		"a\u2066b\u2069c\u200fd":       "a?b?c?d",
		"a\u200bb\u2060c\ufeffd\u00ad": "a?b?c?d?",
		"a\u2028b\u2029c\U000e0041":    "a?b?c?",
	} {
		if got := Visible(text); got != want {
			t.Errorf("Visible(%q) = %q, want %q", text, got, want)
		}
	}
}
