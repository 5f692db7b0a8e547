package page

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"

	"gatepost.example/filter"
)

// explain shows why one message ended as it did.
func (p *Page) explain(r *http.Request) (view, error) {
	id := strings.TrimSpace(r.FormValue("id"))
	if id == "" {
		return view{}, errors.New("name a message: its id, its queue id or its Message-ID")
	}
	x, err := p.source.Explain(r.Context(), id)
	if err != nil {
		return view{}, err
	}
	return view{"explain", "Why: " + x.Record.ID, x}, nil
}

// reputation shows what is known of addresses, networks and domains, with the interval that it is sure of.
func (p *Page) reputation(r *http.Request) (view, error) {
	prefix := strings.TrimSpace(r.FormValue("q"))
	all, err := p.source.Reputes(r.Context(), prefix)
	if err != nil {
		return view{}, err
	}
	more := max(0, len(all)-maxReputes)
	return view{"reputation", "Reputations", map[string]any{"Find": prefix, "Rows": all[:len(all)-more], "More": more}}, nil
}

// maxReputes bounds the reputations and the keys of a limit on one page.
const maxReputes = 200

// level is a key of a limit that is at least half full.
type level struct {
	filter.Level
	Limit string
	Full  float64 // in per cent
}

// limits shows the keys that are near the edge of their limit.
func (p *Page) limits(r *http.Request) (view, error) {
	var out []level
	for _, name := range p.source.Limits() {
		levels, err := p.source.Levels(r.Context(), name)
		if err != nil {
			return view{}, err
		}
		for _, l := range levels {
			full := 100.0
			if l.Burst > 0 {
				full = min(100, 100*l.Level/l.Burst)
			}
			if (full >= 50 || l.Over) && len(out) < maxReputes {
				out = append(out, level{l, name, full})
			}
		}
	}
	return view{"limits", "Limits near their edge", out}, nil
}

// maxPolicy bounds the text of a policy that is pasted.
const maxPolicy = 256 << 10

// judged is what the form of another policy shows.
type judged struct {
	Text, Days string
	Wrong      string
	Report     *filter.Report
	Since      time.Time
}

// askPolicy shows the form.
func (p *Page) askPolicy(*http.Request) (view, error) {
	return view{"policy", "What would another policy have done?", judged{Days: "7"}}, nil
}

// judgePolicy decides the past again under the policy in the form.
func (p *Page) judgePolicy(r *http.Request) (view, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, 2*maxPolicy)
	if err := r.ParseMultipartForm(2 * maxPolicy); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return view{}, fmt.Errorf("the form cannot be read: %w", err)
	}
	j := judged{Text: r.FormValue("policy"), Days: r.FormValue("days")}
	if f, _, err := r.FormFile("file"); err == nil {
		defer f.Close()
		var text strings.Builder
		if _, err := io.Copy(&text, io.LimitReader(f, maxPolicy+1)); err != nil {
			return view{}, err
		}
		if text.Len() > 0 {
			j.Text = text.String()
		}
	}
	days, ok := map[string]int{"1": 1, "7": 7, "30": 30}[j.Days]
	if !ok {
		days, j.Days = 7, "7"
	}
	j.Since = p.source.Now().AddDate(0, 0, -days)
	if len(j.Text) > maxPolicy {
		j.Wrong = fmt.Sprintf("the policy has %d bytes; at most %d are read", len(j.Text), maxPolicy)
		j.Text = ""
	} else if report, err := p.source.Replay(r.Context(), j.Text, j.Since); err != nil {
		j.Wrong = err.Error()
	} else {
		j.Report = report
	}
	return view{"policy", "What would another policy have done?", j}, nil
}

// functions are those of the templates.
func functions(now func() time.Time) template.FuncMap {
	return template.FuncMap{
		"ago": func(t time.Time) string { return Ago(now().Sub(t)) },
		"at":  func(t time.Time) string { return t.Format("Jan 2 15:04:05") },
		"iso": func(t time.Time) string { return t.Format(time.RFC3339) },
		"number": func(v any) string {
			switch v := v.(type) {
			case int:
				return number(float64(v))
			case float64:
				return number(v)
			}
			return fmt.Sprint(v)
		},
		"percent": func(v float64) string { return fmt.Sprintf("%.0f", 100*v) },
		"span":    span,
		"meter":   meter,
		"class":   func(action string) string { return byAction(action, 0) },
		"join":    strings.Join,
		"shown":   filter.Visible, // of what a sender wrote: no sign of it turns around what stands beside it
	}
}

// span draws an interval within 0 and 1.
func span(low, high float64) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg class="span" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="between %.0f and %.0f of 100"><rect class="track" width="100" height="8"/><rect class="range" x="%.1f" width="%.1f" height="8"/></svg>`,
		100*low, 100*high, 100*low, max(1, 100*(high-low)))) // numbers only
}

// meter draws how full something is, in per cent.
func meter(full float64) template.HTML {
	class := "later"
	if full >= 100 {
		class = "bad"
	}
	return template.HTML(fmt.Sprintf(`<svg class="span" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="%.0f of 100"><rect class="track" width="100" height="8"/><rect class="%s" width="%.1f" height="8"/></svg>`,
		full, class, full)) // numbers only
}

// Ago says how long something is past, as people read it: "90 s", "3 h", "12 days".
func Ago(d time.Duration) string {
	switch {
	case d < 0: // the clock was set back since
		return "0 s"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
