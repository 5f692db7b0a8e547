package play

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRepeatAndWait: what stands between repeat and end is played so many times, and the clock goes on by wait only.
func TestRepeatAndWait(t *testing.T) {
	const text = "why: a test\n-- policy --\nmode = \"enforce\"\n[[limit]]\nname = \"few\"\ncount = \"recipients\"\nper = [\"client.ip\"]\nrate = \"3/1h\"\n" +
		"[[rule]]\nname = \"r\"\nwhen = 'over.few'\nreply = \"450 4.7.1 no {rcpt.address}\"\n-- session --\nconnect 192.0.2.1\nmail <a@example.org>\n" +
		"repeat 4\nrcpt <u{n}@example.net>\nend\nwait 40m\nrcpt <v@example.net>\n-- want --\nrcpt 450 4.7.1 no u4@example.net\n"
	c, err := ReadCase("a.txtar", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	result, err := new(Policies).Play(c, nil, time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range result.Check(c) {
		t.Error(wrong)
	}
}

func TestRepeatRefuses(t *testing.T) {
	for session, want := range map[string]string{
		"repeat":                             "session:1: repeat needs a word behind it",
		"repeat x\nend":                      "session:1: repeat takes a number of times up to 50000, as in repeat 200",
		"repeat 2\nrset":                     "session:1: repeat without end",
		"repeat 2\nrepeat 2\nrset\nend\nend": "session:1: repeat without end; one does not stand within another",
		"rset\nend":                          "session:2: end without repeat",
		"repeat 40000\nrset\nrset\nend":      fmt.Sprintf("session:1: more than %d commands", maxCommands),
	} {
		_, err := ReadCase("a.txtar", []byte("why: a test\n-- session --\n"+session+"\n-- want --\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", session, err, want)
		}
	}
}
