package filter

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

const harsh = `
[[rule]]
name = "listed"
when = 'client.ip == "192.0.2.9"'
reply = "554 5.7.1 no"
at_once = true
[[rule]]
name = "nobody"
when = 'rcpt.local == "nobody"'
reply = "550 5.1.1 no"
[[rule]]
name = "drop"
when = 'rcpt.local == "drop"'
action = "discard"
[[rule]]
name = "verdict"
when = 'rcpt.local == "late" && header("X-Verdict").exists(v, v == "NO")'
reply = "550 5.7.1 no"
`

// TestPause: everything is accepted for a while, by every stage and action, and the record says what would have been done. The pause ends by
// itself or by one that is past, a reload does not end it, and a message that began in it ends in it.
func TestPause(t *testing.T) {
	s := newSite(t, harsh)
	var records []Record
	s.server.onRecord = func(r Record) { r.Evidence = nil; records = append(records, r) }
	visits := func(why string, want ...string) {
		t.Helper()
		var got []string
		for _, v := range [][2]string{{"192.0.2.9", "u@example.net"}, {"192.0.2.1", "nobody@example.net"}, {"192.0.2.1", "drop@example.net"}, {"192.0.2.1", "late@example.net"}} {
			got = append(got, s.visit(v[0], "", v[1]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", why, got, want)
		}
	}
	refused := []string{"554 connect", "550 rcpt", "0", "550 data"}
	visits("before", refused...)
	s.server.Pause(s.now.Add(time.Hour))
	records = nil
	visits("in the pause", "0", "0", "0", "0")
	var said []string
	for _, r := range records {
		said = append(said, fmt.Sprintf("%s %v %s %s", r.What(), r.Paused, r.After, joined(r.Woulds)))
	}
	want := []string{
		"none true connect 554 at connect by listed", "none true rcpt 550 at rcpt by nobody", "none true  discard at data by drop", "none true  550 at data by verdict",
	}
	if !slices.Equal(said, want) {
		t.Errorf("recorded %q\nwant %q", said, want)
	}
	s.server.Reload(SettingsOf(parsed(t, "mode = \"enforce\"\n"+harsh)))
	visits("after a reload", "0", "0", "0", "0")
	session, _ := s.open("192.0.2.1")
	session.Mail(Sender{Address: "a@example.org"})
	s.now = s.now.Add(2 * time.Hour)
	if r := session.Rcpt(Recipient{Address: "nobody@example.net", Resolved: "nobody@example.net"}); r.Verb != GoOn {
		t.Errorf("a message that began in the pause: %s", r)
	}
	session.Close()
	visits("when it is over", refused...)
	s.server.Pause(s.now.Add(time.Hour))
	s.server.Pause(time.Time{})
	visits("when it was ended", refused...)
	if _, paused := s.server.Paused(); paused {
		t.Error("the server says that it is paused")
	}
}

// TestLogOfSharesAndPauses: the line of a decision says on which side of a share the sender was, and that there is a pause.
func TestLogOfSharesAndPauses(t *testing.T) {
	for share, want := range map[string]string{
		"99.99%": "action=550 rule=some decided=mail share=99.99% spoken=rcpt",
		"0.01%":  `action=none spoken=data would="550 at rcpt by some, outside of its 0.01%"`,
	} {
		s := newSite(t, fmt.Sprintf("[[rule]]\nname = \"some\"\nwhen = 'sender.domain == \"example.org\"'\nreply = \"550 5.7.1 no\"\nenforce = %q\n", share))
		var log strings.Builder
		s.server.log = slog.New(slog.NewTextHandler(&log, nil))
		s.visit("192.0.2.1", "", "u@example.net")
		if !strings.Contains(log.String(), want) {
			t.Errorf("enforce = %s: no %q in\n%s", share, want, log.String())
		}
		if share == "99.99%" {
			log.Reset()
			s.server.Pause(s.now.Add(time.Hour))
			s.visit("192.0.2.1", "", "u@example.net")
			if !strings.Contains(log.String(), "action=none rule=some decided=mail share=99.99% paused=true spoken=none") {
				t.Errorf("in a pause:\n%s", log.String())
			}
		}
	}
}
