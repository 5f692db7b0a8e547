package filter

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// event is what one kind of limit counts; it gives the code of the first refusal, 0 for none.
type event func(s *site, session *Session) int

func mailTo(sender, body string, recipients ...string) event {
	return func(s *site, session *Session) int {
		if r := session.Mail(Sender{Address: sender}); r.Verb == Refuse {
			return r.Code
		}
		for _, to := range recipients {
			r := Recipient{Address: to, Resolved: to, Mailer: "smtp", Host: "example.net"}
			if code, refused := strings.CutPrefix(to, "refused "); refused {
				r = Recipient{Address: "x@example.net", Resolved: "no", Mailer: "error", Host: code}
			}
			if r := session.Rcpt(r); r.Verb == Refuse {
				return r.Code
			}
		}
		if body == "" {
			return 0
		}
		session.HeaderField("From", " a@example.org")
		session.EndOfHeader()
		session.Body([]byte(body))
		r, _ := session.EndOfMessage("")
		return r.Code
	}
}

// TestEveryKindIsCounted: each kind of event fills a limit of three, and nothing else does.
func TestEveryKindIsCounted(t *testing.T) {
	message := mailTo("a@example.org", "x\r\n", "u@example.net")
	unfinished := mailTo("a@example.org", "", "u@example.net")
	for _, test := range []struct {
		count, per, rate string
		fills, others    event
		at               string // from where the fourth is refused: in the same session, or in the next one
	}{
		{"connections", "client.ip", "3/1h", nil, message, "next"},
		{"messages", "client.ip", "3/1h", unfinished, nil, "same"},
		{"messages", "sender.domain", "3/1h", message, mailTo("a@other.test", "x\r\n", "u@example.net"), "same"},
		{"messages", "sender.domain\", \"client.network", "3/1h", message, mailTo("a@other.test", "x\r\n", "u@example.net"), "same"},
		{"messages", "author.domain", "3/1h", message, unfinished, "same"},
		{"recipients", "client.ip", "3/1h", unfinished, mailTo("a@example.org", "", "refused 5.1.1", "refused 4.7.1"), "same"},
		{"recipients", "rcpt.domain", "3/1h", unfinished, mailTo("a@example.org", "", "u@other.test"), "same"},
		{"unknown_recipients", "client.network", "3/1h", mailTo("a@example.org", "", "refused 5.1.1"), mailTo("a@example.org", "x\r\n", "u@example.net", "refused 5.7.1", "refused 4.7.1"), "same"},
		{"refused_recipients", "client.network", "3/1h", mailTo("a@example.org", "", "refused 5.7.1"), mailTo("a@example.org", "x\r\n", "u@example.net", "refused 5.1.1"), "same"},
		{"bounces", "rcpt.address", "3/1h", mailTo("", "", "u@example.net"), mailTo("a@example.org", "", "u@example.net"), "same"},
		{"bytes", "client.ip", "3000/1h", mailTo("a@example.org", strings.Repeat("x", 970)+"\r\n", "u@example.net"), unfinished, "same"},
	} {
		t.Run(test.count+" "+test.per, func(t *testing.T) {
			s := newSite(t, fmt.Sprintf("[[limit]]\nname = \"l\"\ncount = %q\nper = [\"%s\"]\nrate = %q\n[[rule]]\nname = \"r\"\nwhen = 'over.l'\nreply = \"450 4.7.1 no\"\nat_once = true\n", test.count, test.per, test.rate))
			play := func(e event) int {
				session, r := s.open("192.0.2.1")
				defer session.Close()
				if r.Verb == Refuse || e == nil {
					return r.Code
				}
				return e(s, session)
			}
			if test.others != nil && test.count != "connections" {
				for range 3 { // no more: those of another key have a limit too
					if code := play(test.others); code != 0 {
						t.Fatalf("what it does not count is refused: %d", code)
					}
				}
			}
			for i := range 3 {
				if code := play(test.fills); code != 0 {
					t.Fatalf("event %d: %d", i+1, code)
				}
			}
			if test.fills != nil && strings.HasSuffix(test.count, "_recipients") { // the MTA's refusal is heard, ours in the next message
				play(test.fills)
			}
			if code := play(test.fills); code != 450 {
				t.Errorf("the fourth: %d", code)
			}
		})
	}
}

