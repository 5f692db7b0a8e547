package filter

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gatepost.example/filter/reputation"
)

// opinions gives all that the memory holds for or against anybody.
func (s *site) opinions() string {
	var out strings.Builder
	for _, table := range []string{reputation.TableIP, reputation.TableNetwork, reputation.TableDomain} {
		entries, err := s.store.Entries(context.Background(), s.now, table, "", 100)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			fmt.Fprintf(&out, "%s %s %.3f %.3f; ", table, e.Key, e.Cell.A, e.Cell.B)
		}
	}
	return out.String()
}

// TestRefusalsAreNoEvidence: a hundred refusals and deferrals by rules, at every stage, change nobody's record.
func TestRefusalsAreNoEvidence(t *testing.T) {
	for _, rule := range []string{
		"when = 'client.ip == \"192.0.2.1\"'\nreply = \"421 4.7.0 no\"\nat_once = true",
		"when = 'sender.domain == \"example.org\" && client.reputation != \"good\"'\nreply = \"554 5.7.1 no\"",
		"when = 'rcpt.local == \"u\" && client.reputation != \"good\"'\nreply = \"450 4.7.1 no\"",
		"when = 'author.domain == \"example.org\" && signer.reputation != \"good\"'\nreply = \"550 5.7.1 no\"",
		"when = 'client.reputation == \"new\"'\naction = \"greylist\"",
	} {
		s := newSite(t, "[[rule]]\nname = \"no\"\n"+rule)
		for range 100 {
			if got := s.visit("192.0.2.1", "", "u@example.net"); got == "0" {
				t.Fatalf("%s: passed", rule)
			}
		}
		s.want(s.opinions(), "", rule)
	}
}

// TestEvidence: what does count, and for whom: a verdict of the content filter also where we refuse the message, unknown recipients also
// without a message, both for the client and only the first for domains as which the message is authenticated.
func TestEvidence(t *testing.T) {
	const rule = "[content_filter]\nheader = \"X-Verdict\"\n[[rule]]\nname = \"no\"\nwhen = 'rcpt.local == \"w\" && client.reputation == \"bad\" || author.domain == \"none.test\"'\nreply = \"550 5.7.1 no\"\n"
	for _, test := range []struct{ addr, to, want string }{
		{"192.0.2.1", "u@example.net", "reputation:ip 192.0.2.1 0.200 0.000; reputation:network 192.0.2.0/24 0.200 0.000; reputation:domain example.org 0.200 0.000; "},
		{"198.51.100.1", "u@example.net", "reputation:ip 198.51.100.1 0.200 0.000; reputation:network 198.51.100.0/24 0.200 0.000; "},
	} {
		s := newSite(t, rule)
		s.want(s.visit(test.addr, "", test.to), "0", test.addr)
		s.want(s.opinions(), test.want, test.addr)
	}
	s := newSite(t, rule)
	session, _ := s.open("192.0.2.1")
	session.Mail(Sender{Address: "a@example.org"})
	session.Rcpt(Recipient{Address: "x@example.net", Resolved: "User unknown", Mailer: "error", Host: "5.1.1"})
	session.Close()
	s.want(s.opinions(), "reputation:ip 192.0.2.1 0.000 0.500; reputation:network 192.0.2.0/24 0.000 0.500; ", "a guess without a message")
}

// TestTrustedTeachNothing: what users and our own machines send is no evidence for their address.
func TestTrustedTeachNothing(t *testing.T) {
	s := newSite(t, "[content_filter]\nheader = \"X-Verdict\"\n[trust]\nnetworks = [\"192.0.2.1\"]\n[[rule]]\nname = \"r\"\nwhen = 'client.reputation == \"bad\"'\nreply = \"550 5.7.1 no\"\n")
	s.want(s.visit("192.0.2.1", "", "u@example.net", "?v@example.net"), "0", "our machine")
	s.want(s.visit("198.51.100.1", "alice", "u@example.net"), "0", "our user")
	s.want(s.opinions(), "", "trusted senders")
}

// TestRelayIsTold: a recipient of a domain that is none of ours is taken from a stranger: the log says so, once the domains are learned.
func TestRelayIsTold(t *testing.T) {
	s := newSite(t, "")
	var log strings.Builder
	s.server.log = slog.New(slog.NewTextHandler(&log, nil))
	told := func() int { return strings.Count(log.String(), "an open relay") }
	s.visit("192.0.2.1", "", "u@elsewhere.test")
	for range 100 {
		s.visit("192.0.2.1", "", slices.Repeat([]string{"u@example.net"}, 10)...)
	}
	if told() != 0 {
		t.Errorf("told while the domains were learned: %s", log.String())
	}
	s.visit("192.0.2.1", "", "u@example.net")
	s.visit("192.0.2.1", "alice", "u@elsewhere.test")
	if told() != 0 {
		t.Errorf("told of our own domain, or of what a user sends: %s", log.String())
	}
	s.want(s.visit("192.0.2.1", "", "u@elsewhere.test"), "0", "only an alarm")
	if told() != 1 || !strings.Contains(log.String(), "domain=elsewhere.test") {
		t.Errorf("told %d times: %s", told(), log.String())
	}
}

// TestRelaysCountNothing: of what our own backup MX hands over nothing is counted and nothing learned.
func TestRelaysCountNothing(t *testing.T) {
	s := newSite(t, "[content_filter]\nheader = \"X-Verdict\"\n[trust]\nrelays = [\"192.0.2.1\"]\n"+threeMessages+
		"[[limit]]\nname = \"unknown\"\ncount = \"unknown_recipients\"\nper = [\"client.network\"]\nrate = \"1/1h\"\n[[rule]]\nname = \"r\"\nwhen = 'over.unknown || client.reputation == \"bad\"'\nreply = \"550 5.7.1 no\"\n")
	for range 20 {
		s.want(s.visit("192.0.2.1", "", "?v@example.net", "u@example.net"), "0", "the relay")
	}
	s.want(s.opinions(), "", "a relay's mail")
	for _, table := range []string{"limit:messages", "limit:unknown"} {
		if entries, err := s.store.Entries(context.Background(), s.now, table, "", 10); err != nil || len(entries) > 0 {
			t.Errorf("%s: %v, %v", table, entries, err)
		}
	}
}

// TestCorrespondentsSpeakForThemselves: mail of somebody our users wrote to speaks for its sender, also where a rule took it before the sender was
// looked at.
func TestCorrespondentsSpeakForThemselves(t *testing.T) {
	for _, first := range []string{"", "[[rule]]\nname = \"allowed\"\nwhen = 'client.ip == \"192.0.2.1\"'\naction = \"accept\"\n"} {
		s := newSite(t, first+"[[rule]]\nname = \"bad\"\nwhen = 'client.reputation == \"bad\"'\nreply = \"550 5.7.1 no\"\n")
		s.want(s.visit("198.51.100.1", "anna", "a@example.org"), "0", "what a user writes")
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "the answer")
		s.want(s.opinions(), "reputation:ip 192.0.2.1 1.000 0.000; reputation:network 192.0.2.0/24 1.000 0.000; reputation:domain example.org 1.000 0.000; ", "first rule "+first)
	}
}
