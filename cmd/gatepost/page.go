package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"gatepost.example/cmd/gatepost/page"
	"gatepost.example/filter"
	"gatepost.example/filter/history"
	"gatepost.example/policy/policyfile"
)

func newPage() *cobra.Command {
	where := place{}
	c := &cobra.Command{
		Use:   "page",
		Short: "Print a link to the status page that logs in once",
		Long: `Ask the running daemon for a link to its status page: what it does now, the last day and
month, the newest refusals with the reason of each, reputations, limits, and what another
policy would have done. The link is good for ten minutes and for one login, which lasts
twelve hours. From another machine, reach the page through a tunnel:

  ssh -L 8895:127.0.0.1:8895 mx.example.net

Exit status 0: the link is printed; 1: the daemon serves no page; 2: no daemon answers.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var link string
			if err := where.ask("POST", "/page", nil, nil, &link); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), link)
			return err
		},
	}
	where.flags(c)
	return c
}

// pageLink gives a new link to the page.
func (d *daemon) pageLink(*http.Request) (any, error) {
	address := d.current().Listen.HTTP
	if address == "" {
		return nil, fmt.Errorf("no page is served: %s sets listen.http = \"\"", d.path)
	}
	return "http://" + address + "/login?ticket=" + d.page.Ticket(), nil
}

// newPageOf gives the page of this daemon.
func (d *daemon) newPageOf() *page.Page {
	host, _ := os.Hostname()
	return page.New(page.Source{
		Now: time.Now, Status: d.pageStatus, Trend: d.trend.points,
		History: func() (*history.Reader, error) { return d.past().open() },
		Explain: d.pageExplain, Replay: d.pageReplay,
		Reputes: func(ctx context.Context, prefix string) ([]filter.Repute, error) {
			return d.filter.Reputes(ctx, "", prefix)
		},
		Limits: func() []string { return d.filter.LimitNames() },
		Levels: func(ctx context.Context, limit string) ([]filter.Level, error) {
			return d.filter.Levels(ctx, limit, "")
		},
	}, host, d.current().Server.Name)
}

// past is where this daemon keeps its history.
func (d *daemon) past() *pastPlace { return &pastPlace{directory: d.current().Server.Directory} }

func (d *daemon) pageStatus() page.Status {
	s, host := d.status(), d.current().Server.Name
	if host == "" {
		host, _ = os.Hostname()
	}
	return page.Status{
		Version: s.Version, Policy: s.Policy, Hash: s.Hash, Mode: s.Mode, Host: host, Since: s.Since, Loaded: s.Loaded, Born: s.Born, Settled: s.Settled,
		Sessions: d.metrics.Open(), Troubles: s.wrong(),
	}
}

// pageExplain explains a record for the page.
func (d *daemon) pageExplain(ctx context.Context, id string) (*page.Why, error) {
	x, _, err := explain(ctx, d.past(), id, "")
	if err != nil {
		return nil, err
	}
	why := &page.Why{Explanation: x}
	for _, s := range steps(x.Record) {
		why.Steps = append(why.Steps, page.Step{Stage: s.Stage, Text: s.Text})
	}
	for _, r := range x.Rules {
		line := page.RuleLine{Name: r.Name, What: r.What, State: stateText(r), Reads: readTexts(r), Decided: x.Line != nil && x.Line.Rule == r.Name}
		if r.Observe {
			line.Name += " (observed)"
		}
		why.Walk = append(why.Walk, line)
	}
	return why, nil
}

// replayTime bounds a replay for the page, within the time for one answer.
const replayTime = adminTime - time.Second

// pageReplay decides the past again under a text. It is compiled without files, tables and network: whoever sees the page is not one who may
// have the daemon read any file.
func (d *daemon) pageReplay(ctx context.Context, text string, since time.Time) (*filter.Report, error) {
	vocabulary, err := filter.Vocabulary()
	if err != nil {
		return nil, err
	}
	file, err := policyfile.ParseWith("policy", []byte(text), vocabulary, policyfile.Reading{
		Now: time.Now(), Lists: func(string) []string { return nil }, Pairs: func(string) [][2]string { return nil },
	})
	if err != nil {
		return nil, err
	}
	reader, err := d.past().open()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	replayer := filter.NewReplayer(filter.SettingsOf(file), nil, false)
	run := filter.Replay{Since: since, Workers: 1, Under: func(string) (*filter.Replayer, bool, error) { return replayer, false, nil }}
	return run.Run(ctx, reader)
}

// trend keeps what the page draws and the history does not have: an hour each, for a month.
type trend struct {
	mu    sync.Mutex
	hours []page.Point
	last  page.Point // the counts when the hour was last looked at
}

// trendEach is how often the counts are looked at, maxHours how many hours are kept.
const (
	trendEach = time.Minute
	maxHours  = 31 * 24
)

func (t *trend) points() []page.Point {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]page.Point(nil), t.hours...)
}

// note adds what came since the last time to the hour of now.
func (t *trend) note(now time.Time, counts page.Point) {
	t.mu.Lock()
	defer t.mu.Unlock()
	hour := now.Truncate(time.Hour)
	if n := len(t.hours); n == 0 || !t.hours[n-1].At.Equal(hour) {
		t.hours = append(t.hours, page.Point{At: hour})
		t.hours = t.hours[max(0, len(t.hours)-maxHours):]
	}
	p := &t.hours[len(t.hours)-1]
	p.Messages += counts.Messages - t.last.Messages
	p.Seconds += counts.Seconds - t.last.Seconds
	p.Asked += counts.Asked - t.last.Asked
	p.Failed += counts.Failed - t.last.Failed
	p.Cached += counts.Cached - t.last.Cached
	t.last = counts
}

// watchTrend keeps the trend until ctx ends.
func (d *daemon) watchTrend(ctx context.Context) {
	ticker := time.NewTicker(trendEach)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			dns := d.resolver.Stats()
			messages, seconds := d.metrics.Ends()
			d.trend.note(now, page.Point{Messages: messages, Seconds: seconds, Asked: float64(dns.Misses), Failed: float64(dns.Timeouts + dns.ServFails), Cached: float64(dns.Hits + dns.Joined)})
		}
	}
}
