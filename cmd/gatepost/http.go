package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"time"

	"golang.org/x/net/netutil"

	"gatepost.example/cmd/gatepost/page"
	"gatepost.example/filter/metric"
	"gatepost.example/filter/resolve"
)

// This file is what the daemon says over HTTP. Whether it is alive, whether it is ready, and numbers it tells everybody: nothing of them names
// a sender, a recipient or a message. The page is for who logged in, commands are for who has the token.

// openHTTP opens the address of health and metrics. One that cannot be opened stops no mail: it is nil, and the log says why.
func (d *daemon) openHTTP() net.Listener {
	if d.file.Listen.HTTP == "" {
		return nil
	}
	l, err := net.Listen("tcp", d.file.Listen.HTTP)
	if err != nil {
		d.log.Error("health and metrics are not served; mail goes on", "address", d.file.Listen.HTTP, "error", err.Error())
		return nil
	}
	return l
}

// serveHTTP serves health and metrics until ctx ends.
func (d *daemon) serveHTTP(ctx context.Context, listener net.Listener) {
	d.serveWeb(ctx, listener, d.httpRoutes(), "health and metrics are not served any more")
}

// maxWeb is how many connections for HTTP there are at a time, others wait: whoever opens thousands takes no descriptor that a mail needs. maxBody bounds
// what one request may send.
const (
	maxWeb  = 20
	maxBody = 16 << 20
)

// serveWeb serves HTTP until ctx ends. lost is what the log says when it ends before.
func (d *daemon) serveWeb(ctx context.Context, listener net.Listener, routes http.Handler, lost string) {
	server := &http.Server{
		Handler:     http.TimeoutHandler(http.MaxBytesHandler(routes, maxBody), adminTime, "the daemon did not answer in time"),
		ReadTimeout: adminTime, WriteTimeout: 2 * adminTime, MaxHeaderBytes: 1 << 16,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
	server.SetKeepAlivesEnabled(false) // a connection that rests would keep a place from others, and a probe would call the daemon dead
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(netutil.LimitListener(listener, maxWeb)); !errors.Is(err, http.ErrServerClosed) {
		d.log.Error(lost, "address", listener.Addr().String(), "error", err.Error())
	}
	<-done
}

func (d *daemon) httpRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) { d.sayHealth(w, d.alive(r.Context())) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		wrong := d.alive(r.Context())
		if wrong == "" {
			wrong = strings.Join(d.troubles(), "\n")
		}
		d.sayHealth(w, wrong)
	})
	mux.Handle("GET /metrics", d.metrics.Handler())
	mux.Handle("/", d.page.Handler(d.token))
	mux.Handle("/admin/", http.StripPrefix("/admin", d.withToken(d.adminRoutes())))
	return mux
}

// token gives what [admin] token says, "" where nobody gets in by one.
func (d *daemon) token() string { return d.current().Admin.Token }

