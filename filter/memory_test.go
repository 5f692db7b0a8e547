package filter

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter/correspondent"
	"gatepost.example/filter/resolve/resolvetest"
	"gatepost.example/filter/state"
)

// site is a server with a clock that a test moves.
type site struct {
	t      *testing.T
	server *Server
	store  *state.Embedded
	now    time.Time
}

func newSite(t *testing.T, policy string) *site {
	t.Helper()
	file := parsed(t, "mode = \"enforce\"\n"+policy)
	s := &site{t: t, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s.store = state.NewEmbedded(10_000, s.now)
	zone := resolvetest.Must(`
192.0.2.1 PTR mail.example.org
mail.example.org A 192.0.2.1
example.org MX 10 mail.example.org
example.org TXT "v=spf1 ip4:192.0.2.0/24 -all"
`)
	s.server = NewServer(SettingsOf(file), Deps{Resolver: zone, Store: s.store, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now }})
	return s
}

// open begins a session and gives what the client was told.
func (s *site) open(addr string) (*Session, Response) {
	session := s.server.NewSession()
	r := session.Connect(Client{Addr: netip.MustParseAddr(addr), DaemonPort: "25", MTA: "mx.example.net"})
	if r.Verb == GoOn {
		r = session.Helo("mail.example.org", TLS{})
	}
	return session, r
}

// mail sends one message in a session and gives the code of the first refusal, 0 for none. Recipients with "?" do not exist.
func (s *site) mail(session *Session, user string, recipients ...string) (code int, at string) {
	if r := session.Mail(Sender{Address: "a@example.org", User: user}); r.Verb == Refuse {
		return r.Code, "mail"
	}
	for _, to := range recipients {
		r := Recipient{Address: to, Resolved: to, Mailer: "smtp", Host: "example.net"}
		if strings.HasPrefix(to, "?") {
			r = Recipient{Address: to[1:], Resolved: "User unknown", Mailer: "error", Host: "5.1.1"}
		}
		if r := session.Rcpt(r); r.Verb == Refuse {
			return r.Code, "rcpt"
		}
	}
	session.HeaderField("From", " a@example.org")
	session.HeaderField("X-Verdict", " NO")
	session.EndOfHeader()
	session.Body([]byte("x\r\n"))
	if r, _ := session.EndOfMessage(""); r.Verb == Refuse {
		return r.Code, "data"
	}
	return 0, ""
}

// visit is a whole session of one message.
func (s *site) visit(addr, user string, recipients ...string) string {
	session, r := s.open(addr)
	defer session.Close()
	if r.Verb == Refuse {
		return fmt.Sprint(r.Code, " connect")
	}
	code, at := s.mail(session, user, recipients...)
	return strings.TrimSpace(fmt.Sprint(code, " ", at))
}

// want compares the answers to several visits.
func (s *site) want(got, want, why string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %q, want %q", why, got, want)
	}
}

const threeMessages = `
[[limit]]
name = "messages"
count = "messages"
per = ["client.network"]
rate = "3/1h"

[[rule]]
name = "too-much"
when = 'over.messages'
reply = "421 4.7.0 Slow down; again in {over.messages.retry}"
`

// TestClientOverItsRate: it hears 421 at RCPT, others do not, and it gets on when it waited as long as it was told.
func TestClientOverItsRate(t *testing.T) {
	s := newSite(t, threeMessages)
	for range 3 {
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "within the rate")
	}
	s.want(s.visit("198.51.100.1", "", "u@example.net"), "0", "another network")
	session, _ := s.open("192.0.2.200")
	if r := session.Mail(Sender{Address: "a@example.org"}); r.Verb != GoOn {
		t.Errorf("refused at MAIL: %v", r)
	}
	r := session.Rcpt(Recipient{Address: "u@example.net", Resolved: "u@example.net"})
	if r.Code != 421 || !strings.Contains(r.Text, "again in 40m") { // a third of an hour for this message, and one for the next
		t.Errorf("another machine of the network: %v", r)
	}
	session.Close()
	s.now = s.now.Add(40 * time.Minute)
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "after as long as it was told")
}

