package page

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
)

// attack is what a sender writes to reach the reader of a page.
const attack = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}'` + "\u202e"

// clock is a time that a test moves.
type clock struct{ now time.Time }

// served gives a page over a source whose texts are attacks, and its clock.
func served(t *testing.T) (*httptest.Server, *Page, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	path := filepath.Join(t.TempDir(), "history.db")
	store, err := history.Open(history.Config{Path: path, Keep: 30 * 24 * time.Hour, Size: 1 << 30, Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil { // an empty history
		t.Fatal(err)
	}
	p := New(Source{
		Now: func() time.Time { return c.now },
		Status: func() Status {
			return Status{Version: "1", Policy: attack, Host: attack, Mode: "observe", Troubles: []string{attack}}
		},
		History: func() (*history.Reader, error) { return history.OpenReader(path) },
		Explain: func(_ context.Context, id string) (*Why, error) { return nil, errors.New("nothing is known of " + id) },
		Reputes: func(_ context.Context, prefix string) ([]filter.Repute, error) {
			return []filter.Repute{{Kind: "domain", Name: attack, Band: attack, Low: 0.25, High: 0.75}}, nil
		},
		Limits: func() []string { return []string{"few"} },
		Levels: func(context.Context, string) ([]filter.Level, error) {
			return []filter.Level{{Key: attack, Level: 9, Burst: 10}, {Key: "quiet", Level: 1, Burst: 10}}, nil
		},
		Trend: func() []Point { return nil },
		Replay: func(_ context.Context, text string, _ time.Time) (*filter.Report, error) {
			if strings.Contains(text, "broken") {
				return nil, errors.New("policy:1:1: " + text)
			}
			return &filter.Report{Records: 1000, Same: 990, Changes: []filter.Group{{From: "accept", To: "550", ToRule: "new", Author: attack, Count: 10, IDs: []string{"7K3Q-9MXA"}}}}, nil
		},
	}, "mx.example.net")
	s := httptest.NewServer(p.Handler(func() string { return "0123456789abcdef01234567" }))
	t.Cleanup(s.Close)
	return s, p, c
}

// ask sends a request and gives the answer with its body.
func ask(t *testing.T, r *http.Request) (*http.Response, string) {
	t.Helper()
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func request(t *testing.T, method, url, cookie string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if cookie != "" {
		r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
	}
	return r
}

// logIn gives the cookie of a session.
func logIn(t *testing.T, s *httptest.Server, p *Page) string {
	t.Helper()
	answer, _ := ask(t, request(t, "GET", s.URL+"/login?ticket="+p.Ticket(), ""))
	for _, c := range answer.Cookies() {
		if c.Name == cookieName {
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode {
				t.Errorf("the cookie is open to others: %+v", c)
			}
			return c.Value
		}
	}
	t.Fatalf("no session: %s", answer.Status)
	return ""
}

func TestWhoGetsIn(t *testing.T) {
	s, p, c := served(t)
	for _, path := range []string{"/", "/explain?id=A", "/reputation", "/limits", "/policy"} {
		if answer, body := ask(t, request(t, "GET", s.URL+path, "")); answer.StatusCode != http.StatusUnauthorized || !strings.Contains(body, "gatepost page") {
			t.Errorf("%s without a session: %s", path, answer.Status)
		}
	}
	ticket := p.Ticket()
	if answer, _ := ask(t, request(t, "GET", s.URL+"/login?ticket="+ticket, "")); answer.StatusCode != http.StatusOK {
		t.Errorf("the first login: %s", answer.Status)
	}
	if answer, _ := ask(t, request(t, "GET", s.URL+"/login?ticket="+ticket, "")); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the second login with one ticket: %s", answer.Status)
	}
	ticket = p.Ticket()
	c.now = c.now.Add(ticketTime)
	if answer, _ := ask(t, request(t, "GET", s.URL+"/login?ticket="+ticket, "")); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a ticket of ten minutes ago: %s", answer.Status)
	}
	cookie := logIn(t, s, p)
	if answer, _ := ask(t, request(t, "GET", s.URL+"/", cookie)); answer.StatusCode != http.StatusOK {
		t.Errorf("with a session: %s", answer.Status)
	}
	c.now = c.now.Add(sessionTime)
	if answer, _ := ask(t, request(t, "GET", s.URL+"/", cookie)); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a session of yesterday: %s", answer.Status)
	}
	r := request(t, "GET", s.URL+"/", "")
	r.Header.Set("Authorization", "Bearer 0123456789abcdef01234567")
	if answer, _ := ask(t, r); answer.StatusCode != http.StatusOK {
		t.Errorf("with the token: %s", answer.Status)
	}
}

