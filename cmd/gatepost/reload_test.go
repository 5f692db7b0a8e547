package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"gatepost.example/filter"
)

// markedPolicy marks what each stage brings with a letter, so that a session which two policies judge would show both.
const markedPolicy = `mode = "enforce"
[listen]
milter = ["unix:%[1]s/milter.sock"]
admin = "unix:%[1]s/admin.sock"
http = ""
[server]
directory = "%[1]s/state"
[dns]
servers = ["127.0.0.1:1"]
[[limit]]
name = "messages"
count = "messages"
per = ["client.ip"]
rate = "1000000/365d"
[[rule]]
name = "connect"
when = 'client.trusted'
action = "tag"
header = { "X-Connect" = "%[2]s" }
[[rule]]
name = "helo"
when = 'helo.name == "mail.example.org"'
action = "tag"
header = { "X-Helo" = "%[2]s" }
[[rule]]
name = "mail"
when = 'sender.domain == "example.org"'
action = "tag"
header = { "X-Mail" = "%[2]s" }
[[rule]]
name = "nobody"
when = 'rcpt.local == "nobody"'
reply = "550 5.1.1 %[2]s"
[[rule]]
name = "data"
when = 'author.domain == "example.org" && !over.messages'
action = "tag"
header = { "X-Data" = "%[2]s" }
[[rule]]
name = "spam"
when = 'header("Subject").exists(s, s == "spam")'
reply = "554 5.7.1 %[2]s"
`

// client is an MTA with one connection to the daemon.
type client struct{ session *gomilter.ClientSession }

func dialMilter(dir string) (*client, error) {
	bag := gomilter.NewMacroBag()
	bag.Set(gomilter.MacroDaemonPort, "25")
	c := gomilter.NewClient("unix", filepath.Join(dir, "milter.sock"), gomilter.WithActions(gomilter.AllClientSupportedActionMasks), gomilter.WithProtocols(0x1fffff))
	session, err := c.Session(bag)
	if err != nil {
		return nil, err
	}
	if _, err := session.Conn("localhost", gomilter.FamilyInet, 25, "127.0.0.1"); err != nil {
		return nil, err
	}
	_, err = session.Helo("mail.example.org")
	return &client{session}, err
}

// send sends one message to a recipient that is refused and one that is taken, and gives the letters of everything it was told.
func (c *client) send(subject string) (letters string, err error) {
	var told strings.Builder
	say := func(a *gomilter.Action, wrong error) {
		if err = errors.Join(err, wrong); a != nil && a.StopProcessing() {
			told.WriteString(strings.Fields(a.SMTPReply + " - - -")[2])
		}
	}
	s := c.session
	say(s.Mail("a@example.org", ""))
	say(s.Rcpt("nobody@example.net", ""))
	say(s.Rcpt("u@example.net", ""))
	say(s.DataStart())
	say(s.HeaderField("From", " a@example.org", nil))
	say(s.HeaderField("Subject", " "+subject, nil))
	say(s.HeaderEnd())
	say(s.BodyChunk([]byte("hello\r\n")))
	if err != nil {
		return "", err
	}
	edits, end, err := s.End()
	say(end, err)
	for _, e := range edits {
		if strings.HasPrefix(e.HeaderName, "X-") && e.HeaderValue != "" {
			told.WriteString(strings.TrimSpace(e.HeaderValue))
		}
	}
	return told.String(), err
}

// What a message is told: at RCPT, and by the fields that connect, HELO, MAIL and DATA bring; where it is spam, at RCPT and at the end.
const (
	toldOrdinary = 5
	toldSpam     = 2
)

// whole checks that all that a session's messages were told is of one policy, and complete, and gives its letter.
func whole(told string, letters int) (letter string, err error) {
	if len(told) != letters || strings.Trim(told, told[:1]) != "" {
		return "", fmt.Errorf("a session was told %q: a mixture, or not the %d letters that one policy says", told, letters)
	}
	return told[:1], nil
}

// reloads is how many there are: 200, or GATEPOST_RELOADS.
func reloads(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("GATEPOST_RELOADS"))
	if err != nil {
		n = 200
	}
	t.Logf("%d reloads", n)
	return n
}

// TestReloadUnderLoad: the policy is loaded anew again and again while sessions come and go, every third time from a broken file. No session is
// lost or judged by two policies; a broken file changes nothing and is said; new sessions follow the new policy; the counts of limits stay.
func TestReloadUnderLoad(t *testing.T) {
	policies := map[string]string{}
	dir := startDaemonWith(t, func(dir string) string {
		for _, letter := range []string{"A", "B", "C"} {
			policies[letter] = fmt.Sprintf(markedPolicy, dir, letter)
		}
		return policies["A"]
	})
	file := filepath.Join(dir, "policy.toml")
	where := place{policy: file, socket: "unix:" + filepath.Join(dir, "admin.sock")}
	first, err := dialMilter(dir)
	if err != nil {
		t.Fatal(err)
	}
	told, err := first.send("one")
	if err != nil {
		t.Fatal(err)
	}
	load := startLoad(t, dir, 4)
	letter := "A"
	for i := range reloads(t) {
		next := []string{"A", "B", "C"}[i%3]
		if i%3 == 2 {
			next = letter
			write(t, file, policies["C"]+"[[rule]]\nname = \"broken\"\nwhen = 'client.ipp == \"\"'\naction = \"discard\"\n")
		} else {
			write(t, file, policies[next])
		}
		err := where.ask("POST", "/reload", nil, nil, nil)
		if broken := i%3 == 2; broken != (err != nil) || broken && !strings.Contains(err.Error(), "did you mean client.ip?") {
			t.Fatalf("reload %d: %v", i, err)
		}
		letter = next
		if i%10 == 2 {
			checkInForce(t, dir, where, letter, i%3 == 2)
			load.messages.Add(1)
		}
	}
	load.stop(t)
	again, err := first.send("two")
	if got, wrong := whole(told+again, 2*toldOrdinary); err != nil || wrong != nil || got != "A" {
		t.Errorf("the session that began before all reloads: %v, %v, policy %q", err, wrong, got)
	}
	first.session.Close()
	checkLevel(t, where, load.messages.Load()+2)
	hangUp(t, file, policies[letter]+"# loaded by SIGHUP\n", where)
}