// TestHarvester: guesses are counted in one session and answered in the next, at connect.
func TestHarvester(t *testing.T) {
	s := newSite(t, `
[[limit]]
name = "harvest"
count = "unknown_recipients"
per = ["client.network"]
rate = "5/1h"

[[rule]]
name = "flood"
when = 'over.harvest'
reply = "421 4.7.0 Slow down"
at_once = true
`)
	s.want(s.visit("192.0.2.1", "", "?a@example.net", "?b@example.net", "?c@example.net", "?d@example.net", "u@example.net"), "0", "four guesses")
	s.want(s.visit("192.0.2.1", "", "?e@example.net"), "0", "the fifth")
	s.want(s.visit("192.0.2.9", "", "u@example.net"), "421 connect", "the next session from its network")
	s.want(s.visit("198.51.100.1", "", "u@example.net"), "0", "another network")
	s.now = s.now.Add(12 * time.Minute)
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "when one has drained")
}

// TestNewcomers: only recipients count to whom the user never wrote, and a message that was refused made no correspondent.
func TestNewcomers(t *testing.T) {
	s := newSite(t, `
[[limit]]
name = "strangers"
count = "first_time_recipients"
per = ["auth.user"]
rate = "2/1d"

[[rule]]
name = "user-limit"
when = 'over.strangers'
reply = "450 4.7.1 Too many strangers"
`)
	for _, to := range []string{"a@x.test", "b@x.test", "A@x.test", "a@x.test", "b@x.test"} {
		s.want(s.visit("192.0.2.1", "alice", to), "0", to)
	}
	s.want(s.visit("192.0.2.1", "alice", "c@x.test"), "450 rcpt", "the third stranger")
	s.want(s.visit("192.0.2.1", "alice", "a@x.test"), "0", "who is over still writes to whom it knows")
	s.want(s.visit("192.0.2.1", "bob", "a@x.test"), "0", "another user has a limit of its own")
	if s.store.Do(context.Background(), s.now, []state.Step{correspondent.LookUser("alice", "c@x.test")}, nil)[0].Found {
		t.Error("a recipient that was refused is known")
	}
}

// TestWiderNetworkCounts: when a memory is full of buckets that are over, new addresses count with their networks, also where a limit is read
// at one event and counted at another.
func TestWiderNetworkCounts(t *testing.T) {
	const rule = "[[rule]]\nname = \"much\"\nwhen = 'over.much'\nreply = \"421 4.7.0 Too much\"\nat_once = true\n"
	for count, recipient := range map[string]string{"messages": "u@example.net", "unknown_recipients": "?u@example.net"} {
		s := newSite(t, "[[limit]]\nname = \"much\"\ncount = \""+count+"\"\nper = [\"client.ip\"]\nrate = \"1/1h\"\n"+rule)
		s.store = state.NewEmbedded(640, s.now)
		s.server.store = s.store
		for i := range 3000 {
			addr := fmt.Sprintf("10.0.%d.%d", i/250, 1+i%250) // twelve networks
			s.visit(addr, "", recipient)
			s.visit(addr, "", recipient)
		}
		if at := s.visit("203.0.113.1", "", recipient); strings.HasPrefix(at, "421") {
			t.Errorf("%s: the first of its network: %s", count, at)
		}
		refused := 0
		for i := 2; i < 42; i++ {
			if at := s.visit(fmt.Sprint("203.0.113.", i), "", recipient); strings.HasPrefix(at, "421") {
				refused++
			}
		}
		if refused < 20 { // some find room of their own where what other tables keep may go
			t.Errorf("%s: of 40 more addresses of the network %d were refused", count, refused)
		}
		if n := s.store.Len(); n > 641 {
			t.Errorf("%s: %d keys", count, n)
		}
	}
}

// TestOpenSessionsAreRenewed: a session that lasts goes on counting while its daemon lives, one whose daemon died does not, and one that ended
// is not renewed.
func TestOpenSessionsAreRenewed(t *testing.T) {
	const policy = "[[limit]]\nname = \"sessions\"\ncount = \"sessions\"\nper = [\"client.ip\"]\nat_most = 1\n" +
		"[[rule]]\nname = \"flood\"\nwhen = 'over.sessions'\nreply = \"421 4.7.0 Too many sessions\"\nat_once = true\n"
	s := newSite(t, policy)
	for _, addr := range []string{"192.0.2.1", "192.0.2.2"} {
		if _, r := s.open(addr); r.Verb != GoOn {
			t.Fatal(r)
		}
	}
	ended, _ := s.open("192.0.2.3")
	ended.Close()
	s.server.leases.remove([]state.Step{{Op: state.Leave, Table: "limit:sessions", Key: "192.0.2.2", Session: sessionOf(s, "192.0.2.2")}})
	for range 10 { // ten times a minute
		s.now = s.now.Add(time.Minute)
		s.server.renewLeases(context.Background())
	}
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "421 connect", "it is open for ten minutes")
	s.want(s.visit("192.0.2.2", "", "u@example.net"), "0", "its daemon does not say that it is there")
	s.want(s.visit("192.0.2.3", "", "u@example.net"), "0", "it ended")
}

