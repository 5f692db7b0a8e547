package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"gatepost.example/filter/resolve"
)

// TestDNSOutageAlarm: an outage is said each minute that it lasts and its end once; single failures, and a few questions of a quiet night, are not.
func TestDNSOutageAlarm(t *testing.T) {
	var out bytes.Buffer
	o := outage{log: slog.New(slog.NewTextHandler(&out, nil))}
	var at resolve.Stats
	for _, minute := range []struct {
		asked, timeouts, servfails int64
		want                       string // of the line, "" for none
	}{
		{100, 10, 5, ""},  // somebody's servers
		{100, 25, 25, ""}, // half
		{19, 19, 0, ""},   // too few to say
		{100, 40, 11, `level=ERROR msg="DNS does not answer: most questions of the last minute failed" asked=100 failed=51`},
		{20, 20, 0, `level=ERROR msg="DNS does not answer: most questions of the last minute failed" asked=20 failed=20`},
		{3, 0, 0, ""}, // too few to say that it is over
		{50, 1, 0, `level=INFO msg="DNS answers again" asked=50 failed=1`},
		{50, 1, 0, ""},
	} {
		at.Misses, at.Timeouts, at.ServFails = at.Misses+minute.asked, at.Timeouts+minute.timeouts, at.ServFails+minute.servfails
		out.Reset()
		o.minute(at)
		if wrong := o.wrong() != ""; wrong != strings.Contains(minute.want, "ERROR") && minute.asked >= dnsLeast {
			t.Errorf("after %+v gatepost status says %q", minute, o.wrong())
		}
		if got := out.String(); (got == "") != (minute.want == "") || !strings.Contains(got, minute.want) {
			t.Errorf("%+v: %q", minute, got)
		}
	}
}