// TestNetworks: the prefix lengths of client.network are those of the policy, for v4 and v6.
func TestNetworks(t *testing.T) {
	const policy = "[server]\nnetwork = [\"/28\", \"/48\"]\n" + threeMessages
	for _, test := range []struct{ first, same, other string }{
		{"192.0.2.1", "192.0.2.15", "192.0.2.16"},
		{"2001:db8:0:1::1", "2001:db8:0:ffff::2", "2001:db8:1::1"},
	} {
		s := newSite(t, policy)
		for range 3 {
			s.want(s.visit(test.first, "", "u@example.net"), "0", "within the rate")
		}
		s.want(s.visit(test.same, "", "u@example.net"), "421 rcpt", "the same network")
		s.want(s.visit(test.other, "", "u@example.net"), "0", "another network")
	}
}

// TestHoppingWithinANetwork: a thousand addresses of one /56 have one limit, and leave one key.
func TestHoppingWithinANetwork(t *testing.T) {
	s, through := newSite(t, threeMessages), 0
	for i := range 1000 {
		addr := netip.MustParseAddr("2001:db8::").As16()
		addr[7], addr[15] = byte(i), byte(i>>8)
		if s.visit(netip.AddrFrom16(addr).String(), "", "u@example.net") == "0" {
			through++
		}
	}
	if through != 3 {
		t.Errorf("%d messages were let through", through)
	}
}

// TestOneMessageTeachesOnce: a message that is remembered counts for what is remembered of it, once, whatever its header says and however often
// somebody moves it.
func TestOneMessageTeachesOnce(t *testing.T) {
	s := newSite(t, "")
	s.server.newID = func() string { return "7K3Q-9MXA" }
	s.visit("192.0.2.1", "", "u@example.net")
	forged := []Lesson{{ID: "7k3q-9mxa", IP: "198.51.100.99", Domains: []string{"innocent.example"}}}
	learn := func(spam, undo bool, want string) {
		t.Helper()
		if n := s.server.Learn(context.Background(), forged, spam, undo); n != 1 {
			t.Errorf("learned %d", n)
		}
		s.want(s.opinions(), want, fmt.Sprint(spam, undo))
	}
	const spam = "reputation:ip 192.0.2.1 0.000 3.000; reputation:network 192.0.2.0/24 0.000 3.000; reputation:domain example.org 0.000 3.000; "
	const ham = "reputation:ip 192.0.2.1 1.000 0.000; reputation:network 192.0.2.0/24 1.000 0.000; reputation:domain example.org 1.000 0.000; "
	const nothing = "reputation:ip 192.0.2.1 0.000 0.000; reputation:network 192.0.2.0/24 0.000 0.000; reputation:domain example.org 0.000 0.000; "
	for range 3 {
		learn(true, false, spam)
	}
	learn(false, true, spam) // ham was never said
	learn(false, false, ham)
	learn(true, false, spam)
	learn(true, true, nothing)
	learn(true, true, nothing)
}

// TestASessionCountsOnce: also where the limit's condition is about messages, and where the MTA begins a session without ending the one before.
func TestASessionCountsOnce(t *testing.T) {
	s := newSite(t, "[[limit]]\nname = \"sessions\"\ncount = \"sessions\"\nper = [\"client.ip\"]\nat_most = 1\nwhen = 'sender.domain == \"example.org\"'\n"+
		"[[rule]]\nname = \"flood\"\nwhen = 'over.sessions'\nreply = \"450 4.7.0 Too many sessions\"\n")
	session, _ := s.open("192.0.2.1")
	for range 5 {
		if code, at := s.mail(session, "", "u@example.net"); code != 0 {
			t.Fatalf("%d at %s: one session alone is over", code, at)
		}
	}
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "450 rcpt", "a second one")
	session.Connect(Client{Addr: netip.MustParseAddr("192.0.2.1"), DaemonPort: "25", MTA: "mx.example.net"})
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "the first was dropped by another connect")
	session.Close()
	if entries, _ := s.store.Entries(context.Background(), s.now, "limit:sessions", "", 10); len(entries) != 0 {
		t.Errorf("left open: %v", entries)
	}
}