// A stranger's DNS may point to us (rebinding), and a stranger's page may send forms.
func TestStrangersAreKeptOut(t *testing.T) {
	s, p, _ := served(t)
	cookie := logIn(t, s, p)
	for host, want := range map[string]int{"evil.example": http.StatusMisdirectedRequest, "mx.example.net:8895": http.StatusOK, "localhost:8895": http.StatusOK, "[::1]:8895": http.StatusOK} {
		r := request(t, "GET", s.URL+"/", cookie)
		r.Host = host
		if answer, _ := ask(t, r); answer.StatusCode != want {
			t.Errorf("Host: %s: %s, want %d", host, answer.Status, want)
		}
	}
	r := request(t, "POST", s.URL+"/policy", cookie)
	r.Header.Set("Origin", "http://evil.example")
	if answer, _ := ask(t, r); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a strange form: %s", answer.Status)
	}
	answer, _ := ask(t, request(t, "GET", s.URL+"/", cookie))
	for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "form-action 'self'"} {
		if policy := answer.Header.Get("Content-Security-Policy"); !strings.Contains(policy, want) || strings.Contains(policy, "unsafe") {
			t.Errorf("Content-Security-Policy: %s; want %s", policy, want)
		}
	}
}

// What a sender wrote is text on every page.
func TestAttacksAreText(t *testing.T) {
	s, p, _ := served(t)
	cookie := logIn(t, s, p)
	for _, path := range []string{"/", "/?days=30", "/?q=" + "%22%3E%3Cscript%3E", "/explain?id=%3Cscript%3Ealert(1)%3C/script%3E", "/reputation", "/limits"} {
		answer, body := ask(t, request(t, "GET", s.URL+path, cookie))
		if answer.StatusCode != http.StatusOK || strings.Contains(body, "<script") || strings.Contains(body, "<img") {
			t.Errorf("%s: %s\n%s", path, answer.Status, body)
		}
	}
	_, body := ask(t, request(t, "GET", s.URL+"/limits", cookie))
	if !strings.Contains(body, "&lt;script&gt;alert(1)") || strings.Contains(body, "quiet") || !strings.Contains(body, "}}&#39;?<") {
		t.Errorf("/limits shows what is half full, as text:\n%s", body)
	}
}

func TestAnotherPolicy(t *testing.T) {
	s, p, _ := served(t)
	cookie := logIn(t, s, p)
	for _, c := range []struct{ text, want string }{
		{"mode = \"enforce\"", "7K3Q-9MXA"},
		{"broken <script>", "policy:1:1: broken &lt;script&gt;"},
		{strings.Repeat("#", maxPolicy+1), "at most 262144 are read"},
	} {
		var form strings.Builder
		w := multipart.NewWriter(&form)
		for name, value := range map[string]string{"policy": c.text, "days": "30"} {
			if err := w.WriteField(name, value); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		r, err := http.NewRequest("POST", s.URL+"/policy", strings.NewReader(form.String()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", w.FormDataContentType())
		r.Header.Set("Origin", s.URL)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: cookie})
		if answer, body := ask(t, r); answer.StatusCode != http.StatusOK || !strings.Contains(body, c.want) {
			t.Errorf("%.20s: %s, want %s\n%.3000s", c.text, answer.Status, c.want, body)
		}
	}
}

func TestPlot(t *testing.T) {
	since := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	p := newPlot("<b>", "messages", since, since.Add(24*time.Hour), time.Hour)
	for i := range 10 {
		p.add("rule"+string(rune('a'+i)), since.Add(30*time.Minute), float64(10-i))
	}
	p.add("rulea", since.Add(23*time.Hour), 3)
	p.add("early", since.Add(-time.Minute), 3)
	p.add("late", since.Add(24*time.Hour), 3)
	p.finish(byNumber)
	if len(p.Series) != maxSeries || p.Series[0].Name != "rulea" || p.Series[0].Total != 13 || p.Series[maxSeries-1].Name != "others" || p.Series[maxSeries-1].Total != 4+3+2+1 {
		t.Errorf("series %+v", p.Series)
	}
	if p.Highest() != 100 { // 55 in the first hour
		t.Errorf("highest %v", p.Highest())
	}
	svg := string(p.SVG())
	if strings.Count(svg, "<rect") != maxSeries+1 || strings.Contains(svg, "<b>") {
		t.Errorf("%s", svg)
	}
}

// unread is the body of a request that nobody should read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("what a stranger sends is read")
	return 0, io.ErrUnexpectedEOF
}

// Before anybody has logged in, no form is read: its files would be written to the disk.
func TestStrangersSendNothing(t *testing.T) {
	_, p, _ := served(t)
	for _, line := range []string{"GET /login?ticket=none", "HEAD /login?ticket=none", "GET /", "GET /explain?id=A", "POST /policy", "POST /login?ticket=none", "PUT /"} {
		method, path, _ := strings.Cut(line, " ")
		r := httptest.NewRequest(method, "http://localhost"+path, unread{t})
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		p.Handler(func() string { return "" }).ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", line, w.Code)
		}
	}
}
