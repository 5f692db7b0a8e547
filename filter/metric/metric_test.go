package metric

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// filled gives metrics that have counted one of each.
func filled() *Metrics {
	m := New("1.2.3", "abc", "go1.26")
	m.Read("dns_lookups_total", "Questions.", "outcome", func() []Value { return []Value{{"hit", 3}, {"asked", 1}} })
	m.Read("paused", "1 while paused.", "", func() []Value { return []Value{{Now: 1}} })
	m.SessionBegan()
	m.SessionBegan()
	m.SessionEnded()
	m.Message("mx", "5xx", "new", 2000)
	m.Decision("", "data", "none")
	m.Decision("flood", "connect", "421")
	m.Would("null-mx", "rcpt", "550")
	m.Finding("spf", "pass", 30*time.Millisecond)
	m.Over("harvest")
	m.Stage("rcpt", 2*time.Millisecond)
	m.Stage("a stage that is none", time.Second)
	m.Policy("0011", "observe")
	m.Policy("2233", "enforce")
	m.Reload(true)
	m.Panic()
	return m
}

func TestWhatIsCountedIsServed(t *testing.T) {
	w := httptest.NewRecorder()
	filled().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`gatepost_build_info{goversion="go1.26",revision="abc",version="1.2.3"} 1`,
		"gatepost_sessions_total 2", "gatepost_sessions 1",
		`gatepost_messages_total{action="5xx",role="mx"} 1`, "gatepost_message_bytes_total 2000",
		`gatepost_client_reputation_total{reputation="new"} 1`,
		`gatepost_decisions_total{action="none",rule="none",stage="data"} 1`,
		`gatepost_decisions_total{action="421",rule="flood",stage="connect"} 1`,
		`gatepost_would_total{action="550",rule="null-mx",stage="rcpt"} 1`,
		`gatepost_check_results_total{check="spf",result="pass"} 1`, `gatepost_check_seconds_bucket{check="spf",le="0.05"} 1`,
		`gatepost_limit_over_total{limit="harvest"} 1`, `gatepost_stage_seconds_count{stage="rcpt"} 1`,
		`gatepost_policy_info{hash="2233",mode="enforce"} 1`,
		`gatepost_policy_reloads_total{outcome="taken"} 1`, `gatepost_policy_reloads_total{outcome="refused"} 0`,
		"gatepost_panics_total 1", `gatepost_dns_lookups_total{outcome="hit"} 3`, "gatepost_paused 1",
	} {
		if !strings.Contains(w.Body.String(), want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, wrong := range []string{`hash="0011"`, "a stage that is none"} {
		if strings.Contains(w.Body.String(), wrong) {
			t.Errorf("the metrics tell of %q", wrong)
		}
	}
}

// The rules of promtool check metrics.
func TestNamesAreAsPrometheusWantsThem(t *testing.T) {
	problems, err := testutil.GatherAndLint(filled().registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestNoMetricsCountNothing(*testing.T) {
	var m *Metrics
	m.SessionBegan()
	m.SessionEnded()
	m.Message("mx", "accept", "", 1)
	m.Decision("a", "data", "none")
	m.Would("a", "data", "550")
	m.Finding("spf", "pass", 0)
	m.Over("a")
	m.Stage("data", 0)
	m.Policy("a", "b")
	m.Reload(false)
	m.Panic()
}

// What a message costs at least: a decision, its findings, its stages.
func BenchmarkMessage(b *testing.B) {
	m := New("1", "a", "go")
	checks := []string{"iprev", "spf", "spf-helo", "dkim", "arc", "dmarc"}
	for b.Loop() {
		m.SessionBegan()
		for _, c := range checks {
			m.Finding(c, "pass", time.Millisecond)
		}
		for _, s := range stages {
			m.Stage(s, time.Millisecond)
		}
		m.Decision("allowed", "data", "accept")
		m.Message("mx", "accept", "new", 20_000)
		m.SessionEnded()
	}
}