// TestCountedOnce: whatever a limit's condition and key wait for, a connection and a message count once, and a recipient that the MTA refused
// counts by its own name.
func TestCountedOnce(t *testing.T) {
	for _, test := range []struct{ count, per, when, want string }{
		{"connections", "client.ip", `helo.fqdn`, "192.0.2.1=1"},
		{"connections", "client.ip", `sender.domain == "example.org"`, "192.0.2.1=1"},
		{"connections", "client.ip", `rcpt.domain == "example.net"`, "192.0.2.1=1"},
		{"messages", "client.ip", `helo.fqdn`, "192.0.2.1=2"},
		{"messages", "client.ip", `rcpt.domain == "example.net"`, "192.0.2.1=2"},
		{"messages", "client.ip", `author.domain == "example.org"`, "192.0.2.1=2"},
		{"messages", "rcpt.domain", `true`, "example.net=2 other.test=2"},
		{"recipients", "rcpt.domain", `true`, "example.net=4 other.test=2"},
		{"unknown_recipients", "rcpt.domain", `true`, "example.net=2 third.test=2"},
		{"unknown_recipients", "client.ip", `rcpt.domain == "example.net"`, "192.0.2.1=2"},
	} {
		s := newSite(t, fmt.Sprintf("[[limit]]\nname = \"l\"\ncount = %q\nper = [%q]\nrate = \"100/400d\"\nwhen = '%s'\n", test.count, test.per, test.when))
		session, _ := s.open("192.0.2.1")
		session.Helo("mail.example.org", TLS{Version: "TLSv1.3"}) // after STARTTLS
		for range 2 {
			s.mail(session, "", "a@example.net", "b@example.net", "c@other.test", "?x@third.test", "?y@example.net")
		}
		session.Close()
		var got []string
		entries, _ := s.store.Entries(context.Background(), s.now, "limit:l", "", 10)
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%s=%v", e.Key, e.Cell.A))
		}
		s.want(strings.Join(got, " "), test.want, fmt.Sprintf("%s per %s when %s", test.count, test.per, test.when))
	}
}

// TestOverForTheWholeMessage: what is counted once has one verdict, for every recipient of the message and every HELO of the connection.
func TestOverForTheWholeMessage(t *testing.T) {
	for _, test := range []struct{ count, when string }{{"connections", `helo.fqdn`}, {"messages", `rcpt.domain == "example.net"`}} {
		s := newSite(t, fmt.Sprintf("[[limit]]\nname = \"l\"\ncount = %q\nper = [\"client.ip\"]\nrate = \"2/400d\"\nwhen = '%s'\n[[rule]]\nname = \"r\"\nwhen = 'over.l'\nreply = \"450 4.7.1 no\"\n", test.count, test.when))
		for i, want := range []string{"0", "0", "450 rcpt"} {
			session, _ := s.open("192.0.2.1")
			session.Helo("mail.example.org", TLS{Version: "TLSv1.3"})
			code, at := s.mail(session, "", "a@example.net", "b@example.net", "c@example.net")
			session.Close()
			s.want(strings.TrimSpace(fmt.Sprint(code, " ", at)), want, fmt.Sprintf("%s, event %d", test.count, i+1))
		}
	}
}

// TestResetByAddress: of a limit by host and sender, the key opens again under the address that the log has, also where IPv6 counts by the /64.
func TestResetByAddress(t *testing.T) {
	s := newSite(t, "[[limit]]\nname = \"l\"\ncount = \"messages\"\nper = [\"client.ip\", \"sender.domain\"]\nrate = \"1/1h\"\n[[rule]]\nname = \"r\"\nwhen = 'over.l'\nreply = \"450 4.7.1 no\"\n")
	send := func() int {
		session, _ := s.open("2001:db8::1:2")
		defer session.Close()
		return mailTo("a@example.org", "x\r\n", "u@example.net")(s, session)
	}
	for _, key := range []string{"2001:db8::1:2|Example.org", "2001:db8::/64|example.org"} {
		if first, second := send(), send(); first != 0 || second != 450 {
			t.Errorf("%d, then %d", first, second)
		}
		for _, prefix := range []string{"2001:DB8::1:2", key, "2001:db8::"} {
			if levels, err := s.server.Levels(t.Context(), "l", prefix); err != nil || len(levels) != 1 || levels[0].Key != "2001:db8::/64|example.org" {
				t.Errorf("of %s: %+v, %v", prefix, levels, err)
			}
		}
		if found, err := s.server.ResetLimit(t.Context(), "l", key); !found || err != nil {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	if found, err := s.server.ResetLimit(t.Context(), "l", "2001:db8:1::1|example.org"); found || err != nil {
		t.Errorf("another network: %v, %v", found, err)
	}
}