// sessionOf gives the session that is open for a key.
func sessionOf(s *site, key string) string {
	for _, leave := range s.server.leases.all() {
		if leave.Key == key {
			return leave.Session
		}
	}
	return ""
}

// TestOpenSessions: they count until they are closed, however they end.
func TestOpenSessions(t *testing.T) {
	s := newSite(t, `
[[limit]]
name = "sessions"
count = "sessions"
per = ["client.ip"]
at_most = 2

[[rule]]
name = "flood"
when = 'over.sessions'
reply = "421 4.7.0 Too many sessions"
at_once = true
`)
	first, _ := s.open("192.0.2.1")
	second, r := s.open("192.0.2.1")
	if r.Verb != GoOn {
		t.Fatalf("the second: %v", r)
	}
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "421 connect", "a third")
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "421 connect", "a refused one is released too, and two are still open")
	s.want(s.visit("192.0.2.2", "", "u@example.net"), "0", "another address")
	first.Close()
	first.Close() // a second time, as when the MTA aborts
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "one was closed")
	third, _ := s.open("192.0.2.1")
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "421 connect", "two are open again")
	second.Close()
	third.Close()
}

// TestWhen: a limit counts where its condition holds, and is over nowhere else.
func TestWhen(t *testing.T) {
	s := newSite(t, strings.Replace(threeMessages, `rate = "3/1h"`, "rate = \"3/1h\"\nwhen = 'spf.result != \"pass\"'", 1))
	for range 10 {
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "SPF passes")
	}
	for range 3 {
		s.want(s.visit("198.51.100.1", "", "u@example.net"), "0", "SPF fails, within the rate")
	}
	s.want(s.visit("198.51.100.1", "", "u@example.net"), "421 rcpt", "SPF fails")
	s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "SPF still passes")
}

// TestPerRecipient: a key may be the recipient; then one that is over does not touch the others of the same message.
func TestPerRecipient(t *testing.T) {
	s := newSite(t, `
[[limit]]
name = "mailbox"
count = "recipients"
per = ["rcpt.address"]
rate = "2/1h"

[[rule]]
name = "full"
when = 'over.mailbox'
reply = "450 4.2.1 {rcpt.address} gets too much"
`)
	for range 2 {
		s.want(s.visit("192.0.2.1", "", "u@example.net"), "0", "within the rate")
	}
	s.want(s.visit("198.51.100.1", "", "v@example.net", "u@example.net"), "450 rcpt", "from anybody")
	s.want(s.visit("192.0.2.1", "", "v@example.net"), "0", "another recipient")
}

// held gives the bytes that are in use.
func held() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // also what pools hold
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestLessonsHoldNoHeader: a domain is a part of the header field that it stood in. What is remembered of a message is who sent it, and no
// field as long as its sender made it.
func TestLessonsHoldNoHeader(t *testing.T) {
	var r recent
	before := held()
	for i := range 200 {
		field := fmt.Sprintf("d%d.example;one.example;%s", i, strings.Repeat("x", 100_000))
		r.add(Lesson{ID: fmt.Sprintf("ID%d", i), IP: "192.0.2.1", Domains: strings.SplitN(field, ";", 3)[:2]})
	}
	if more := held() - before; more > 5<<20 {
		t.Errorf("200 messages hold %d bytes", more)
	}
	l, _, _ := r.teach(Lesson{ID: "id7"}, wanted, false)
	if want := (Lesson{ID: "ID7", IP: "192.0.2.1", Domains: []string{"d7.example", "one.example"}}); !reflect.DeepEqual(l, want) {
		t.Errorf("remembered is %+v, want %+v", l, want)
	}
	r.add(Lesson{ID: "BARE"})
	if l, _, _ := r.teach(Lesson{ID: "bare"}, wanted, false); l.IP != "" || l.Domains != nil {
		t.Errorf("of a message of nobody %+v is remembered", l)
	}
}
