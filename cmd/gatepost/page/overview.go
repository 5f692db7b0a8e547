package page

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"gatepost.example/filter/history"
)

// cache keeps the plots for a moment: many who look cost no more than one.
type cache struct {
	mu    sync.Mutex
	plots map[bool]drawn // of the month, or of the day
}

type drawn struct {
	at    time.Time
	plots []*plot
}

// fresh is how long plots are kept.
const fresh = 30 * time.Second

// overview shows how things are: now, over time, and the newest refusals.
func (p *Page) overview(r *http.Request) (view, error) {
	month, find := r.FormValue("days") == "30", strings.TrimSpace(r.FormValue("q"))
	plots, err := p.plots(r.Context(), month)
	if err != nil {
		return view{}, err
	}
	everything := r.FormValue("all") != ""
	rows, err := p.rows(r.Context(), history.Filter{Text: find, Refused: !everything && find == "", Most: maxRows})
	if err != nil {
		return view{}, err
	}
	return view{"overview", "Gatepost", map[string]any{"Month": month, "Plots": plots, "Rows": rows, "Find": find, "All": everything, "Most": maxRows}}, nil
}

// maxRows bounds the records of one page.
const maxRows = 50

// readTime bounds the reading of the history for one page.
const readTime = 5 * time.Second

func (p *Page) rows(ctx context.Context, f history.Filter) ([]*history.Row, error) {
	reader, err := p.source.History()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	var out []*history.Row
	err = reader.Rows(ctx, f, func(row *history.Row) bool {
		out = append(out, row)
		return true
	})
	return out, err
}

// plots gives the plots of a day or a month.
func (p *Page) plots(ctx context.Context, month bool) ([]*plot, error) {
	p.cache.mu.Lock()
	defer p.cache.mu.Unlock()
	now := p.source.Now()
	if d, ok := p.cache.plots[month]; ok && now.Sub(d.at) < fresh && !now.Before(d.at) {
		return d.plots, nil
	}
	plots, err := p.draw(ctx, now, month)
	if err != nil {
		return nil, err
	}
	if p.cache.plots == nil {
		p.cache.plots = map[bool]drawn{}
	}
	p.cache.plots[month] = drawn{now, plots}
	return plots, nil
}

// taken is what the plot calls mail that was let in.
const taken = "taken"

func (p *Page) draw(ctx context.Context, now time.Time, month bool) ([]*plot, error) {
	step, steps := time.Hour, 24
	until := now.Truncate(time.Hour).Add(time.Hour)
	if month {
		step, steps = 24*time.Hour, 30
		y, m, d := now.Date()
		until = time.Date(y, m, d, 0, 0, 0, 0, now.Location()).Add(step)
	}
	since := until.Add(-time.Duration(steps) * step)
	reader, err := p.source.History()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	of := func(title, unit string) *plot { return newPlot(title, unit, since, until, step) }
	actions, rules := of("What was done", "messages"), of("By which rule", "messages")
	for _, one := range []struct {
		by   history.Column
		into *plot
	}{{history.ByAction, actions}, {history.ByRule, rules}} {
		sums, err := reader.Sums(ctx, one.by, since, step)
		if err != nil {
			return nil, err
		}
		for _, s := range sums {
			word := s.Word
			if one.into == actions && (word == "none" || word == "accept") { // by no rule, or by one that says so
				word = taken
			}
			one.into.add(word, s.At, float64(s.N))
		}
	}
	out := []*plot{actions.finish(byAction), rules.finish(byNumber)}
	results, err := p.results(ctx, reader, of)
	if err != nil {
		return nil, err
	}
	return append(append(out, results...), p.trends(of)...), nil
}

// maxRead bounds the records that are read for the results of checks. Of more the newest count.
const maxRead = 20_000

// results gives the plots of SPF, DKIM and DMARC.
func (p *Page) results(ctx context.Context, reader *history.Reader, of func(title, unit string) *plot) ([]*plot, error) {
	facts := []struct {
		name string
		plot *plot
	}{{"spf.result", of("SPF", "messages")}, {"dkim.result", of("DKIM", "messages")}, {"dmarc.result", of("DMARC", "messages")}}
	unpacker, err := history.NewUnpacker()
	if err != nil {
		return nil, err
	}
	var blocks []history.Block
	if err := reader.Blocks(ctx, facts[0].plot.Starts[0], func(b history.Block) error { blocks = append(blocks, b); return nil }); err != nil {
		return nil, err
	}
	read := 0
	for i := len(blocks) - 1; i >= 0 && read < maxRead; i-- {
		err := unpacker.Records(blocks[i], func(rec *history.Record) {
			read++
			for _, f := range facts {
				if v, known := rec.Fact(f.name); known {
					f.plot.add(v.Text(), rec.Time, 1)
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	var out []*plot
	for _, f := range facts {
		out = append(out, f.plot.finish(byResult))
	}
	return out, nil
}

// trends gives the plots of what is counted in memory.
func (p *Page) trends(of func(title, unit string) *plot) []*plot {
	wait, dns := of("How long the mail server waited at the end of a message", "s on average"), of("DNS questions", "")
	wait.Empty, dns.Empty = "nothing since the daemon began", "none since the daemon began"
	for _, point := range p.source.Trend() {
		if point.Messages > 0 {
			wait.add("average", point.At, point.Seconds/point.Messages)
		}
		dns.add("from memory", point.At, point.Cached)
		dns.add("answered", point.At, point.Asked-point.Failed)
		dns.add("failed", point.At, point.Failed)
	}
	if wait.Step > time.Hour { // averages of hours cannot be summed to days
		wait = of(wait.Title, "s on average")
		sums := map[time.Time]Point{}
		for _, point := range p.source.Trend() {
			y, m, d := point.At.Date()
			day := time.Date(y, m, d, 0, 0, 0, 0, point.At.Location())
			sums[day] = Point{Messages: sums[day].Messages + point.Messages, Seconds: sums[day].Seconds + point.Seconds}
		}
		for day, sum := range sums {
			if sum.Messages > 0 {
				wait.add("average", day, sum.Seconds/sum.Messages)
			}
		}
	}
	return []*plot{wait.finish(byNumber), dns.finish(byResult)}
}
