package resolve

import (
	"fmt"
	"strings"
	"time"
)

// Bounds of what String shows.
const (
	maxShown     = 8   // records
	maxShownText = 200 // bytes of one
)

// String tells an answer for people, in one line of bounded length and printable ASCII: what it holds, what was left of its TTL and how long
// it had been in the cache: `found 192.0.2.1, ttl 5m0s, age 12s`.
func (a *Answer) String() string {
	var values []string
	for _, addr := range a.Addrs {
		values = append(values, addr.String())
	}
	for _, text := range a.Texts {
		values = append(values, quoted(text))
	}
	for _, mx := range a.MXs {
		values = append(values, fmt.Sprintf("%d %s", mx.Preference, quoted(mx.Host)))
	}
	for _, host := range a.Hosts {
		values = append(values, quoted(host))
	}
	out := a.Status.String()
	if shown := values[:min(len(values), maxShown)]; len(shown) > 0 {
		out += " " + strings.Join(shown, ", ")
	}
	if more := len(values) - maxShown; more > 0 {
		out += fmt.Sprintf(" and %d more", more)
	}
	if a.Detail != "" {
		return out + " (" + strings.Trim(quoted(a.Detail), `"`) + ")"
	}
	return fmt.Sprintf("%s, ttl %s, age %s", out, a.TTL.Round(time.Second), a.Age.Round(time.Second))
}

// quoted makes what strangers publish safe to print.
func quoted(text string) string {
	cut := ""
	if len(text) > maxShownText {
		text, cut = text[:maxShownText], "..."
	}
	return fmt.Sprintf("%+q", text) + cut
}
