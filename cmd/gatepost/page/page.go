// Package page serves the status page: what the daemon does now, the last day and month as plots, the newest refusals with the
// explanation of each, reputations, limits near their edge, and what another policy would have done.
//
// The pages are made here, on the server, and hold no script: they work on a phone, by keyboard and in any browser. What a sender wrote
// reaches them through html/template only. They change nothing. Whoever has no session is told how to get one: gatepost page.
package page

import (
	"context"
	"embed"
	"html/template"
	"net/http"
	"strings"
	"time"

	"gatepost.example/filter"
	"gatepost.example/filter/history"
)

// Source is where the page has its facts from. Its functions are called from several goroutines, and end with their context.
type Source struct {
	Now     func() time.Time
	Status  func() Status
	History func() (*history.Reader, error) // a reader of one's own, to be closed
	Explain func(ctx context.Context, id string) (*Why, error)
	Reputes func(ctx context.Context, prefix string) ([]filter.Repute, error)
	Limits  func() []string
	Levels  func(ctx context.Context, limit string) ([]filter.Level, error)
	Trend   func() []Point
	Replay  func(ctx context.Context, policy string, since time.Time) (*filter.Report, error)
}

// Why is an explanation with the session and the rules in words.
type Why struct {
	*filter.Explanation
	Steps []Step
	Walk  []RuleLine
}

// Step is one step of a session.
type Step struct{ Stage, Text string }

// RuleLine is what one rule said, and the values that it read.
type RuleLine struct {
	Name, What, State string
	Decided           bool
	Reads             []string
}

// Status is how the daemon is.
type Status struct {
	Version, Policy, Hash, Mode string
	Host                        string
	Since, Loaded, Born         time.Time
	Settled                     bool
	Sessions                    int
	Troubles                    []string
}

// Point is one hour of what is counted in memory, since the daemon began.
type Point struct {
	At            time.Time
	Messages      float64 // that came to their end
	Seconds       float64 // that the MTA waited at their end, all together
	Asked, Failed float64 // questions to DNS servers
	Cached        float64 // questions that were answered from memory
}

//go:embed templates style.css
var files embed.FS

// Page serves the status page.
type Page struct {
	source    Source
	doors     *doors
	templates *template.Template
	cache     cache
}

// New gives the page. names are the host names under which it may be asked for, besides addresses and localhost.
func New(source Source, names ...string) *Page {
	return &Page{
		source: source, doors: newDoors(source.Now, names),
		templates: template.Must(template.New("").Funcs(functions(source.Now)).ParseFS(files, "templates/*.html")),
	}
}

// Ticket gives a new ticket: whoever opens /login?ticket=... within ten minutes gets a session, once.
func (p *Page) Ticket() string { return p.doors.ticket() }

// policyHeader lets a page load its style from here, send its forms here, and nothing else.
const policyHeader = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Handler gives the page's routes. token, when it is not empty, lets in too: "Authorization: Bearer TOKEN".
func (p *Page) Handler(token func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", p.login)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "style.css") })
	for pattern, show := range map[string]func(*http.Request) (view, error){
		"GET /{$}": p.overview, "GET /explain": p.explain, "GET /reputation": p.reputation, "GET /limits": p.limits,
		"GET /policy": p.askPolicy, "POST /policy": p.judgePolicy,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if !p.doors.admits(r) && !Bears(r, token()) {
				p.write(w, http.StatusUnauthorized, view{"login", "Log in", nil})
				return
			}
			p.show(w, r, show)
		})
	}
	return p.guard(mux)
}

// view is a template with its title and data.
type view struct {
	name, title string
	data        any
}

// guard keeps out requests under a strange name (DNS rebinding) or from a strange page, and sets the headers of all answers.
func (p *Page) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policyHeader)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with "no-referrer" browsers send our own forms with "Origin: null"
		h.Set("Cache-Control", "no-store")
		if !p.doors.known(r.Host) {
			http.Error(w, "this page is asked for by an address, by localhost or by the name of its host", http.StatusMisdirectedRequest)
			return
		}
		if origin := r.Header.Get("Origin"); r.Method != http.MethodGet && origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host {
			http.Error(w, "a form of another site cannot ask this page", http.StatusForbidden)
			return
		}
		if r.Method != http.MethodPost {
			r.Body = http.NoBody // FormValue would read a form in it, before anybody has logged in, and write large files of it to /tmp
		}
		next.ServeHTTP(w, r)
	})
}

func (p *Page) show(w http.ResponseWriter, r *http.Request, make func(*http.Request) (view, error)) {
	v, err := make(r)
	if err != nil {
		p.write(w, http.StatusOK, view{"trouble", "Not to be shown", err.Error()})
		return
	}
	p.write(w, http.StatusOK, v)
}

// write fills a template. The page is made whole before its first byte goes out, so that a fault shows no half of it.
func (p *Page) write(w http.ResponseWriter, status int, v view) {
	var out strings.Builder
	err := p.templates.ExecuteTemplate(&out, v.name, map[string]any{"Title": v.title, "Data": v.data, "Status": p.source.Status(), "Name": v.name})
	if err != nil {
		http.Error(w, "the page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(out.String())) // whoever hung up has no use for it
}

// login makes a session of a ticket.
func (p *Page) login(w http.ResponseWriter, r *http.Request) {
	session, ok := p.doors.enter(r.FormValue("ticket"))
	if !ok {
		p.write(w, http.StatusUnauthorized, view{"login", "Log in", "This link was used before, or is older than ten minutes."})
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: session, Path: "/", MaxAge: int(sessionTime.Seconds()), HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	// Not a redirect: a browser that came from elsewhere would follow it without the strict cookie.
	p.write(w, http.StatusOK, view{"welcome", "Logged in", nil})
}
