package submission

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server is a socketmap server that answers as it is told.
type server struct {
	listener net.Listener
	answer   func(request string) (reply string, again bool) // again: the connection stays open

	mu       sync.Mutex
	conns    []net.Conn
	requests []string
}

// serve starts a server; it ends with the test, with all of its connections.
func serve(t testing.TB, network, address string, answer func(string) (string, bool)) *server {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener: l, answer: answer}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			all.Go(func() { s.talk(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.hangUp()
		all.Wait()
	})
	return s
}

// talk answers on one connection.
func (s *server) talk(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for again := true; again; {
		request, err := readNetstring(in, 10000)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.requests = append(s.requests, request)
		s.mu.Unlock()
		var reply string
		reply, again = s.answer(request)
		if _, err := io.WriteString(conn, reply); err != nil {
			return
		}
	}
}

// hangUp ends all connections.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, conn := range s.conns {
		conn.Close()
	}
}

// seen gives the number of connections and of requests.
func (s *server) seen() (conns, requests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns), len(s.requests)
}

// endpoints starts a server on each kind of socket, and gives the name of its table.
func endpoints(t testing.TB, answer func(string) (string, bool)) map[string]*server {
	path := t.TempDir() + "/s"
	inet := serve(t, "tcp", "127.0.0.1:0", answer)
	return map[string]*server{
		"socketmap:unix:" + path + ":logins":                          serve(t, "unix", path, answer),
		"socketmap:inet:" + inet.listener.Addr().String() + ":logins": inet,
	}
}

// canned answers by the key's user.
func canned(request string) (string, bool) {
	key, ok := strings.CutPrefix(request, "logins ")
	if !ok {
		return netstring("PERM no such map"), true
	}
	user, _, _ := strings.Cut(key, "@")
	replies := map[string]string{
		"ann":     netstring("OK ann,bob carol"),
		"nobody":  netstring("OK "),
		"temp":    netstring("TEMP the database is down"),
		"timeout": netstring("TIMEOUT it took too long"),
		"perm":    netstring("PERM "),
		"bare":    netstring("NOTFOUND"),
		"word":    netstring("MAYBE ann"),
		"empty":   netstring(""),
		"garbage": "HTTP/1.1 400 Bad Request\r\n\r\n",
		"sign":    "+3:OK ,",
		"zero":    "010:OK ann,bob,",
		"comma":   "6:OK ann;",
		"more":    netstring("OK ann") + netstring("OK eve"),
		"huge":    "100001:" + strings.Repeat("x", 10),
		"longest": netstring("OK " + strings.Repeat("x", maxReply-7) + " ann"),
		"number":  strings.Repeat("9", 40) + ":",
	}
	if reply, ok := replies[user]; ok {
		return reply, true
	}
	switch user {
	case "close":
		return "", false
	case "half":
		return "20:OK an", false
	}
	return netstring("NOTFOUND "), true
}

func TestSocketmap(t *testing.T) {
	for text := range endpoints(t, canned) {
		m := mustOpen(t, text)
		for _, test := range []struct {
			login, user string
			owned       bool
			err         string
			why         string
		}{
			{"ann", "ann", true, "", "OK"},
			{"CAROL", "ann", true, "", "several logins"},
			{"eve", "ann", false, "", "not among them"},
			{"ann", "nobody", false, "", "OK without a login"},
			{"ann", "missing", false, "", "NOTFOUND"},
			{"ann", "bare", false, "", "NOTFOUND without its blank"},
			{"ann", "longest", true, "", "100,000 bytes"},
			{"ann", "temp", false, `TEMP "the database is down"`, "TEMP"},
			{"ann", "timeout", false, `TIMEOUT "it took too long"`, "TIMEOUT"},
			{"ann", "perm", false, `PERM ""`, "PERM"},
			{"ann", "word", false, `"MAYBE ann" is none`, "a word that is not in the manual"},
			{"ann", "empty", false, `"" is none`, "no word"},
			{"ann", "garbage", false, "no netstring", "another protocol"},
			{"ann", "sign", false, "no netstring", "a sign"},
			{"ann", "zero", false, "no netstring", "a leading zero"},
			{"ann", "comma", false, "no comma", "no comma at the end"},
			{"ann", "more", false, "more came after it", "two replies: the second would be taken for the next request's"},
			{"ann", "huge", false, "longer than 100000 bytes", "oversize"},
			{"ann", "number", false, "longer than 100000 bytes", "a length that fits no integer"},
			{"ann", "close", false, "EOF", "it hangs up, also on the new connection"},
			{"ann", "half", false, "EOF", "it hangs up within the reply"},
			{"ann", "ann", true, "", "and all is well again"},
		} {
			owned, entry, err := m.Owns(t.Context(), test.login, test.user+"@example.org")
			if owned != test.owned || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s %s: %t, %q, %v; want %t, %q (%s)", text, test.user, owned, entry, err, test.owned, test.err, test.why)
			}
			if err != nil && !strings.HasPrefix(err.Error(), text+": ") {
				t.Errorf("%s %s: the error %q does not name the table", text, test.user, err)
			}
		}
	}
}

// TestSocketmapKeys: the full address as it was written, and nothing else.
func TestSocketmapKeys(t *testing.T) {
	for text, s := range endpoints(t, canned) {
		m := mustOpen(t, text)
		owned, entry, err := m.Owns(t.Context(), "ann", "New+Tag@Example.org")
		if owned || err != nil || !strings.HasPrefix(entry, "no entry for") {
			t.Errorf("%t, %q, %v", owned, entry, err)
		}
		if len(s.requests) != 1 || s.requests[0] != "logins New+Tag@Example.org" {
			t.Errorf("requests %q", s.requests)
		}
	}
}