// withToken lets in who has the token. A browser sends it by itself never, so that no strange page can ask in somebody's name.
func (d *daemon) withToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !page.Bears(r, d.token()) {
			http.Error(w, "commands need the token of [admin] token, as Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (d *daemon) sayHealth(w http.ResponseWriter, wrong string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if wrong != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(wrong + "\n")) // whoever hung up has no use for it
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// aliveTime is how long the main loop may take to show that it turns.
const aliveTime = 2 * time.Second

// alive says "" when the main loop turns.
func (d *daemon) alive(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	select {
	case d.beats <- struct{}{}:
		return ""
	case <-ctx.Done():
		return "the main loop does not turn"
	}
}

// troubles are what an admin should mend, in words that tell nothing of mail.
func (d *daemon) troubles() []string {
	s := d.status()
	var out []string
	if s.Refused != "" {
		out = append(out, "the policy file as it is now was refused; the old one is in force")
	}
	if s.Memory != "" {
		out = append(out, "the memory has trouble; gatepost status says which")
	}
	if s.History != "" {
		out = append(out, "the history has trouble; gatepost status says which")
	}
	if len(s.Lists) > 0 {
		out = append(out, "blocklists out of use: "+strings.Join(s.Lists, ", "))
	}
	return out
}

// newMetrics gives the counters, with the numbers that are read when somebody asks.
func (d *daemon) newMetrics() *metric.Metrics {
	m := metric.New(version, strings.TrimPrefix(commit(), "+"), runtime.Version())
	m.Read("dns_lookups_total", "Questions that checks asked, by outcome: hit (from the cache), joined (the same was under way), asked, timeout, servfail, gave_up (the stage's budget was used up).",
		"outcome", func() []metric.Value { return dnsValues(d.resolver.Stats()) })
	m.Read("dns_queries_total", "Packets with questions sent to DNS servers, retries included.", "", one(func() float64 { return float64(d.resolver.Stats().Queries) }))
	m.Read("dns_unwanted_total", "Packets that were no answer to a question: junk, late or forged.", "", one(func() float64 { return float64(d.resolver.Stats().Unwanted) }))
	m.Read("dns_in_flight", "Questions under way.", "", one(func() float64 { return float64(d.resolver.Stats().InFlight) }))
	m.Read("dns_cache_entries", "Answers kept.", "", one(func() float64 { return float64(d.resolver.Stats().Entries) }))
	m.Read("memory_trouble", "1 while the memory (limits, reputation) cannot be written or Redis is away.", "", one(func() float64 { return truth(d.filter.Memory() != "") }))
	m.Read("memory_settled", "1 when the memory is old enough for rules that rest on who is known.", "", one(func() float64 { _, settled := d.filter.Born(); return truth(settled) }))
	m.Read("policy_loaded_timestamp_seconds", "When the policy in force was loaded.", "", one(func() float64 { return float64(d.status().Loaded.Unix()) }))
	m.Read("policy_refused", "1 while the policy file as it is now was refused and an older one is in force.", "", one(func() float64 { return truth(d.status().Refused != "") }))
	m.Read("paused", "1 while everything is accepted (gatepost pause).", "", one(func() float64 { _, paused := d.filter.Paused(); return truth(paused) }))
	m.Read("history_records_total", "Records of the history, by outcome: kept, or lost because they could not be written.", "outcome", func() []metric.Value {
		s := d.status()
		return []metric.Value{{Label: "kept", Now: float64(s.Kept)}, {Label: "lost", Now: float64(s.Lost)}}
	})
	m.Read("log_lines_lost_total", "Lines of the log that could not be written, or that nobody read in time.", "", one(func() float64 { return float64(d.logs.outlet.Trouble().Lost) }))
	m.Read("alarms_total", "Errors in the log, by what happened: what [alert] mails about.", "kind", func() (out []metric.Value) {
		d.logs.alerts.Counts(func(kind string, n uint64) { out = append(out, metric.Value{Label: kind, Now: float64(n)}) })
		return out
	})
	m.Read("dnsbl_usable", "1 for a blocklist whose test points answer right, by its name.", "list", d.listValues)
	return m
}

func one(read func() float64) func() []metric.Value {
	return func() []metric.Value { return []metric.Value{{Now: read()}} }
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func dnsValues(s resolve.Stats) []metric.Value {
	return []metric.Value{
		{Label: "hit", Now: float64(s.Hits)}, {Label: "joined", Now: float64(s.Joined)}, {Label: "asked", Now: float64(s.Misses)},
		{Label: "timeout", Now: float64(s.Timeouts)}, {Label: "servfail", Now: float64(s.ServFails)}, {Label: "gave_up", Now: float64(s.GivenUp)},
	}
}

func (d *daemon) listValues() []metric.Value {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]metric.Value, 0, len(d.lists))
	for _, l := range d.lists {
		out = append(out, metric.Value{Label: l.Name, Now: truth(d.watch.Usable(l))})
	}
	return out
}
