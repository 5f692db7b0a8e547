package page

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"gatepost.example/filter/history"
)

// series is one name of a plot with a value for each step of time.
type series struct {
	Name   string
	Class  string // of the style: its colour
	Values []float64
	Total  float64
}

// plot is bars over time, the series on top of each other.
type plot struct {
	Title  string
	Unit   string
	Step   time.Duration
	Starts []time.Time
	Series []series
	Empty  string // said where there is nothing to draw
}

// newPlot gives a plot without series, with its steps.
func newPlot(title, unit string, since, until time.Time, step time.Duration) *plot {
	p := &plot{Title: title, Unit: unit, Step: step, Empty: "nothing yet"}
	for at := since; at.Before(until); at = at.Add(step) {
		p.Starts = append(p.Starts, at)
	}
	return p
}

// add adds a value to a series, which it makes when it is new.
func (p *plot) add(name string, at time.Time, v float64) {
	if len(p.Starts) == 0 || at.Before(p.Starts[0]) {
		return
	}
	i := int(at.Sub(p.Starts[0]) / p.Step)
	if i >= len(p.Starts) || v == 0 {
		return
	}
	n := slices.IndexFunc(p.Series, func(s series) bool { return s.Name == name })
	if n < 0 {
		p.Series = append(p.Series, series{Name: name, Values: make([]float64, len(p.Starts))})
		n = len(p.Series) - 1
	}
	p.Series[n].Values[i] += v
	p.Series[n].Total += v
}

// maxSeries bounds the series of a plot: the largest, and the others together.
const maxSeries = 7

// finish orders the series, the largest first, puts the small ones together and gives each its colour.
func (p *plot) finish(colour func(name string, n int) string) *plot {
	sort.SliceStable(p.Series, func(i, j int) bool { return p.Series[i].Total > p.Series[j].Total })
	if len(p.Series) > maxSeries {
		rest := series{Name: "others", Values: make([]float64, len(p.Starts))}
		for _, s := range p.Series[maxSeries-1:] {
			for i, v := range s.Values {
				rest.Values[i] += v
			}
			rest.Total += s.Total
		}
		p.Series = append(p.Series[:maxSeries-1:maxSeries-1], rest)
	}
	for n := range p.Series {
		p.Series[n].Class = colour(p.Series[n].Name, n)
	}
	return p
}

// byNumber colours series by their place.
func byNumber(_ string, n int) string { return fmt.Sprintf("c%d", n) }

// byAction colours what was done to mail: green for taken, amber for put off, red for refused.
func byAction(name string, n int) string {
	switch {
	case name == taken || name == "none" || name == "accept":
		return "good"
	case name == history.Left:
		return "dim"
	case strings.HasPrefix(name, "4"):
		return "later"
	case strings.HasPrefix(name, "5") || name == "discard":
		return "bad"
	}
	return byNumber(name, n)
}

// byResult colours what checks found.
func byResult(name string, n int) string {
	switch name {
	case "pass", "answered":
		return "good"
	case "none", "from memory":
		return "dim"
	case "fail", "failed":
		return "bad"
	case "softfail", "neutral", "temperror", "permerror", "policy":
		return "later"
	}
	return byNumber(name, n)
}

// The size of a plot, in the units of its own picture.
const (
	plotWidth, plotHeight = 720.0, 150.0
	plotFoot              = 18.0
)

// Highest gives the largest sum of a step, a round number.
func (p *plot) Highest() float64 {
	highest := 0.0
	for i := range p.Starts {
		sum := 0.0
		for _, s := range p.Series {
			sum += s.Values[i]
		}
		highest = max(highest, sum)
	}
	if highest == 0 {
		return 0
	}
	unit := math.Pow(10, math.Floor(math.Log10(highest)))
	for _, m := range []float64{1, 2, 5, 10} {
		if highest <= m*unit {
			return m * unit
		}
	}
	return highest
}

// SVG gives the plot as a picture. Names come from the policy and from closed lists, and are escaped all the same.
func (p *plot) SVG() template.HTML {
	var out strings.Builder
	fmt.Fprintf(&out, `<svg viewBox="0 0 %g %g" role="img" aria-label="%s" preserveAspectRatio="none">`, plotWidth, plotHeight+plotFoot, escape(p.Title))
	highest, width := p.Highest(), plotWidth/float64(max(1, len(p.Starts)))
	for i, at := range p.Starts {
		foot := plotHeight
		for n := range p.Series {
			s := &p.Series[n]
			if s.Values[i] == 0 {
				continue
			}
			height := s.Values[i] / highest * plotHeight
			foot -= height
			fmt.Fprintf(&out, `<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"><title>%s %s: %s %s</title></rect>`,
				s.Class, float64(i)*width+0.5, foot, max(width-1, 0.5), height, escape(p.moment(at)), escape(s.Name), number(s.Values[i]), escape(p.Unit))
		}
	}
	fmt.Fprintf(&out, `<line x1="0" y1="%g" x2="%g" y2="%g" class="axis"/></svg>`, plotHeight, plotWidth, plotHeight)
	return template.HTML(out.String()) // every text in it was escaped
}

// Labels gives the moments that stand below the plot: the first, some between, the last.
func (p *plot) Labels() []string {
	const labels = 5
	if len(p.Starts) < labels {
		return nil
	}
	out := make([]string, labels)
	for i := range out {
		out[i] = p.moment(p.Starts[i*(len(p.Starts)-1)/(labels-1)])
	}
	return out
}

func (p *plot) moment(at time.Time) string {
	if p.Step >= 24*time.Hour {
		return at.Format("Jan 2")
	}
	return at.Format("15:04")
}

func escape(text string) string { return template.HTMLEscapeString(text) }

// number writes a number as people read it.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.1f M", v/1e6)
	case v >= 1e4:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v == math.Trunc(v):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