// TestReopen: one connection is kept, and opened anew when the server has closed it.
func TestReopen(t *testing.T) {
	for text, s := range endpoints(t, canned) {
		m := mustOpen(t, text)
		ask := func(i int) {
			t.Helper()
			if _, _, err := m.Owns(t.Context(), "ann", fmt.Sprintf("user%d@example.org", i)); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		for i := range 3 {
			ask(i)
		}
		if conns, _ := s.seen(); conns != 1 {
			t.Errorf("%s: %d connections", text, conns)
		}
		s.hangUp()
		ask(4)
		if conns, requests := s.seen(); conns != 2 || requests != 4 {
			t.Errorf("%s: %d connections, %d requests", text, conns, requests)
		}
	}
}

// TestSilent: a server that says nothing, within the caller's time.
func TestSilent(t *testing.T) {
	hold := make(chan struct{})
	answer := func(string) (string, bool) { <-hold; return "", false }
	for text := range endpoints(t, answer) {
		m := mustOpen(t, text)
		for _, cancels := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			if cancels {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(50*time.Millisecond, cancel)
			}
			start := time.Now()
			if owned, _, err := m.Owns(ctx, "ann", "ann@example.org"); err == nil || owned || !strings.Contains(err.Error(), "no reply in time") {
				t.Errorf("%s: %t, %v", text, owned, err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("%s: it took %s", text, took)
			}
			cancel()
		}
	}
	close(hold)
}

// TestNoServer: that is an error at the lookup.
func TestNoServer(t *testing.T) {
	m := mustOpen(t, "socketmap:unix:"+t.TempDir()+"/none:logins")
	if owned, _, err := m.Owns(t.Context(), "ann", "ann@example.org"); owned || err == nil || !strings.Contains(err.Error(), "is a socketmap server running there?") {
		t.Errorf("%t, %v", owned, err)
	}
}

// TestCache: replies are remembered for a while, troubles are not.
func TestCache(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", canned)
	m := mustOpen(t, "socketmap:inet:"+s.listener.Addr().String()+":logins")
	now := time.Now()
	m.tables[0].(*socketmap).now = func() time.Time { return now }
	for _, test := range []struct {
		user     string
		later    time.Duration
		requests int
		why      string
	}{
		{"ann", 0, 1, "the first time"},
		{"ann", maxAge - 1, 1, "remembered"},
		{"ann", 1, 2, "too old"},
		{"missing", 0, 3, "NOTFOUND"},
		{"missing", 0, 3, "is remembered, too"},
		{"temp", 0, 4, "TEMP"},
		{"temp", 0, 5, "is not"},
		{"longest", 0, 6, "a long reply"},
		{"longest", 0, 7, "is not"},
	} {
		now = now.Add(test.later)
		_, _, _ = m.Owns(t.Context(), "ann", test.user+"@example.org") // the outcomes are TestSocketmap's
		if _, requests := s.seen(); requests != test.requests {
			t.Errorf("%s: %d requests, want %d (%s)", test.user, requests, test.requests, test.why)
		}
	}
}

// TestManyAtOnce: sessions share the connection, and each gets its own answer. After the end there are no answers.
func TestManyAtOnce(t *testing.T) {
	s := serve(t, "tcp", "127.0.0.1:0", func(request string) (string, bool) {
		return netstring("OK " + strings.TrimSuffix(strings.TrimPrefix(request, "logins "), "@example.org")), true
	})
	m, err := Open("socketmap:inet:" + s.listener.Addr().String() + ":logins")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range 50 {
		login := fmt.Sprintf("user%d", i)
		all.Go(func() {
			if owned, _, err := m.Owns(t.Context(), login, login+"@example.org"); err != nil || !owned {
				t.Errorf("%s: %t, %v", login, owned, err)
			}
		})
	}
	all.Wait()
	if conns, _ := s.seen(); conns != 1 {
		t.Errorf("%d connections", conns)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := m.Owns(t.Context(), "new", "new@example.org"); err == nil {
		t.Error("an answer after Close")
	}
}

// Any text as a netstring reads back, and what any bytes are read as is within the bound and what they start with.
func FuzzNetstring(f *testing.F) {
	for _, seed := range []string{"OK ann", "", "5:a,b", "0:,", "3:abc,rest", "03:abc,", "99999999999999999999:", "12", "4:abc,"} {
		f.Add(seed, 5)
	}
	f.Fuzz(func(t *testing.T, text string, most int) {
		in := bufio.NewReader(strings.NewReader(netstring(text) + "rest"))
		if got, err := readNetstring(in, len(text)); err != nil || got != text {
			t.Errorf("%q reads back as %q, %v", text, got, err)
		}
		if rest, _ := io.ReadAll(in); string(rest) != "rest" {
			t.Errorf("%q: %q is left", text, rest)
		}
		if text != "" {
			if _, err := readNetstring(bufio.NewReader(strings.NewReader(netstring(text))), len(text)-1); err == nil {
				t.Errorf("%q: more than the bound", text)
			}
		}
		if most < 0 || most > maxReply {
			return
		}
		got, err := readNetstring(bufio.NewReader(strings.NewReader(text)), most)
		if err == nil && (len(got) > most || !strings.HasPrefix(text, netstring(got))) {
			t.Errorf("%q within %d bytes: %q", text, most, got)
		}
	})
}