// checkInForce asks the status and a new session which policy is in force.
func checkInForce(t *testing.T, dir string, where place, letter string, refused bool) {
	t.Helper()
	var s Status
	if err := where.ask("GET", "/status", nil, nil, &s); err != nil || refused != strings.Contains(s.Refused, "client.ipp") {
		t.Fatalf("status: %v, refused %q, want a refused file: %t", err, s.Refused, refused)
	}
	c, err := dialMilter(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.session.Close()
	told, err := c.send("x")
	if got, wrong := whole(told, toldOrdinary); err != nil || wrong != nil || got != letter {
		t.Fatalf("a new session: %v, %v, policy %q, want %q", err, wrong, got, letter)
	}
}

// checkLevel asks for the level of the limit: each message was counted once, whatever was loaded meanwhile.
func checkLevel(t *testing.T, where place, messages int64) {
	t.Helper()
	var levels []filter.Level
	err := where.ask("GET", "/limit", map[string][]string{"name": {"messages"}}, nil, &levels)
	want := float64(messages)
	// A million a year drain three in a minute and a half; the counting itself is exact.
	if err != nil || len(levels) != 1 || levels[0].Level > want || levels[0].Level < want-20 {
		t.Errorf("%v, levels %+v, want one of %v", err, levels, want)
	}
}

// hangUp loads a policy by SIGHUP. It is to be another than the one in force: then the daemon has taken the signal before it ends, and with it the
// handler that keeps the signal from ending the process.
func hangUp(t *testing.T, file, text string, where place) {
	t.Helper()
	write(t, file, text)
	want, err := loadPolicy(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var s Status
	for range 500 {
		if err := where.ask("GET", "/status", nil, nil, &s); err == nil && s.Hash == want.Hash {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("after SIGHUP hash %s is in force, want %s", s.Hash, want.Hash)
}

// load is clients that send until they are stopped.
type load struct {
	done               chan struct{}
	once               sync.Once
	running            sync.WaitGroup
	sessions, messages atomic.Int64

	mu    sync.Mutex
	wrong []string
	by    map[string]int
}

func startLoad(t *testing.T, dir string, clients int) *load {
	l := &load{done: make(chan struct{}), by: map[string]int{}}
	for range clients {
		l.running.Go(func() {
			for {
				select {
				case <-l.done:
					return
				default:
					l.session(dir)
				}
			}
		})
	}
	t.Cleanup(l.end) // also when the test ended early
	return l
}

// session sends three messages over one connection.
func (l *load) session(dir string) {
	c, err := dialMilter(dir)
	told := ""
	for _, subject := range []string{"one", "spam", "three"} {
		if err != nil {
			break
		}
		var more string
		more, err = c.send(subject)
		told += more
		l.messages.Add(1)
	}
	letter, mixture := whole(told, 2*toldOrdinary+toldSpam)
	if err == nil {
		err = mixture
		c.session.Close()
	}
	l.sessions.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.by[letter]++
	if err != nil && !slices.Contains(l.wrong, err.Error()) {
		l.wrong = append(l.wrong, err.Error())
	}
}

// end has the clients finish their sessions, and waits for them.
func (l *load) end() {
	l.once.Do(func() { close(l.done) })
	l.running.Wait()
}

func (l *load) stop(t *testing.T) {
	l.end()
	t.Logf("%d sessions, %d messages, by policy %v", l.sessions.Load(), l.messages.Load(), l.by)
	for _, w := range l.wrong {
		t.Error(w)
	}
	if l.by["A"] == 0 || l.by["B"] == 0 || l.by["C"] > 0 {
		t.Errorf("sessions by policy: %v; some of A and B, none of the broken C", l.by)
	}
}

// TestMixturesAreSeen: what the test above looks for it would find: a session whose second message another policy decides, and one that is told less
// than a policy says. The mixture is a real one: of two daemons with different policies.
func TestMixturesAreSeen(t *testing.T) {
	var clients []*client
	for _, letter := range []string{"A", "B"} {
		dir := startDaemonWith(t, func(dir string) string { return fmt.Sprintf(markedPolicy, dir, letter) })
		c, err := dialMilter(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer c.session.Close()
		clients = append(clients, c)
	}
	told := ""
	for i, subject := range []string{"one", "spam", "three"} {
		more, err := clients[i/2].send(subject) // the third message meets the other policy
		if err != nil {
			t.Fatal(err)
		}
		told += more
	}
	if _, err := whole(told, 2*toldOrdinary+toldSpam); err == nil || told != "AAAAAAABBBBB" {
		t.Errorf("a session of two policies was told %q, which is taken for one: %v", told, err)
	}
	for _, mixed := range []string{"BAAAA", "AABAA", "AAAAB", "AAAA", "AAAAAA", "", "----A"} {
		if _, err := whole(mixed, toldOrdinary); err == nil {
			t.Errorf("%q is taken for the whole of one policy", mixed)
		}
	}
	if letter, err := whole("BBBBB", toldOrdinary); err != nil || letter != "B" {
		t.Errorf("the whole of a policy is taken for %q, %v", letter, err)
	}
}
