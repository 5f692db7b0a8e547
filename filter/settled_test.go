package filter

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gatepost.example/filter/history"
	"gatepost.example/filter/limit"
	"gatepost.example/filter/resolve"
	"gatepost.example/filter/resolve/resolvetest"
)

// tagsFirst tags by what only the end of the header tells, above a rule that decides at RCPT.
const tagsFirst = `
[list]
allow = ["example.org"]
[[rule]]
name = "known"
when = 'author.known'
action = "tag"
header = { "X-Known" = "yes" }
[[rule]]
name = "greeted"
when = 'helo.fqdn'
action = "tag"
header = { "X-Author" = "{author.reputation}" }
[[rule]]
name = "allowed"
when = 'sender.domain in list.allow && spf.result == "pass"'
action = "accept"
`

// TestTagsAboveADecision: a rule that tags hears of what it names also where a rule below it has decided before, in each mode and however late answers
// of DNS come, and deciding again gives the same.
func TestTagsAboveADecision(t *testing.T) {
	zone := resolvetest.Must(recordedZone)
	for _, mode := range []string{"enforce", "observe"} {
		for how, resolver := range map[string]resolve.Resolver{"at hand": atHand{zone}, "late": &slow{zone: atHand{zone}, atHand: func(string) bool { return false }}} {
			text := "mode = \"" + mode + "\"\n" + tagsFirst
			var kept keeper
			var log strings.Builder
			server := NewServer(SettingsOf(parsed(t, text)), Deps{Resolver: resolver, Log: slog.New(slog.NewTextHandler(&log, nil)), History: &kept})
			for range 2 { // the first makes the author known
				s := server.NewSession()
				s.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.org", DaemonPort: "25", MTA: "mx.example.net"})
				s.Helo("mail.example.org", TLS{})
				seen := post(s, letter{from: Sender{Address: "a@example.org"}, recipients: to("u@example.net"), header: []string{"From: a@example.org"}, ends: true})
				if s.Close(); !strings.Contains(seen, "{X-Author new greeted}") {
					t.Errorf("%s, %s: the field of a rule that was true at HELO: %s", mode, how, seen)
				}
			}
			if strings.Contains(log.String(), "nothing established it") {
				t.Errorf("%s, %s: %s", mode, how, log.String())
			}
			replayer := NewReplayer(SettingsOf(parsed(t, text)), nil, false)
			for i, r := range kept {
				line := r.Lines[len(r.Lines)-1]
				if line.Rule != "allowed" || slices.Contains(line.Tags, "known") != (i == 1) {
					t.Errorf("%s, %s: message %d: decided by %q, tagged by %v", mode, how, i+1, line.Rule, line.Tags)
				}
				if again := replayer.Decide(r); again.Unknown != "" || !history.SameLines(again.Lines, r.Lines) {
					t.Errorf("%s, %s: message %d: again %+v, was %+v", mode, how, i+1, again, r.Lines)
				}
			}
		}
	}
}

// TestLimitsCountWhatIsDecided: a limit whose condition names what only the end of the header tells counts a message also where a rule has decided
// before.
func TestLimitsCountWhatIsDecided(t *testing.T) {
	for _, list := range []string{"example.org", "other.example"} {
		s := newSite(t, `
[list]
allow = ["`+list+`"]
[[limit]]
name = "known"
count = "messages"
per = ["client.ip"]
rate = "5/1h"
when = 'author.known'
[[rule]]
name = "allowed"
when = 'sender.domain in list.allow'
action = "accept"
[[rule]]
name = "over"
when = 'over.known'
reply = "450 4.7.1 later"
`)
		for range 3 { // the first makes the author known
			s.visit("192.0.2.1", "", "u@example.net")
		}
		if level, err := s.store.Entries(t.Context(), s.now, limit.Table("known"), "", 10); err != nil || len(level) != 1 || level[0].Cell.A != 2 {
			t.Errorf("with %s allowed the limit has counted %+v, %v", list, level, err)
		}
	}
}
